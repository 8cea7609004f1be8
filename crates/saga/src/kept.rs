//! What a saga keeps between its steps.

use crate::Unreadable;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};
use std::sync::Arc;

/// What a saga's steps keep and build their commands from: JSON text, read and written by the definition's own type, and
/// shared by the progresses that follow each other until a step changes it.
#[derive(Debug, Clone)]
pub struct Kept(Arc<RawValue>);

impl Kept {
    /// As a definition writes it.
    pub fn of<D: Serialize>(data: &D) -> Result<Self, Unreadable> {
        to_raw_value(data).map(|text| Self(text.into())).map_err(|e| Unreadable::Data(e.to_string()))
    }

    /// As a definition reads it.
    pub fn read<D: DeserializeOwned>(&self) -> Result<D, Unreadable> {
        serde_json::from_str(self.0.get()).map_err(|e| Unreadable::Data(e.to_string()))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Serialize for Kept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn data_is_part_of_the_json_it_stands_in() {
        let data = Kept::of(&json!({"seat": 12})).unwrap();
        assert_eq!(serde_json::to_string(&[&data]).unwrap(), r#"[{"seat":12}]"#);
        assert_eq!(serde_json::to_value(&data).unwrap(), json!({"seat": 12}));
        assert_eq!(serde_json::from_str::<Kept>(r#"{"seat":12}"#).unwrap(), data);
        assert_eq!(serde_json::from_value::<Kept>(json!({"seat": 12})).unwrap(), data);
        assert_eq!(data.read::<Value>().unwrap()["seat"], 12);
        assert!(data.read::<u32>().is_err());
    }

    #[test]
    fn data_is_equal_when_its_text_is() {
        let seat = |n: u32| Kept::of(&json!({ "seat": n })).unwrap();
        assert_eq!(seat(12), seat(12));
        assert_ne!(seat(12), seat(13));
    }
}
