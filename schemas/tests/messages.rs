//! The Rust types and the `.avsc` files are the same contract: proved for every message, not for examples.
//!
//! A sample is made from the schema alone, read by the Rust type, written as Avro by the type and by the schema, and read
//! back. A field that only one of the two has, another order or another type breaks one of these steps.

mod sampler;

use apache_avro::{Schema as Avro, reader::datum::GenericDatumReader, types::Value, writer::datum::GenericDatumWriter};
use sampler::{Sampler, UUID, parsed, typed, written};
use schemas::{Kind, Schema, all, find};
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// Calls `check` with each message, its parsed schema and a sample, once with and once without optional content.
fn each_sample(check: impl Fn(&Schema, &Avro, Value, Json)) {
    for schema in all() {
        let avro = parsed(schema.avsc);
        for present in [true, false] {
            let (value, json) = Sampler::of(&avro, present);
            check(schema, &avro, value, json);
        }
    }
}

#[test]
fn the_rust_type_has_exactly_the_fields_of_its_schema() {
    each_sample(|schema, _, _, json| assert_eq!(typed(schema, &json).to_json(), json, "{}", schema.name));
}

#[test]
fn the_rust_type_writes_the_bytes_that_the_schema_alone_would() {
    each_sample(|schema, avro, value, json| {
        let by_schema = GenericDatumWriter::builder(avro).build().unwrap().write_value_to_vec(value);
        assert_eq!(written(avro, &typed(schema, &json)), by_schema.unwrap(), "{}", schema.name);
    });
}

#[test]
fn what_is_written_is_read_back_equal_and_to_the_last_byte() {
    each_sample(|schema, avro, value, json| {
        let message = typed(schema, &json);
        let bytes = written(avro, &message);
        let mut rest = bytes.as_slice();
        assert_eq!((schema.from_avro)(avro, &mut rest).unwrap(), message);
        assert!(rest.is_empty(), "{}: {} bytes were left", schema.name, rest.len());
        let generic = GenericDatumReader::builder(avro).build().unwrap().read_value(&mut bytes.as_slice());
        assert_eq!(generic.unwrap(), value, "{}", schema.name);
    });
}

#[test]
fn no_value_is_without_a_byte_since_there_are_clients_that_refuse_it() {
    each_sample(|schema, avro, _, json| {
        assert!(!written(avro, &typed(schema, &json)).is_empty(), "{}", schema.name);
    });
}

#[test]
fn a_missing_field_is_an_error_and_never_a_guess() {
    each_sample(|schema, _, _, json| {
        let Json::Object(fields) = json else { panic!("{} is no record", schema.name) };
        for (name, value) in &fields {
            let mut fewer = fields.clone();
            fewer.remove(name);
            let nullable = value.is_null() || schema.name == "mallbots.depot.BotLost" && name == "order_id";
            assert_eq!((schema.from_json)(Json::Object(fewer)).is_ok(), nullable, "{} without {name}", schema.name);
        }
    });
}

#[test]
fn values_that_the_domain_does_not_have_are_not_read() {
    let put = find("mallbots.orders.BasketItemPut").unwrap();
    let basket = |quantity: i32, id: &str| json!({"basket_id": id, "product_id": UUID, "quantity": quantity});
    assert!((put.from_json)(basket(999, UUID)).is_ok());
    let avro = parsed(put.avsc);
    for (quantity, id) in [(0, UUID), (1000, UUID), (-1, UUID), (1, "7")] {
        assert!((put.from_json)(basket(quantity, id)).is_err());
        let fields =
            [("basket_id", text_value(id)), ("product_id", text_value(UUID)), ("quantity", Value::Int(quantity))];
        let record = Value::Record(fields.map(|(name, value)| (name.to_owned(), value)).into());
        let bytes = GenericDatumWriter::builder(&avro).build().unwrap().write_value_to_vec(record).unwrap();
        assert!((put.from_avro)(&avro, &mut bytes.as_slice()).is_err(), "{quantity} {id} was read");
    }
}

fn text_value(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn truncated_bodies_are_errors() {
    each_sample(|schema, avro, _, json| {
        let bytes = written(avro, &typed(schema, &json));
        for end in 0..bytes.len() {
            let read = (schema.from_avro)(avro, &mut &bytes[..end]);
            assert!(read.is_err(), "{}: {end} of {} bytes were enough", schema.name, bytes.len());
        }
    });
}

#[test]
fn every_file_is_registered_and_every_message_has_its_file() {
    let files: BTreeSet<String> = avsc_files(&root().join("avro")).iter().map(|path| name_of(path)).collect();
    let registered: BTreeSet<String> = all().iter().map(|schema| schema.name.to_owned()).collect();
    assert_eq!(files, registered);
    assert_eq!(registered.len(), all().len(), "a name is registered twice");
}

#[test]
fn a_record_is_named_as_its_message_and_explains_itself_and_every_field() {
    for schema in all() {
        let Avro::Record(record) = parsed(schema.avsc) else { panic!("{} is no record", schema.name) };
        assert_eq!(record.name.fullname(None), schema.name);
        assert!(record.doc.is_some(), "{} has no doc", schema.name);
        for field in &record.fields {
            assert!(field.doc.is_some(), "{}.{} has no doc", schema.name, field.name);
        }
    }
}

#[test]
fn no_schema_refers_to_itself() {
    fn walk(schema: &Avro, inside: &mut Vec<String>) {
        match schema {
            Avro::Record(record) => {
                inside.push(record.name.fullname(None));
                record.fields.iter().for_each(|field| walk(&field.schema, inside));
                inside.pop();
            }
            Avro::Ref { name } => assert!(!inside.contains(&name.fullname(None)), "{name} refers to itself"),
            Avro::Array(array) => walk(&array.items, inside),
            Avro::Union(union) => union.variants().iter().for_each(|variant| walk(variant, inside)),
            _ => {}
        }
    }
    all().iter().for_each(|schema| walk(&parsed(schema.avsc), &mut Vec::new()));
}

#[test]
fn a_type_shared_by_several_files_is_the_same_in_all() {
    fn collect(schema: &Json, seen: &mut HashMap<String, Json>) {
        match schema {
            Json::Object(record) if record.get("namespace") == Some(&json!("mallbots")) => {
                let first = seen.entry(record["name"].to_string()).or_insert_with(|| schema.clone());
                // Within `OrderLine`, the first mention of `Money` defines it in one file and refers to it in another.
                assert_eq!(plain(first), plain(schema));
                record.values().for_each(|value| collect(value, seen));
            }
            Json::Object(fields) => fields.values().for_each(|value| collect(value, seen)),
            Json::Array(values) => values.iter().for_each(|value| collect(value, seen)),
            _ => {}
        }
    }
    fn plain(record: &Json) -> Vec<(String, String)> {
        let name = |kind: &Json| match kind {
            Json::Object(inner) if inner.contains_key("name") => {
                format!("mallbots.{}", inner["name"].as_str().unwrap())
            }
            Json::String(name) => name.clone(),
            other => other.to_string(),
        };
        let fields = record["fields"].as_array().unwrap();
        fields.iter().map(|f| (f["name"].to_string(), name(&f["type"]))).collect()
    }
    let mut seen = HashMap::new();
    all().iter().for_each(|schema| collect(&serde_json::from_str(schema.avsc).unwrap(), &mut seen));
    assert_eq!(seen.len(), 5, "Money, Location, OrderLine, LineCount and Refused, but: {:?}", seen.keys());
}

#[test]
fn each_kind_travels_on_its_topic_and_each_command_has_its_reply() {
    for schema in all() {
        let context = schema.name.split('.').nth(1).unwrap();
        let expected = match schema.kind {
            Kind::Event => format!("mallbots.{context}.events"),
            Kind::Command => format!("mallbots.{context}.commands"),
            Kind::Reply => "mallbots.orchestrator.replies".to_owned(),
            Kind::Catalogue => format!("mallbots.{context}.catalogue"),
        };
        assert_eq!(schema.topic, expected, "{}", schema.name);
        assert_eq!(schema.reply.is_some(), schema.kind == Kind::Command, "{}", schema.name);
        if let Some(reply) = schema.reply {
            assert_eq!(find(reply).map(|s| s.kind), Some(Kind::Reply), "{}", schema.name);
        }
    }
}

fn root() -> PathBuf {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    std::env::current_dir().unwrap()
}

fn avsc_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { avsc_files(&path) } else { vec![path] }).collect()
}

/// `mallbots.<context>.<Name>` of `avro/<context>/<Name>.avsc`.
fn name_of(path: &Path) -> String {
    let inside = path.strip_prefix(root().join("avro")).unwrap().with_extension("");
    let parts: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
    assert_eq!(path.extension().and_then(|e| e.to_str()), Some("avsc"), "{} is out of place", path.display());
    format!("mallbots.{}", parts.join("."))
}
