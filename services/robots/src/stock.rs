//! What robots find in the stores. The mall is simulated, so it is decided by rules that whoever places orders can predict.

use schemas::ids::{OrderId, ProductId};
use uuid::Uuid;

/// A product with this in its name is never found.
pub const OUT_OF_STOCK: &str = "(out of stock)";

/// Which items are found, decided by the product's name, and else by the ids of order and product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shelves {
    /// Share of items that are not found, 0 to 1.
    pub missing_rate: f64,
    pub seed: u64,
}

impl Shelves {
    /// Whether all pieces of the product are found for this order; none are otherwise.
    pub fn hold(&self, order: OrderId, product: ProductId, name: &str) -> bool {
        !name.contains(OUT_OF_STOCK) && self.lucky(order, product)
    }

    fn lucky(&self, order: OrderId, product: ProductId) -> bool {
        if self.missing_rate <= 0.0 {
            return true;
        }
        let mut drawn = product.as_uuid().into_bytes().to_vec();
        drawn.extend(self.seed.to_be_bytes());
        let drawn = Uuid::new_v5(&order.as_uuid(), &drawn).into_bytes();
        let share = f64::from(u32::from_be_bytes([drawn[0], drawn[1], drawn[2], drawn[3]])) / f64::from(u32::MAX);
        share >= self.missing_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn what_is_out_of_stock_is_never_found_and_all_else_always() {
        let shelves = Shelves { missing_rate: 0.0, seed: 1 };
        assert!(shelves.hold(id(1).into(), id(2).into(), "Tea"));
        assert!(!shelves.hold(id(1).into(), id(2).into(), "Tea (out of stock)"));
    }

    #[test]
    fn the_share_of_misses_is_as_asked_and_the_same_each_time() {
        let shelves = Shelves { missing_rate: 0.25, seed: 7 };
        let missed = || (0..4_000).filter(|n| !shelves.hold(id(*n).into(), id(9).into(), "Tea")).count();
        assert_eq!(missed(), missed());
        assert!((900..1_100).contains(&missed()), "{}", missed());
        assert_eq!(
            (0..100)
                .filter(|n| Shelves { missing_rate: 1.0, seed: 7 }.hold(id(*n).into(), id(9).into(), "Tea"))
                .count(),
            0
        );
    }

    #[test]
    fn another_seed_misses_other_items() {
        let missed = |seed| -> Vec<u128> {
            let shelves = Shelves { missing_rate: 0.5, seed };
            (0..64).filter(|n| !shelves.hold(id(*n).into(), id(9).into(), "Tea")).collect()
        };
        assert_ne!(missed(1), missed(2));
    }
}
