//! A value of every message, made from its schema alone.

use apache_avro::{Schema as Avro, types::Value, writer::datum::GenericDatumWriter};
use message::Outgoing;
use schemas::Schema;
use serde_json::{Map, Value as Json, json};
use std::collections::HashMap;

pub const UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A value of every field of a schema, as the Avro value and as the JSON that the Rust type reads. `present` says
/// whether what may be null or empty is.
pub struct Sampler {
    named: HashMap<String, Avro>,
    present: bool,
}

impl Sampler {
    pub fn of(schema: &Avro, present: bool) -> (Value, Json) {
        Self { named: HashMap::new(), present }.sample("", schema)
    }

    fn sample(&mut self, field: &str, schema: &Avro) -> (Value, Json) {
        match schema {
            Avro::String => text(field),
            Avro::Int => (Value::Int(7), json!(7)),
            Avro::Long => (Value::Long(1 << 40), json!(1_i64 << 40)),
            Avro::Boolean => (Value::Boolean(true), json!(true)),
            Avro::Array(array) => {
                // Sampled also when it stays empty: a later field may refer to the type that is defined here.
                let (avro, json) = self.sample(field, &array.items);
                let count = if self.present { 2 } else { 0 };
                (Value::Array(vec![avro; count]), Json::Array(vec![json; count]))
            }
            Avro::Union(union) => match (self.present, union.variants()) {
                (true, [Avro::Null, inner]) => {
                    let (avro, json) = self.sample(field, inner);
                    (Value::Union(1, Box::new(avro)), json)
                }
                (false, [Avro::Null, _]) => (Value::Union(0, Box::new(Value::Null)), Json::Null),
                other => panic!("{field}: a union that is no nullable value: {other:?}"),
            },
            Avro::Record(record) => {
                self.named.insert(record.name.fullname(None), schema.clone());
                let mut json = Map::new();
                let fields = record.fields.iter().map(|f| {
                    let (avro_value, json_value) = self.sample(&f.name, &f.schema);
                    json.insert(f.name.clone(), json_value);
                    (f.name.clone(), avro_value)
                });
                (Value::Record(fields.collect()), Json::Object(json))
            }
            Avro::Ref { name } => {
                let schema = self.named[&name.fullname(None)].clone();
                self.sample(field, &schema)
            }
            other => panic!("{field}: a type that no message uses yet: {other:?}"),
        }
    }
}

fn text(field: &str) -> (Value, Json) {
    let text = match field {
        "currency" => "EUR",
        id if id.ends_with("_id") => UUID,
        _ => "some text",
    };
    (Value::String(text.to_owned()), json!(text))
}

pub fn parsed(avsc: &str) -> Avro {
    Avro::parse_str(avsc).unwrap_or_else(|e| panic!("{e} in {avsc}"))
}

pub fn typed(schema: &Schema, json: &Json) -> Outgoing {
    (schema.from_json)(json.clone()).unwrap_or_else(|e| panic!("{}: {e} in {json}", schema.name))
}

pub fn written(avro: &Avro, message: &Outgoing) -> Vec<u8> {
    let writer = GenericDatumWriter::builder(avro).build().unwrap();
    writer.write_ser_to_vec(&message.body()).unwrap_or_else(|e| panic!("{}: {e}", message.name))
}
