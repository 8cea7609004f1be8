//! Avro in Confluent's wire format: magic byte 0, schema id as four bytes big-endian, body.
//!
//! The schemas we write are compiled in; ids come from the registry. Bytes are read with the schema they were written
//! with, and only when that schema's record is one of ours: a message never brings its own schema.

use crate::error::Error;
use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema::{Name, UuidSchema},
    writer::datum::GenericDatumWriter,
};
use message::{Message, Outgoing};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// Largest encoded value we write or read, bytes: far below the broker's limit, above any message of ours.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;
/// What one decode may allocate, bytes.
const MAX_ALLOCATION_BYTES: usize = 1 << 20;

/// A value split into schema id and body, with the record name its headers claim.
#[derive(Debug, Clone, Copy)]
pub struct Wire<'a> {
    pub schema_id: u32,
    pub body: &'a [u8],
}

impl<'a> Wire<'a> {
    /// Takes the prefix off. The error is the reason to park the record.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_VALUE_BYTES {
            return Err(Error::Poison(format!("{} bytes, the limit is {MAX_VALUE_BYTES}", bytes.len())));
        }
        match bytes {
            [0, a, b, c, d, body @ ..] => Ok(Self { schema_id: u32::from_be_bytes([*a, *b, *c, *d]), body }),
            [0, ..] | [] => Err(Error::Poison(format!("{} bytes, too short for a schema id", bytes.len()))),
            [magic, ..] => Err(Error::Poison(format!("first byte is {magic}, expected 0 (Confluent wire format)"))),
        }
    }
}

struct Ours {
    schema: &'static Schema,
    writer: GenericDatumWriter<'static>,
    reader: GenericDatumReader<'static>,
    id: u32,
}

struct Foreign {
    name: String,
    /// Written with exactly our schema: decoded without resolution.
    same: bool,
    schema: &'static Schema,
}

/// Encodes and decodes every message of the platform.
pub struct Codec {
    ours: HashMap<&'static str, Ours>,
    by_id: RwLock<HashMap<u32, Foreign>>,
}

impl Codec {
    /// A codec for all compiled-in schemas; `ids` gives each record name's id in the registry.
    pub fn new(ids: impl Fn(&str) -> Option<u32>) -> Result<Self, Error> {
        limit_allocation()?;
        let mut codec = Self { ours: HashMap::new(), by_id: RwLock::default() };
        for known in schemas::all() {
            let id = ids(known.name).ok_or_else(|| Error::Fatal(format!("schema {} is not registered", known.name)))?;
            codec.add(known.name, known.avsc, id)?;
        }
        Ok(codec)
    }

    /// A codec with made-up ids (1, 2, …), for tests and tools without a registry.
    pub fn offline() -> Result<Self, Error> {
        let names: Vec<_> = schemas::all().iter().map(|s| s.name).collect();
        Self::new(|name| names.iter().position(|n| *n == name).map(|at| at as u32 + 1))
    }

    fn add(&mut self, name: &'static str, avsc: &str, id: u32) -> Result<(), Error> {
        let broken = |e: apache_avro::Error| Error::Fatal(format!("schema {name}: {e}"));
        // Leaked on purpose: the set is fixed at start-up and lives as long as the process.
        let schema: &'static Schema = Box::leak(Box::new(Schema::parse_str(avsc).map_err(broken)?));
        let writer = GenericDatumWriter::builder(schema).human_readable(true).build().map_err(broken)?;
        let reader = GenericDatumReader::builder(schema).human_readable(true).build().map_err(broken)?;
        self.ours.insert(name, Ours { schema, writer, reader, id });
        let foreign = Foreign { name: name.to_owned(), same: true, schema };
        self.by_id.get_mut().unwrap_or_else(PoisonError::into_inner).insert(id, foreign);
        Ok(())
    }

    /// Whether values written with this id can be decoded without asking the registry.
    pub fn knows(&self, schema_id: u32) -> bool {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).contains_key(&schema_id)
    }

    /// Learns the schema that the registry has under `schema_id`. [`Error::Poison`] for one that no version of our messages
    /// has reason to be: values of it could take any memory or stack.
    pub fn learn(&self, schema_id: u32, avsc: &str) -> Result<(), Error> {
        let schema = Schema::parse_str(avsc).map_err(|e| Error::Poison(format!("schema {schema_id}: {e}")))?;
        check(&schema, &mut Vec::new()).map_err(|why| Error::Poison(format!("schema {schema_id}: {why}")))?;
        let name = schema.name().map(ToString::to_string).unwrap_or_default();
        // Not by canonical forms: making one panics over attributes of others that are called `size` and are no number.
        let same = self.ours.get(name.as_str()).is_some_and(|o| *o.schema == schema);
        let foreign = Foreign { name, same, schema: Box::leak(Box::new(schema)) };
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(schema_id, foreign);
        Ok(())
    }

    /// The bytes of `outgoing`. [`Error::Poison`] when it does not fit its schema or is too large.
    pub fn encode(&self, outgoing: &Outgoing) -> Result<Vec<u8>, Error> {
        let ours = self.ours(outgoing.name)?;
        let mut bytes = Vec::with_capacity(256);
        bytes.push(0);
        bytes.extend(ours.id.to_be_bytes());
        ours.writer
            .write_ser(&mut bytes, &outgoing.body())
            .map_err(|e| Error::Poison(format!("{} does not fit its schema: {e}", outgoing.name)))?;
        if bytes.len() > MAX_VALUE_BYTES {
            let (name, length) = (outgoing.name, bytes.len());
            return Err(Error::Poison(format!("{name} takes {length} bytes, the limit is {MAX_VALUE_BYTES}")));
        }
        Ok(bytes)
    }

    /// Reads a value as message `M`. Its schema id must be known (see [`Codec::knows`]).
    pub fn decode<M: Message>(&self, bytes: &[u8]) -> Result<M, Error> {
        let wire = Wire::parse(bytes)?;
        let poison = |e: apache_avro::Error| Error::Poison(format!("{} does not decode: {e}", M::NAME));
        match self.resolve(wire.schema_id, M::NAME)? {
            Reading::Same(reader) => read_all(wire.body, |body| reader.read_deser(body)).map_err(poison)?,
            Reading::Resolved(writer) => {
                let ours = self.ours(M::NAME)?;
                let read = read_all(wire.body, |body| resolved(body, writer, ours)).map_err(poison)?;
                match read {
                    Ok(value) => Ok(apache_avro::from_value::<M>(&value).map_err(poison)?),
                    Err(left) => Err(left),
                }
            }
        }
        .map_err(|left| stray(M::NAME, left))
    }

    /// Reads a value of any of our records as JSON.
    pub fn decode_json(&self, wire: &Wire<'_>) -> Result<serde_json::Value, Error> {
        let name = self.name_of(wire.schema_id)?;
        let poison = |e: apache_avro::Error| Error::Poison(format!("{name} does not decode: {e}"));
        let ours = self.ours(&name)?;
        let read = match self.resolve(wire.schema_id, &name)? {
            Reading::Same(reader) => read_all(wire.body, |body| reader.read_value(body)),
            Reading::Resolved(writer) => read_all(wire.body, |body| resolved(body, writer, ours)),
        };
        let value = read.map_err(poison)?.map_err(|left| stray(&name, left))?;
        serde_json::Value::try_from(value).map_err(poison)
    }

    /// The record name registered under `schema_id`.
    pub fn name_of(&self, schema_id: u32) -> Result<String, Error> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let known = by_id.get(&schema_id).ok_or_else(|| Error::Poison(format!("schema id {schema_id} is unknown")))?;
        Ok(known.name.clone())
    }

    /// The schema id we write `name` with.
    pub fn id_of(&self, name: &str) -> Option<u32> {
        self.ours.get(name).map(|o| o.id)
    }

    fn resolve(&self, schema_id: u32, expected: &str) -> Result<Reading<'_>, Error> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let foreign =
            by_id.get(&schema_id).ok_or_else(|| Error::Poison(format!("schema id {schema_id} is unknown")))?;
        if foreign.name != expected {
            let name = &foreign.name;
            return Err(Error::Poison(format!("the headers say {expected}, schema id {schema_id} is {name}")));
        }
        if foreign.same {
            Ok(Reading::Same(&self.ours(expected)?.reader))
        } else {
            Ok(Reading::Resolved(foreign.schema))
        }
    }

    fn ours(&self, name: &str) -> Result<&Ours, Error> {
        self.ours.get(name).ok_or_else(|| Error::Poison(format!("{name} is not a message of this platform")))
    }
}

enum Reading<'a> {
    Same(&'a GenericDatumReader<'static>),
    Resolved(&'static Schema),
}

/// One value that was written with another version of our schema, as ours has it.
fn resolved(
    body: &mut &[u8],
    writer: &'static Schema,
    ours: &Ours,
) -> Result<apache_avro::types::Value, apache_avro::Error> {
    let reader = GenericDatumReader::builder(writer).reader_schema(ours.schema).human_readable(true).build()?;
    reader.read_value(body)
}

fn stray(name: &str, left: usize) -> Error {
    Error::Poison(format!("{name} is followed by {left} stray bytes"))
}

/// Reads one value; the inner error is the number of bytes left over.
fn read_all<T>(
    mut body: &[u8],
    read: impl FnOnce(&mut &[u8]) -> Result<T, apache_avro::Error>,
) -> Result<Result<T, usize>, apache_avro::Error> {
    let value = read(&mut body)?;
    Ok(if body.is_empty() { Ok(value) } else { Err(body.len()) })
}

/// The limit is process-wide and the first caller wins, so a larger one means that somebody else was first.
fn limit_allocation() -> Result<(), Error> {
    let limit = apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
    (limit <= MAX_ALLOCATION_BYTES)
        .then_some(())
        .ok_or_else(|| Error::Fatal(format!("the Avro allocation limit was set to {limit} before us")))
}

/// Whether values of this schema are bounded by their bytes: no fixed sizes, which the decoder allocates unseen, and no record
/// within itself, which it reads by recursion. `open` are the records around it.
fn check(schema: &Schema, open: &mut Vec<Name>) -> Result<(), String> {
    match schema {
        Schema::Null | Schema::Boolean | Schema::Int | Schema::Long | Schema::Float | Schema::Double => Ok(()),
        Schema::Bytes | Schema::String | Schema::Enum(_) => Ok(()),
        Schema::Date | Schema::TimeMillis | Schema::TimeMicros | Schema::TimestampMillis => Ok(()),
        Schema::TimestampMicros | Schema::Uuid(UuidSchema::String) => Ok(()),
        Schema::Array(array) => check(&array.items, open),
        Schema::Map(map) => check(&map.types, open),
        Schema::Union(union) => union.variants().iter().try_for_each(|variant| check(variant, open)),
        Schema::Ref { name } if open.contains(name) => Err(format!("the record {name} is within itself")),
        Schema::Ref { .. } => Ok(()),
        Schema::Record(record) => {
            open.push(record.name.clone());
            let checked = record.fields.iter().try_for_each(|field| check(&field.schema, open));
            open.pop();
            checked
        }
        _ => Err("it has a type that no message has: fixed, decimal, duration or the like".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::{depot::BotLost, ids::BotId};

    /// `BotLost` as a version may have had it that did not know of orders yet, and carried a field that is gone.
    const OLDER: &str = r#"{"type":"record","name":"BotLost","namespace":"mallbots.depot","fields":[
        {"name":"note","type":"string","default":""},
        {"name":"carried","type":{"type":"array","items":{"type":"record","name":"LineCount","namespace":"mallbots",
            "fields":[{"name":"product_id","type":"string"},{"name":"quantity","type":"int"}]}}},
        {"name":"bot_id","type":"string"}]}"#;
    const OLDER_ID: u32 = 9_000;
    const BOT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    /// note "x", nothing carried, a robot.
    fn older() -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 0x23, 0x28, 2, b'x', 0, 72];
        bytes.extend(BOT.as_bytes());
        bytes
    }

    fn one_field(field: &str) -> String {
        format!(r#"{{"type":"record","name":"Refused","namespace":"mallbots","fields":[{field}]}}"#)
    }

    #[test]
    fn a_schema_with_attributes_of_others_is_learned() {
        for extra in [r#""size":"large""#, r#""precision":0.5"#, r#""scale":null"#] {
            let avsc = one_field(&format!(r#"{{"name":"code","type":"string",{extra}}}"#));
            Codec::offline().unwrap().learn(OLDER_ID, &avsc).unwrap();
        }
    }

    #[test]
    fn a_schema_whose_values_take_any_memory_or_stack_is_refused() {
        for field in [
            r#"{"name":"x","type":{"type":"fixed","name":"f","size":9223372036854775807}}"#,
            r#"{"name":"x","type":["null","mallbots.Refused"]}"#,
            r#"{"name":"x","type":{"type":"array","items":"mallbots.Refused"}}"#,
        ] {
            let learned = Codec::offline().unwrap().learn(OLDER_ID, &one_field(field));
            assert!(matches!(learned, Err(Error::Poison(_))), "{field}: {learned:?}");
        }
    }

    fn codec() -> Codec {
        let codec = Codec::offline().unwrap();
        codec.learn(OLDER_ID, OLDER).unwrap();
        codec
    }

    #[test]
    fn what_another_version_wrote_is_read_by_field_names_and_defaults() {
        let read: BotLost = codec().decode(&older()).unwrap();
        assert_eq!((read.bot_id, read.order_id, read.carried.len()), (BotId::parse(BOT).unwrap(), None, 0));
        let json = codec().decode_json(&Wire::parse(&older()).unwrap()).unwrap();
        assert_eq!(json["bot_id"], BOT);
    }

    #[test]
    fn stray_bytes_are_poison_by_whatever_version_they_were_written() {
        let codec = codec();
        let present = codec.encode(&Outgoing::new(codec.decode::<BotLost>(&older()).unwrap())).unwrap();
        for mut bytes in [older(), present] {
            assert!(codec.decode::<BotLost>(&bytes).is_ok());
            bytes.push(7);
            let refused = [
                codec.decode::<BotLost>(&bytes).map(|_| ()),
                codec.decode_json(&Wire::parse(&bytes).unwrap()).map(|_| ()),
            ];
            for why in refused {
                assert!(why.unwrap_err().to_string().contains("1 stray bytes"));
            }
        }
    }
}
