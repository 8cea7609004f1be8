//! Values of records: whatever bytes a value has, they are read or refused, whichever version of a schema wrote them, and
//! what is read is written and read back the same.

use crate::{
    cut::{Cut, Glue},
    messages::{MESSAGES, Read},
    sample::{Numbers, sample},
};
use message::Outgoing;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};
use transport::codec::{Codec, MAX_VALUE_BYTES, Wire};

/// The first id of the schemas that [`other_version`] makes.
const OTHERS: u32 = 1_000_000;
/// The value is not framed: the input has its own magic byte and schema id.
const BARE: u8 = 1;
/// The value was written with another version of the schema.
const OTHER: u8 = 2;

/// With the ids of [`Codec::offline`], and another version of every schema, read by resolution.
pub fn codec() -> &'static Arc<Codec> {
    static CODEC: LazyLock<Arc<Codec>> = LazyLock::new(|| {
        let codec = Codec::offline().unwrap_or_else(|e| panic!("our schemas: {e}"));
        for (id, schema) in (OTHERS..).zip(schemas::all()) {
            codec.learn(id, &other_version(schema.avsc)).unwrap_or_else(|e| panic!("{}: {e}", schema.name));
        }
        Arc::new(codec)
    });
    &CODEC
}

/// The schema with one more field in front.
fn other_version(avsc: &str) -> String {
    let mut schema: Value = serde_json::from_str(avsc).unwrap_or_default();
    if let Some(fields) = schema["fields"].as_array_mut() {
        fields.insert(0, json!({"name": "only_there", "type": "string", "default": ""}));
    }
    schema.to_string()
}

/// The input: which message, how it is framed, and the value.
pub fn avro(bytes: &[u8]) {
    let mut cut = Cut::new(bytes);
    let (name, read) = cut.pick(MESSAGES);
    let flags = cut.flags();
    let id = if flags.has(OTHER) { OTHERS + place(name) as u32 } else { codec().id_of(name).unwrap_or_default() };
    let value = if flags.has(BARE) { cut.rest().to_vec() } else { framed(id, cut.rest()) };
    value_of(name, read, &value);
}

fn value_of(name: &str, read: Read, value: &[u8]) {
    let codec = codec();
    let as_json = Wire::parse(value).and_then(|wire| codec.decode_json(&wire));
    let Ok(message) = read(codec, value) else { return };
    let as_json = as_json.unwrap_or_else(|e| panic!("{name} is read as its type, and as JSON not: {e}"));
    let schema = schemas::find(name).unwrap_or_else(|| panic!("no schema {name}"));
    let from_json = (schema.from_json)(as_json).unwrap_or_else(|e| panic!("{name} by way of JSON: {e}"));
    assert_eq!(from_json, message);
    match codec.encode(&message) {
        Ok(again) => assert_eq!(read(codec, &again).unwrap_or_else(|e| panic!("{name}, written again: {e}")), message),
        // Defaults of fields that the writer did not have can take it over the limit.
        Err(e) => assert!(value.len() > MAX_VALUE_BYTES / 2, "{name} cannot be written again: {e}"),
    }
}

fn place(name: &str) -> usize {
    schemas::all().iter().position(|schema| schema.name == name).unwrap_or_default()
}

fn framed(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), body].concat()
}

/// The message's value, as the platform writes it.
pub fn encoded(message: &Outgoing) -> Vec<u8> {
    codec().encode(message).unwrap_or_else(|e| panic!("{}: {e}", message.name))
}

/// A value of every message; some of them also bare and of another version; arrays that claim more than there is.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (index, (name, _)) in (0..).zip(MESSAGES) {
        let value = encoded(&sample(schemas::find(name).unwrap_or_else(|| panic!("no schema {name}")), Numbers::Small));
        let start = |flags: u8| Glue::default().byte(index).byte(flags);
        let short = message::short_name(name);
        seeds.push((short.to_owned(), start(0).rest(&value[5..])));
        match *name {
            "mallbots.orders.OrderPlaced" => {
                seeds.push((format!("{short}-bare"), start(BARE).rest(&value)));
                let note = [&[2, b'x'], &value[5..]].concat();
                seeds.push((format!("{short}-other"), start(OTHER).rest(note)));
            }
            // The order's id, then an array of 2^40 items.
            "mallbots.depot.ShoppingChecked" => {
                let id = &value[5..42];
                let many = [id, &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]].concat();
                seeds.push((format!("{short}-many"), start(0).rest(many)));
            }
            _ => {}
        }
    }
    seeds
}
