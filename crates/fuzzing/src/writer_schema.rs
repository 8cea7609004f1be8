//! Schemas that the registry answers with: whatever text it is, it is learned or refused, and what it describes is read or
//! refused.

use crate::{
    cut::{Cut, Glue},
    messages::MESSAGES,
    sample::{Numbers, sample},
};
use std::sync::LazyLock;
use transport::codec::{Codec, Wire};

/// The id under which the text is learned.
const ID: u32 = 1;

/// The input: the schema's text, and a value's body written with it, which is read as the message that the text names.
///
/// A codec keeps what it learned for ever, so that a long run grows by the texts that are schemas.
pub fn writer_schema(bytes: &[u8]) {
    static CODEC: LazyLock<Codec> = LazyLock::new(|| {
        // Ours have other ids than the one that is learned.
        let place = |name: &str| schemas::all().iter().position(|schema| schema.name == name);
        Codec::new(|name| place(name).map(|at| at as u32 + ID + 1)).unwrap_or_else(|e| panic!("our schemas: {e}"))
    });
    let mut cut = Cut::new(bytes);
    let text = cut.text();
    if CODEC.learn(ID, &text).is_err() {
        return;
    }
    let value = [&[0], ID.to_be_bytes().as_slice(), cut.rest()].concat();
    let _ = Wire::parse(&value).and_then(|wire| CODEC.decode_json(&wire));
    let name = CODEC.name_of(ID).unwrap_or_default();
    if let Some((_, read)) = MESSAGES.iter().find(|(known, _)| *known == name) {
        let _ = read(&CODEC, &value);
    }
}

/// Ours, and what a hostile registry might say: fields of nothing a billion times, and types that no message has.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |text: &str, body: &[u8]| Glue::default().block(text).rest(body);
    let ours = ["mallbots.orders.OrderPlaced", "mallbots.depot.BotLost", "mallbots.Refused"].map(|name| {
        let schema = schemas::find(name).unwrap_or_else(|| panic!("no schema {name}"));
        let value = crate::avro::encoded(&sample(schema, Numbers::Small));
        (message::short_name(name).to_owned(), seed(schema.avsc, &value[5..]))
    });
    let with = |field: &str| {
        format!(
            r#"{{"type":"record","name":"Refused","namespace":"mallbots","fields":[{{"name":"x","type":{field}}}]}}"#
        )
    };
    let billion = [0x80, 0x80, 0x80, 0x80, 0x08];
    let hostile = [
        ("nothings", seed(&with(r#"{"type":"array","items":"null"}"#), &billion)),
        ("map", seed(&with(r#"{"type":"map","values":"null"}"#), &billion)),
        ("decimal", seed(&with(r#"{"type":"bytes","logicalType":"decimal","precision":4,"scale":2}"#), &[2, 1])),
    ];
    let hostile = hostile.map(|(name, bytes)| (name.to_owned(), bytes));
    ours.into_iter().chain(hostile).collect()
}
