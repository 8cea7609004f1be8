//! Chance, drawn from a seed and from what it decides, not from one stream: leaving one fault out changes no other draw.

/// The seed of a run.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

/// What chance says about one thing; a short stream of numbers.
pub struct Roll(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Roll(seed).next())
    }

    /// The same for the same `about`, whatever else was rolled.
    pub fn roll(&self, about: &[u64]) -> Roll {
        Roll(about.iter().fold(self.0, |state, part| Roll(state ^ part).next()))
    }
}

impl Roll {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to and without `n`, which is at least 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    pub fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= share
    }
}

/// A number for a name: FNV-1a, 64 bits.
pub fn number_of(name: &str) -> u64 {
    mix(0xcbf2_9ce4_8422_2325, name.as_bytes())
}

pub fn mix(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rolled_depends_on_the_seed_and_on_what_about_alone() {
        let (one, other) = (Dice::new(1), Dice::new(2));
        let first = one.roll(&[1, 2]).next();
        one.roll(&[7]).next();
        assert_eq!(one.roll(&[1, 2]).next(), first);
        assert_ne!(one.roll(&[2, 1]).next(), first);
        assert_ne!(other.roll(&[1, 2]).next(), first);
    }

    #[test]
    fn chances_come_out_as_asked() {
        let dice = Dice::new(3);
        let hits = (0..10_000).filter(|n| dice.roll(&[*n]).chance(0.2)).count();
        assert!((1_800..2_200).contains(&hits), "{hits}");
        assert!(!(0..1_000).any(|n| dice.roll(&[n]).chance(0.0)));
    }
}
