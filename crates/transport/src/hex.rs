//! Bytes as base 16 in JSON: half the size of an array of numbers, and PostgreSQL keeps it as one text.

use message::Headers;
use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::fmt::Write;

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn decode<E: Error>(text: &str) -> Result<Vec<u8>, E> {
    let digit = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    (0..text.len()).step_by(2).map(|at| digit(at).ok_or_else(|| E::custom("not base 16"))).collect()
}

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(bytes))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    decode(&String::deserialize(deserializer)?)
}

pub(crate) mod optional {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| decode(&text)).transpose()
    }
}

pub(crate) mod named {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(headers: &Headers, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(headers.iter().map(|(name, bytes)| (name, encode(bytes))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        pairs.into_iter().map(|(name, text)| Ok((name, decode::<D::Error>(&text)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::ports::Record;

    #[test]
    fn a_record_survives_json_in_at_most_twice_its_bytes() {
        let value: Vec<u8> = (0..=255).cycle().take(10_000).collect();
        let headers = [("a", vec![]), ("b", vec![0, 255])].into_iter().collect();
        let full = Record { topic: "t".into(), partition: 1, offset: 2, key: None, headers, value: Some(value) };
        let json = serde_json::to_string(&full).unwrap();
        assert!(json.len() < 20_200, "{} bytes", json.len());
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), full);
        for bad in ["0", "0g", "é"] {
            let broken = json.replace("00ff", bad);
            assert!(serde_json::from_str::<Record>(&broken).is_err(), "{bad}");
        }
    }
}
