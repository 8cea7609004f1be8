//! What kiosks send, and the checks that need no service: so a mistake is answered at once, with its field.

use crate::problem::Problem;
use serde::Deserialize;
use std::fmt;
use utoipa::ToSchema;

/// How many pieces to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemInput {
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: i64,
}

/// When the customer confirms the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pay {
    /// With the checkout.
    Now,
    /// Later, at the kiosk or the depot.
    OnArrival,
}

/// A checkout.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutInput {
    /// Where the customer is told about the order: 6 to 15 digits, with or without a leading `+`; spaces, dots, dashes
    /// and brackets are ignored.
    #[schema(example = "+49 170 1234567")]
    pub phone: String,
    /// The payment provider's token; never card data.
    #[schema(min_length = 1, max_length = 200, example = "tok_visa")]
    pub payment_token: String,
    pub pay: Pay,
    /// The payment provider's name for the customer.
    #[schema(min_length = 1, max_length = 200, example = "cus_42")]
    pub customer_ref: String,
}

/// Leaves out what is personal.
impl fmt::Debug for CheckoutInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckoutInput").field("pay", &self.pay).finish_non_exhaustive()
    }
}

/// Why an order shall be cancelled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelInput {
    #[schema(min_length = 1, max_length = 200, example = "Changed my mind.")]
    pub reason: String,
}

impl ItemInput {
    pub fn quantity(&self) -> Result<u32, Problem> {
        let fits = u32::try_from(self.quantity).ok().filter(|n| (1..=999).contains(n));
        fits.ok_or_else(|| Problem::invalid("quantity", "Give a quantity from 1 to 999."))
    }
}

/// The digits of a phone number, with its `+` if it had one.
pub fn phone(text: &str) -> Result<String, Problem> {
    let bare: String = text.trim().chars().filter(|c| !" .-()/".contains(*c)).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    let fits = (6..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| bare.clone())
        .ok_or_else(|| Problem::invalid("phone", "Give a phone number of 6 to 15 digits, such as +49 170 1234567."))
}

/// Text that a person types: trimmed, 1..=200 characters, none of them a control character.
pub fn text(field: &'static str, text: &str) -> Result<String, Problem> {
    let trimmed = text.trim();
    let fits = (1..=200).contains(&trimmed.chars().count()) && !trimmed.chars().any(char::is_control);
    fits.then(|| trimmed.to_owned())
        .ok_or_else(|| Problem::invalid(field, format!("Give a {} of 1 to 200 characters.", field.replace('_', " "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phone_numbers_lose_their_decoration_only() {
        assert_eq!(phone(" +49 (170) 123-45.67 ").unwrap(), "+491701234567");
        assert_eq!(phone("030/123456").unwrap(), "030123456");
    }

    #[test]
    fn what_is_no_phone_number_is_refused_and_not_repeated() {
        for bad in [
            "",
            "+",
            "98765",
            "1234567890123456",
            "+49 170 CALL-ME",
            "++491701234567",
            "49+1701234567",
            "１２３４５６７",
        ] {
            let problem = phone(bad).unwrap_err();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some("phone")), "{bad}");
            assert!(bad.len() < 5 || !problem.detail.contains(bad));
        }
    }

    #[test]
    fn text_is_trimmed_and_has_1_to_200_characters() {
        assert_eq!(text("reason", "  changed my mind\n").unwrap(), "changed my mind");
        assert_eq!(text("reason", &"ä".repeat(200)).unwrap().chars().count(), 200);
        for bad in ["", " \t\n", "a\u{0}b", &"ä".repeat(201)] {
            assert_eq!(text("reason", bad).unwrap_err().field.as_deref(), Some("reason"));
        }
    }

    #[test]
    fn quantities_are_1_to_999() {
        for (quantity, fits) in
            [(i64::MIN, false), (0, false), (1, true), (999, true), (1000, false), (i64::MAX, false)]
        {
            assert_eq!(ItemInput { quantity }.quantity().is_ok(), fits, "{quantity}");
        }
    }

    #[test]
    fn a_checkout_printed_for_a_log_shows_nothing_personal() {
        let json = r#"{"phone":"+491701234567","payment_token":"tok_x","pay":"now","customer_ref":"cus_y"}"#;
        let printed = format!("{:?}", serde_json::from_str::<CheckoutInput>(json).unwrap());
        assert!(!["4917", "tok_", "cus_"].iter().any(|secret| printed.contains(secret)), "{printed}");
    }
}
