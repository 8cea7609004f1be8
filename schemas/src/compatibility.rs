//! Whether two versions of a schema read each other's records: the rule FULL, decided without a registry.
//!
//! `apache-avro` knows the rules of schema resolution, with gaps that matter here, which are closed first: it compares
//! references by name alone, so the place of a shared type's definition would decide; it takes strings for bytes and
//! one unit of time for another; it ignores the namespace of nested types; and half a match counts as one.

use apache_avro::{
    Schema,
    error::CompatibilityError,
    schema::{Name, SchemaKind, UnionSchema},
    schema_compatibility::{Compatibility, SchemaCompatibility},
};
use std::{collections::HashMap, error::Error};

/// Refuses `present` unless it reads everything that `released` wrote and is read by it; the error says what is wrong,
/// in words for the person who changed the file.
pub fn full(released: &str, present: &str) -> Result<(), String> {
    let (released, present) = (parsed(released)?, parsed(present)?);
    same_meaning("", &released, &present)?;
    reads("the released version's records cannot be read", &released, &present)?;
    reads("the released version cannot read its records", &present, &released)
}

fn parsed(avsc: &str) -> Result<Schema, String> {
    let schema = Schema::parse_str(avsc).map_err(|e| format!("no valid Avro schema: {e}"))?;
    Ok(spread(&schema, &mut HashMap::new(), &mut Vec::new()))
}

/// `schema` with every reference replaced by what it refers to, save those of a type to itself.
fn spread(schema: &Schema, known: &mut HashMap<Name, Schema>, inside: &mut Vec<Name>) -> Schema {
    if let Some(name) = schema.name()
        && !matches!(schema, Schema::Ref { .. })
    {
        known.insert(name.clone(), schema.clone());
    }
    match schema {
        Schema::Ref { name } if !inside.contains(name) => match known.get(name).cloned() {
            Some(definition) => spread(&definition, known, inside),
            None => schema.clone(),
        },
        Schema::Record(record) => {
            let mut record = record.clone();
            inside.push(record.name.clone());
            for field in &mut record.fields {
                field.schema = spread(&field.schema, known, inside);
            }
            inside.pop();
            Schema::Record(record)
        }
        Schema::Array(array) => Schema::array(spread(&array.items, known, inside)).build(),
        Schema::Map(map) => Schema::map(spread(&map.types, known, inside)).build(),
        Schema::Union(union) => {
            let variants = union.variants().iter().map(|v| spread(v, known, inside)).collect();
            UnionSchema::new(variants).map_or_else(|_| schema.clone(), Schema::Union)
        }
        other => other.clone(),
    }
}

/// What both versions have in common is of the same type and full name.
fn same_meaning(place: &str, released: &Schema, present: &Schema) -> Result<(), String> {
    let (was, is) = (type_of(released), type_of(present));
    if was != is {
        let place = if place.is_empty() { "the record" } else { place };
        return Err(format!("{place} was {was} and is {is}"));
    }
    match (released, present) {
        (Schema::Record(released), Schema::Record(present)) => released.fields.iter().try_for_each(|was| {
            let is = present.fields.iter().find(|is| is.name == was.name);
            is.map_or(Ok(()), |is| same_meaning(&inner(place, &was.name), &was.schema, &is.schema))
        }),
        (Schema::Array(released), Schema::Array(present)) => {
            same_meaning(&inner(place, "[]"), &released.items, &present.items)
        }
        (Schema::Map(released), Schema::Map(present)) => {
            same_meaning(&inner(place, "{}"), &released.types, &present.types)
        }
        (Schema::Union(released), Schema::Union(present)) => released.variants().iter().try_for_each(|was| {
            let is = present.variants().iter().find(|is| type_of(is) == type_of(was));
            is.map_or(Ok(()), |is| same_meaning(place, was, is))
        }),
        _ => Ok(()),
    }
}

/// `int`, `timestampmillis`, `mallbots.Money`.
fn type_of(schema: &Schema) -> String {
    schema.name().map_or_else(|| format!("{:?}", SchemaKind::from(schema)).to_lowercase(), |name| name.fullname(None))
}

fn inner(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn reads(what: &str, writer: &Schema, reader: &Schema) -> Result<(), String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err(format!("{what} in every case: an enum or a union has values it lacks")),
        Err(error) => Err(format!("{what}: {}", because(&error))),
    }
}

/// The path of fields to the innermost reason.
fn because(error: &CompatibilityError) -> String {
    match error {
        CompatibilityError::FieldTypeMismatch(field, inner) => format!("{field}: {}", because(inner)),
        CompatibilityError::MissingDefaultValue(field) => {
            format!("field `{field}` is in one version only and has no default")
        }
        CompatibilityError::WrongType { .. } => "the types differ".to_owned(),
        other => other.source().map_or_else(|| other.to_string(), ToString::to_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with these fields; the second definition of a type in it is a reference.
    fn record(fields: &str) -> String {
        format!(r#"{{"type":"record","name":"R","namespace":"mallbots","fields":[{fields}]}}"#)
    }

    const MONEY: &str =
        r#"{"type":"record","name":"Money","namespace":"mallbots","fields":[{"name":"amount","type":"long"}]}"#;

    fn field(name: &str, kind: &str) -> String {
        let kind = if kind.starts_with(['{', '[']) { kind.to_owned() } else { format!("\"{kind}\"") };
        format!(r#"{{"name":"{name}","type":{kind}}}"#)
    }

    fn with_default(name: &str, kind: &str, default: &str) -> String {
        field(name, kind).replace('}', &format!(r#","default":{default}}}"#))
    }

    fn colour(symbols: &str, default: &str) -> String {
        field("c", &format!(r#"{{"type":"enum","name":"C","symbols":[{symbols}]{default}}}"#))
    }

    /// Both directions at once: what is refused as an upgrade is refused as a downgrade.
    #[track_caller]
    fn refused(a: &str, b: &str, why: &str) {
        for (a, b) in [(a, b), (b, a)] {
            let said = full(&record(a), &record(b)).expect_err("it was accepted");
            assert!(said.contains(why), "`{said}` does not say `{why}`");
        }
    }

    #[track_caller]
    fn accepted(a: &str, b: &str) {
        for (a, b) in [(a, b), (b, a)] {
            assert_eq!(full(&record(a), &record(b)), Ok(()));
        }
    }

    #[test]
    fn a_field_comes_and_goes_only_with_a_default() {
        let id = field("id", "string");
        refused(&id, &format!("{id},{}", field("n", "int")), "field `n` is in one version only and has no default");
        accepted(&id, &format!("{id},{}", with_default("n", "int", "0")));
        accepted(&id, &format!("{id},{}", with_default("n", r#"["null","string"]"#, "null")));
    }

    #[test]
    fn a_field_keeps_its_name_and_its_type() {
        refused(&field("n", "int"), &field("n", "long"), "n was ");
        refused(&field("n", "int"), &field("n", "string"), "n was ");
        refused(&field("a", "int"), &field("b", "int"), "in one version only");
        refused(&field("n", "int"), &field("n", r#"["null","int"]"#), "n was ");
    }

    #[test]
    fn strings_do_not_become_bytes_nor_one_unit_of_time_another() {
        let time = |unit: &str| field("t", &format!(r#"{{"type":"long","logicalType":"{unit}"}}"#));
        refused(&field("n", "string"), &field("n", "bytes"), "n was ");
        refused(&time("timestamp-millis"), &time("timestamp-micros"), "t was timestamp");
        refused(&time("timestamp-millis"), &field("t", "long"), "t was ");
    }

    #[test]
    fn a_union_keeps_its_variants() {
        refused(&field("u", r#"["null","int"]"#), &field("u", r#"["null","int","string"]"#), "an enum or a union");
        accepted(&field("u", r#"["null","int"]"#), &field("u", r#"["int","null"]"#));
    }

    #[test]
    fn an_enum_loses_and_gains_symbols_only_with_a_default() {
        refused(&colour(r#""A","B""#, ""), &colour(r#""A""#, ""), "an enum or a union");
        let other = r#","default":"A""#;
        accepted(&colour(r#""A","B""#, other), &colour(r#""A""#, other));
    }

    #[test]
    fn it_does_not_matter_where_a_shared_type_is_defined() {
        let before = format!("{},{}", field("a", MONEY), field("b", "mallbots.Money"));
        let after = format!("{},{}", field("b", MONEY), field("a", "mallbots.Money"));
        accepted(&before, &after);
    }

    #[test]
    fn a_change_inside_a_shared_type_is_found_wherever_it_is_used() {
        let changed = MONEY.replace("long", "string");
        let lines = |kind: &str| field("lines", &format!(r#"{{"type":"array","items":{kind}}}"#));
        refused(&lines(MONEY), &lines(&changed), "lines.[].amount was ");
        let moved = MONEY.replace("mallbots", "elsewhere");
        refused(&field("a", MONEY), &field("a", &moved), "mallbots.Money");
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        assert!(full("{}", &record("")).unwrap_err().contains("no valid Avro schema"));
    }
}
