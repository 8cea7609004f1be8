//! Text that a person typed, and the one way in which this crate reads values that travel as Avro strings.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::{fmt, marker::PhantomData, str::FromStr};

/// Most characters a person may type into one field.
pub const MAX_CHARS: usize = 200;

/// Trimmed, 1..=200 characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Text(String);

/// Why a text is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("the text is empty; give at least one character that is not a space")]
    Empty,
    #[error("the text has {0} characters; shorten it to {MAX_CHARS}")]
    TooLong(usize),
}

impl Text {
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        match text.chars().count() {
            0 => Err(TextError::Empty),
            n if n > MAX_CHARS => Err(TextError::TooLong(n)),
            _ => Ok(Self(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Text {
    type Err = TextError;
    fn from_str(s: &str) -> Result<Self, TextError> {
        Self::parse(s)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_str(deserializer, "a text of 1 to 200 characters")
    }
}

/// Reads a `T` from a string without copying it first.
pub(crate) fn deserialize_str<'de, D, T>(deserializer: D, expected: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    deserializer.deserialize_str(StrVisitor { expected, of: PhantomData })
}

struct StrVisitor<T> {
    expected: &'static str,
    of: PhantomData<T>,
}

impl<T: FromStr<Err: fmt::Display>> de::Visitor<'_> for StrVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_kept_within_its_limits_in_characters() {
        assert_eq!(Text::parse("  Blumen  ").map(String::from), Ok("Blumen".to_owned()));
        assert_eq!(Text::parse(" \t"), Err(TextError::Empty));
        assert!(Text::parse(&"ü".repeat(200)).is_ok());
        assert_eq!(Text::parse(&"ü".repeat(201)), Err(TextError::TooLong(201)));
    }

    #[test]
    fn reading_a_text_checks_it_again() {
        assert!(serde_json::from_str::<Text>("\"\"").is_err());
        assert_eq!(serde_json::from_str::<Text>("\"a\"").unwrap().as_str(), "a");
    }
}
