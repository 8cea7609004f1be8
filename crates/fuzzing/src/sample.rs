//! A value of every message, made from its schema: what seeds are encoded from.

use message::Outgoing;
use schemas::Schema;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The id of everything that samples name.
pub const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// The numbers of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numbers {
    Small,
    Largest,
    Lowest,
}

/// A valid message of this schema, always the same. Panics when the schema has a type that no message used so far.
pub fn sample(schema: &Schema, numbers: Numbers) -> Outgoing {
    let parsed: Value = serde_json::from_str(schema.avsc).unwrap_or_else(|e| panic!("{}: {e}", schema.name));
    let json = Sampler { numbers, named: HashMap::new() }.value("", &parsed);
    (schema.from_json)(json).unwrap_or_else(|e| panic!("{}: {e}", schema.name))
}

struct Sampler<'a> {
    numbers: Numbers,
    named: HashMap<&'a str, &'a Value>,
}

impl<'a> Sampler<'a> {
    fn value(&mut self, field: &str, schema: &'a Value) -> Value {
        match schema {
            Value::String(name) => match (name.as_str(), field) {
                ("string", "currency") => json!("EUR"),
                ("string", "phone") => json!("+491701234567"),
                ("string", id) if id.ends_with("_id") || id == "business_key" => json!(ID),
                ("string", "saga_type") => json!("order-fulfilment"),
                ("string", _) => json!("some text"),
                ("int", "quantity") if self.numbers == Numbers::Largest => json!(999),
                ("int", "quantity") => json!(1),
                ("int", _) => json!(self.number(i32::MIN.into(), i32::MAX.into())),
                ("long", _) => json!(self.number(i64::MIN, i64::MAX)),
                ("boolean", _) => json!(true),
                ("null", _) => Value::Null,
                (name, _) => self.value(field, self.named[name.rsplit('.').next().unwrap_or(name)]),
            },
            Value::Array(variants) => self.value(field, &variants[variants.len() - 1]),
            schema if schema["type"] == "array" => json!([self.value(field, &schema["items"])]),
            schema if schema["type"] == "record" => {
                self.named.insert(schema["name"].as_str().unwrap_or_default(), schema);
                let fields = schema["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
                let fields = fields.iter().map(|f| {
                    let name = f["name"].as_str().unwrap_or_default();
                    (name.to_owned(), self.value(name, &f["type"]))
                });
                Value::Object(fields.collect::<Map<_, _>>())
            }
            schema => self.value(field, &schema["type"]),
        }
    }

    fn number(&self, lowest: i64, largest: i64) -> i64 {
        match self.numbers {
            Numbers::Small => 1,
            Numbers::Largest => largest,
            Numbers::Lowest => lowest,
        }
    }
}
