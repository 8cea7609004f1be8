//! Typed ids: a store's id is not accepted where an order's is meant.
//!
//! They travel as text, so every language reads them. Making a new one is the shell's business: here nothing is random.

use crate::text::deserialize_str;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that should have been an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}; give a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct IdError {
    /// The type that was asked for, for example `OrderId`.
    pub kind: &'static str,
    /// What was given instead, cut to 64 characters.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError {
                    kind: stringify!($name),
                    text: text.chars().take(64).collect(),
                })
            }

            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserialize_str(deserializer, concat!("the text of a ", stringify!($name)))
            }
        }
    )+};
}

ids! {
    StoreId
    ProductId
    BasketId
    /// Equal to the id of the basket that was checked out.
    OrderId
    /// Equal to the order's id: one payment an order.
    PaymentId
    InvoiceId
    /// Equal to the order's id: one list an order.
    ShoppingListId
    BotId
    BayId
    NotificationId
    ReturnId
    SagaId
}

impl From<BasketId> for OrderId {
    fn from(id: BasketId) -> Self {
        Self(id.0)
    }
}

impl From<OrderId> for BasketId {
    fn from(id: OrderId) -> Self {
        Self(id.0)
    }
}

impl From<OrderId> for PaymentId {
    fn from(id: OrderId) -> Self {
        Self(id.0)
    }
}

impl From<OrderId> for ShoppingListId {
    fn from(id: OrderId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_its_json() {
        let id = OrderId::from(Uuid::from_u128(42));
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"00000000-0000-0000-0000-00000000002a\"");
        assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), id);
    }

    #[test]
    fn the_error_names_the_kind_of_id_and_stays_short() {
        let error = BotId::parse(&"x".repeat(1000)).unwrap_err();
        assert_eq!((error.kind, error.text.len()), ("BotId", 64));
        assert!(serde_json::from_str::<BotId>("\"7\"").unwrap_err().to_string().contains("BotId"));
    }

    #[test]
    fn a_basket_its_order_and_its_payment_share_an_id() {
        let basket = BasketId::from(Uuid::from_u128(7));
        let order = OrderId::from(basket);
        assert_eq!(PaymentId::from(order).as_uuid(), basket.as_uuid());
        assert_eq!(BasketId::from(order), basket);
    }
}
