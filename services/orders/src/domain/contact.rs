//! The customer's phone number: personal data, so it is stored apart and never shows itself in logs or errors.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A phone number as E.164 has it: `+` and 8..=15 digits.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(String);

/// Why a text is no phone number. Says nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give the number in international form: +, the country code and the number, 8 to 15 digits together")]
pub struct PhoneError;

impl Phone {
    /// Spaces, dashes, dots and brackets are left out.
    pub fn parse(text: &str) -> Result<Self, PhoneError> {
        let number: String = text.trim().chars().filter(|c| !" -.()/".contains(*c)).collect();
        let digits = number.strip_prefix('+').ok_or(PhoneError)?;
        let valid =
            (8..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
        valid.then_some(Self(number)).ok_or(PhoneError)
    }

    /// The number itself, for whoever sends to it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone(…)")
    }
}

impl TryFrom<String> for Phone {
    type Error = PhoneError;
    fn try_from(text: String) -> Result<Self, PhoneError> {
        Self::parse(&text)
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0
    }
}

/// Where the customer of an order is told about it; has the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub phone: Phone,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_accepted_as_people_write_them_and_kept_in_one_form() {
        for text in ["+4917012345678", " +49 170 1234-5678 ", "+49 (170) 123.456/78"] {
            assert_eq!(Phone::parse(text).unwrap().expose(), "+4917012345678");
        }
    }

    #[test]
    fn what_is_no_international_number_is_refused() {
        for bad in [
            "",
            "+",
            "017012345678",
            "+0170123456",
            "+1234567",
            "+1234567890123456",
            "+49170abc45678",
            "++4917012345678",
        ] {
            assert_eq!(Phone::parse(bad), Err(PhoneError), "{bad} was accepted");
        }
    }

    #[test]
    fn i11_neither_debug_nor_the_error_shows_the_number() {
        let contact = Contact { phone: Phone::parse("+4917012345678").unwrap() };
        assert!(!format!("{contact:?}").contains("170"));
        assert!(!PhoneError.to_string().contains("170"));
    }

    #[test]
    fn reading_a_number_back_checks_it_again() {
        assert!(serde_json::from_str::<Phone>("\"+49\"").is_err());
        assert!(serde_json::from_str::<Phone>("\"+4917012345678\"").is_ok());
    }
}
