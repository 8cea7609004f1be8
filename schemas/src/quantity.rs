//! How many pieces: 1..=999, so that zero and absurd amounts cannot get into a basket, a list or a bill.

use serde::{Deserialize, Serialize};
use std::fmt;

/// 1..=999 pieces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i32", into = "i32")]
pub struct Quantity(u16);

/// A number that is no quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a quantity; give a whole number from 1 to {max}", max = Quantity::MAX)]
pub struct QuantityError(pub i64);

impl Quantity {
    pub const ONE: Self = Self(1);
    pub const MAX: Self = Self(999);

    pub const fn get(self) -> u16 {
        self.0
    }

    /// The sum, unless it is more than [`Quantity::MAX`].
    pub fn checked_add(self, more: Self) -> Result<Self, QuantityError> {
        Self::try_from(i64::from(self.0) + i64::from(more.0))
    }

    /// What is left, `None` for nothing or less.
    pub fn checked_sub(self, less: Self) -> Option<Self> {
        self.0.checked_sub(less.0).filter(|left| *left > 0).map(Self)
    }
}

impl TryFrom<i64> for Quantity {
    type Error = QuantityError;
    fn try_from(n: i64) -> Result<Self, QuantityError> {
        match u16::try_from(n) {
            Ok(n) if (1..=Self::MAX.0).contains(&n) => Ok(Self(n)),
            _ => Err(QuantityError(n)),
        }
    }
}

impl TryFrom<i32> for Quantity {
    type Error = QuantityError;
    fn try_from(n: i32) -> Result<Self, QuantityError> {
        Self::try_from(i64::from(n))
    }
}

impl TryFrom<u32> for Quantity {
    type Error = QuantityError;
    fn try_from(n: u32) -> Result<Self, QuantityError> {
        Self::try_from(i64::from(n))
    }
}

impl From<Quantity> for i32 {
    fn from(quantity: Quantity) -> Self {
        i32::from(quantity.0)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        i64::from(quantity.0)
    }
}

impl From<Quantity> for u32 {
    fn from(quantity: Quantity) -> Self {
        u32::from(quantity.0)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_1_to_999_is_a_quantity_also_when_read() {
        for good in [1, 2, 998, 999] {
            assert_eq!(Quantity::try_from(good).map(i32::from), Ok(good));
        }
        for bad in [i32::MIN, -1, 0, 1000, 65_537, i32::MAX] {
            assert_eq!(Quantity::try_from(bad), Err(QuantityError(i64::from(bad))));
            assert!(serde_json::from_str::<Quantity>(&bad.to_string()).is_err());
        }
    }

    #[test]
    fn sums_stop_at_the_limit_and_differences_at_nothing() {
        let two = Quantity::try_from(2).unwrap();
        assert_eq!(Quantity::ONE.checked_add(Quantity::ONE), Ok(two));
        assert_eq!(Quantity::MAX.checked_add(Quantity::ONE), Err(QuantityError(1000)));
        assert_eq!(two.checked_sub(Quantity::ONE), Some(Quantity::ONE));
        assert_eq!(two.checked_sub(two), None);
    }
}
