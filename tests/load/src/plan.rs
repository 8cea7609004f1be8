//! What each customer will do, drawn from a seed, and how their order must end.

use std::collections::BTreeMap;

/// A customer's story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// Pays with the checkout.
    PaysNow,
    /// Confirms the payment once the order is ready.
    PaysOnArrival,
    /// One of two products is not to be found: pays for the other.
    OneMissing,
    /// Nothing is to be found.
    AllMissing,
    /// The card is declined.
    Declined,
    /// Larger than any bay.
    TooLarge,
    /// Cancels at the moment the draw says, and never confirms the payment.
    Cancels,
}

impl Scenario {
    pub const ALL: [Self; 7] = [
        Self::PaysNow,
        Self::PaysOnArrival,
        Self::OneMissing,
        Self::AllMissing,
        Self::Declined,
        Self::TooLarge,
        Self::Cancels,
    ];

    /// The state the order must end in.
    pub fn end(self) -> &'static str {
        match self {
            Self::PaysNow | Self::PaysOnArrival | Self::OneMissing => "completed",
            Self::AllMissing | Self::Cancels => "cancelled",
            Self::Declined | Self::TooLarge => "rejected",
        }
    }

    /// How many orders of a hundred are like this.
    fn share(self) -> u64 {
        match self {
            Self::PaysNow => 45,
            Self::PaysOnArrival => 25,
            Self::OneMissing => 8,
            Self::AllMissing => 3,
            Self::Declined => 6,
            Self::TooLarge => 6,
            Self::Cancels => 7,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::PaysNow => "pays now",
            Self::PaysOnArrival => "pays on arrival",
            Self::OneMissing => "one product missing",
            Self::AllMissing => "nothing found",
            Self::Declined => "card declined",
            Self::TooLarge => "too large for any bay",
            Self::Cancels => "customer cancels",
        }
    }
}

/// When a cancelling customer cancels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelAt {
    AfterCheckout,
    Approved,
    Ready,
}

/// One order to be placed.
#[derive(Debug, Clone)]
pub struct Planned {
    pub scenario: Scenario,
    /// (index of a product that is always found, pieces).
    pub items: Vec<(usize, u32)>,
    pub cancel_at: CancelAt,
    /// How the payment provider behaves for this customer's token, where it misbehaves; the order ends the same.
    pub trouble: Option<&'static str>,
    /// The goods are brought back once the order is completed.
    pub returns: bool,
}

/// Tokens for which the provider acts and does not answer in time, acts and says 500, is away, is slow, takes no money at
/// the first try, or does not give up what it holds before it was asked often.
pub const TROUBLES: [&str; 6] =
    ["tok_timeout", "tok_500", "tok_unavailable", "tok_slow", "tok_capture_flaky", STUBBORN_VOID];
/// Every other customer whose order will not be completed meets this one; it matters where the money was held.
pub const STUBBORN_VOID: &str = "tok_void_unavailable";

/// All orders of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub orders: Vec<Planned>,
}

impl Plan {
    /// `count` orders in the known shares, over `products` ordinary products.
    pub fn draw(seed: u64, count: usize, products: usize) -> Self {
        let mut draw = Draw(seed);
        Self { orders: (0..count).map(|_| planned(&mut draw, products)).collect() }
    }

    /// The same plan with a provider that misbehaves for one customer in `one_in`.
    pub fn with_trouble(mut self, seed: u64, one_in: u64) -> Self {
        let mut draw = Draw(seed);
        for order in &mut self.orders {
            let struck = draw.below(one_in) == 0;
            let trouble = TROUBLES[draw.below(TROUBLES.len() as u64) as usize];
            order.trouble = struck.then_some(trouble);
            if matches!(order.scenario.end(), "cancelled" | "rejected") && draw.below(2) == 0 {
                order.trouble = Some(STUBBORN_VOID);
            }
        }
        self
    }

    /// The same plan, in which one order in `one_in` is brought back if it is completed.
    pub fn with_returns(mut self, seed: u64, one_in: u64) -> Self {
        let mut draw = Draw(seed ^ 0x7265_7475_726e);
        self.orders.iter_mut().for_each(|order| order.returns = draw.below(one_in) == 0);
        self
    }

    /// Orders that all complete, except one in `refused_one_in` (0: none), which is too large.
    pub fn smooth(seed: u64, count: usize, products: usize, refused_one_in: u64) -> Self {
        let mut draw = Draw(seed);
        let one = |draw: &mut Draw| {
            let refused = refused_one_in > 0 && draw.below(refused_one_in) == 0;
            let scenario = if refused { Scenario::TooLarge } else { Scenario::PaysNow };
            Planned { scenario, ..planned(draw, products) }
        };
        Self { orders: (0..count).map(|_| one(&mut draw)).collect() }
    }

    /// How many orders must end in each state.
    pub fn prediction(&self) -> BTreeMap<&'static str, usize> {
        let mut ends = BTreeMap::new();
        for order in &self.orders {
            *ends.entry(order.scenario.end()).or_default() += 1;
        }
        ends
    }
}

fn planned(draw: &mut Draw, products: usize) -> Planned {
    let mut at = draw.below(100);
    let scenario = Scenario::ALL.into_iter().find(|s| {
        let hit = at < s.share();
        at = at.saturating_sub(s.share());
        hit
    });
    let lines = 1 + draw.below(3);
    let mut items: Vec<(usize, u32)> =
        (0..lines).map(|_| (draw.below(products as u64) as usize, 1 + draw.below(2) as u32)).collect();
    items.sort_unstable();
    items.dedup_by_key(|(product, _)| *product);
    let cancel_at = match draw.below(3) {
        0 => CancelAt::AfterCheckout,
        1 => CancelAt::Approved,
        _ => CancelAt::Ready,
    };
    Planned { scenario: scenario.unwrap_or(Scenario::PaysNow), items, cancel_at, trouble: None, returns: false }
}

/// The seed of a test that draws another one each time: `MALLBOTS_TEST_SEED`, else the time; said, so that it can be given
/// again.
pub fn fresh_seed() -> anyhow::Result<u64> {
    let seed = match std::env::var("MALLBOTS_TEST_SEED") {
        Ok(seed) => seed.parse()?,
        Err(_) => std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs(),
    };
    println!("the same again with MALLBOTS_TEST_SEED={seed}");
    Ok(seed)
}

/// SplitMix64: small, and the same on every machine.
pub struct Draw(pub u64);

impl Draw {
    #[allow(clippy::should_implement_trait, reason = "it has no end, and needs none of an iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_plan_and_another_seed_another() {
        let ends = |seed| format!("{:?}", Plan::draw(seed, 50, 8).orders);
        assert_eq!(ends(1), ends(1));
        assert_ne!(ends(1), ends(2));
    }

    #[test]
    fn shares_make_a_hundred_and_every_scenario_is_drawn() {
        assert_eq!(Scenario::ALL.iter().map(|s| s.share()).sum::<u64>(), 100);
        let plan = Plan::draw(7, 1_000, 8);
        assert!(Scenario::ALL.iter().all(|s| plan.orders.iter().any(|o| o.scenario == *s)));
    }
}
