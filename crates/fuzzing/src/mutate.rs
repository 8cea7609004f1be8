//! Changes of an input, drawn from a seed: what bugs, broken disks and strangers do to bytes that were good.

use std::ops::Range;

/// What readers of numbers, lengths and texts trip over: the ends of integers as text, as varints of Avro and of protobuf.
const TOKENS: &[&[u8]] = &[
    b"0",
    b"-1",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"99999999999999999999",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\xff\xff\xff\xff\x0f",
    "\u{fffd}\u{1f680}\u{0}ß".as_bytes(),
    b"[[[[[[[[[[[[[[[[",
    b"/mallbots/",
    b"",
];
/// Longest input.
const MOST_BYTES: usize = 64 * 1024;

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to and without `n`; 0 for none.
    pub fn below(&mut self, n: usize) -> usize {
        (self.roll() % n.max(1) as u64) as usize
    }
}

/// The input with one to four changes; `others` lend their parts.
pub fn mutate(input: &[u8], others: &[&[u8]], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + dice.below(4) {
        change(&mut bytes, others, dice);
        bytes.truncate(MOST_BYTES);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, others: &[&[u8]], dice: &mut Dice) {
    let (at, to) = (dice.below(bytes.len()), dice.below(bytes.len() + 1));
    let range = at.min(to)..at.max(to);
    match dice.below(14) {
        0 => flip(bytes, at, 1 << dice.below(8)),
        1 => set(bytes, at, dice),
        2 => bytes.truncate(to),
        3 => drop(bytes.drain(range)),
        4 => {
            let part = bytes[range.start..range.end.min(range.start + 256)].to_vec();
            bytes.splice(to..to, part);
        }
        5 => splice(bytes, others, to, dice),
        6 => length(bytes, at, dice),
        7 => digits(bytes, at, dice),
        8 | 9 => within(bytes, others, Length::Short, dice),
        10 => within(bytes, others, Length::Byte(1), dice),
        11 => within(bytes, others, Length::Byte(2), dice),
        _ => {
            let token = TOKENS[dice.below(TOKENS.len())];
            let end = (at + if dice.below(2) == 0 { 0 } else { token.len() }).min(bytes.len());
            bytes.splice(at.min(end)..end, token.iter().copied());
        }
    }
}

/// How the length of a part is told in front of it.
#[derive(Clone, Copy)]
enum Length {
    /// Two bytes, little-endian, as [`crate`]'s targets cut their inputs.
    Short,
    /// One byte, that is the length times this: 1 in protobuf, 2 in Avro.
    Byte(usize),
}

impl Length {
    /// Where the part after a length at `at` lies, if what is there can be one.
    fn part(self, bytes: &[u8], at: usize) -> Option<Range<usize>> {
        let (start, length) = match self {
            Self::Short => (at + 2, usize::from(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))),
            Self::Byte(times) => (at + 1, usize::from(*bytes.get(at)?) / times),
        };
        let range = start..start + length;
        let part = bytes.get(range.clone())?;
        let text = || part.iter().all(u8::is_ascii_graphic);
        let likely = match self {
            Self::Short => (1..2_048).contains(&length),
            Self::Byte(_) => (2..128).contains(&length) && text(),
        };
        likely.then_some(range)
    }

    /// `None` for a part that is too long for such a length.
    fn tell(self, part: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Short => Some(u16::try_from(part.len()).ok()?.to_le_bytes().to_vec()),
            Self::Byte(times) => Some(vec![u8::try_from(part.len() * times).ok().filter(|byte| *byte < 128)?]),
        }
    }
}

/// Changes a part that follows its length, and the length with it.
fn within(bytes: &mut Vec<u8>, others: &[&[u8]], length: Length, dice: &mut Dice) {
    let from = dice.below(bytes.len());
    let Some((at, part)) = (from..bytes.len()).find_map(|at| Some((at, length.part(bytes, at)?))) else { return };
    let mut changed = bytes[part.clone()].to_vec();
    change(&mut changed, others, dice);
    if let Some(told) = length.tell(&changed) {
        bytes.splice(at..part.end, told.into_iter().chain(changed));
    }
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

fn set(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte = [0, 1, 0x7f, 0x80, 0xff, dice.roll() as u8][dice.below(6)];
    }
}

/// What follows `at` becomes a part of another input.
fn splice(bytes: &mut Vec<u8>, others: &[&[u8]], at: usize, dice: &mut Dice) {
    let Some(other) = others.get(dice.below(others.len())) else { return };
    bytes.truncate(at);
    bytes.extend_from_slice(&other[dice.below(other.len())..]);
}

/// Two bytes as a length that is a little or a lot wrong.
fn length(bytes: &mut [u8], at: usize, dice: &mut Dice) {
    let Some([low, high]) = bytes.get_mut(at..at + 2) else { return };
    let length = u16::from_le_bytes([*low, *high]);
    let wrong = [length.wrapping_add(1), length.wrapping_sub(1), 0, u16::MAX, length / 2][dice.below(5)];
    [*low, *high] = wrong.to_le_bytes();
}

/// The digits at or after `at` become another number.
fn digits(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) {
    let Some(start) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|n| at + n) else { return };
    let end = start + bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
    bytes.splice(start..end, TOKENS[dice.below(5)].iter().copied());
}
