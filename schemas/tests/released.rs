//! Every released version and this one understand each other: by the rule, and with bytes.

mod sampler;

use apache_avro::{Schema as Avro, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use sampler::{Sampler, parsed, typed, written};
use schemas::{
    Schema, find,
    released::{Released, Verdict, released, verdicts, version_key},
};

#[test]
fn every_schema_reads_and_is_read_by_every_released_version() {
    let refused: Vec<_> = verdicts().into_iter().filter(|(_, v)| matches!(v, Verdict::Refused(_))).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn releases_are_kept_whole_and_in_order() {
    let versions: Vec<_> = released().iter().map(|r| version_key(r.version).expect(r.version)).collect();
    assert!(versions.is_sorted());
    assert!(versions.contains(&[0, 1, 0]), "the first release is gone");
    for old in released() {
        let Avro::Record(record) = parsed(old.avsc) else { panic!("{} is no record", old.name) };
        assert_eq!(record.name.fullname(None), old.name, "version {}", old.version);
    }
}

/// Calls `check` with each released schema, this build's of the same subject, and both parsed.
fn each_pair(check: impl Fn(&Released, &Schema, &Avro, &Avro)) {
    for old in released() {
        let new = find(old.name).expect(old.name);
        check(old, new, &parsed(old.avsc), &parsed(new.avsc));
    }
}

fn bytes(schema: &Avro, value: Value) -> Vec<u8> {
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// What `reader` makes of bytes that were written by `writer`.
fn read(writer: &Avro, reader: &Avro, mut bytes: &[u8]) -> Value {
    let resolving = GenericDatumReader::builder(writer).reader_schema(reader).build().unwrap();
    let value = resolving.read_value(&mut bytes).unwrap_or_else(|e| panic!("{}: {e}", reader.name().unwrap()));
    assert!(bytes.is_empty(), "{} bytes were left", bytes.len());
    value
}

#[test]
fn what_a_released_version_wrote_is_read_by_this_build() {
    each_pair(|old, new, writer, reader| {
        for present in [true, false] {
            let (value, json) = Sampler::of(writer, present);
            let read = read(writer, reader, &bytes(writer, value));
            let message = (new.from_json)(serde_json::Value::try_from(read).unwrap());
            let message = message.unwrap_or_else(|e| panic!("{} {}: {e}", old.name, old.version)).to_json();
            // Fields that came since have their defaults; those there were have what was written.
            for (name, kept) in message.as_object().unwrap() {
                assert_eq!(json.get(name).unwrap_or(kept), kept, "{}.{name} of {}", old.name, old.version);
            }
        }
    });
}

#[test]
fn what_this_build_writes_is_read_by_every_released_version() {
    each_pair(|old, new, reader, writer| {
        for present in [true, false] {
            let (_, json) = Sampler::of(writer, present);
            let read = serde_json::Value::try_from(read(writer, reader, &written(writer, &typed(new, &json)))).unwrap();
            for (name, kept) in read.as_object().unwrap() {
                assert_eq!(json.get(name).unwrap_or(kept), kept, "{}.{name} by {}", old.name, old.version);
            }
        }
    });
}
