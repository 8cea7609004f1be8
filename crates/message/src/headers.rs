//! Record headers: their names (CloudEvents 1.0 Kafka binding in binary mode, W3C trace context, and ours), and the form in
//! which a record carries them.

use crate::EffectKey;
use std::fmt;

pub const CE_ID: &str = "ce_id";
pub const CE_SPECVERSION: &str = "ce_specversion";
pub const CE_TYPE: &str = "ce_type";
pub const CE_SOURCE: &str = "ce_source";
pub const CE_SUBJECT: &str = "ce_subject";
pub const CE_TIME: &str = "ce_time";
pub const CE_SEQUENCE: &str = "ce_sequence";
pub const CONTENT_TYPE: &str = "content-type";
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";
pub const CORRELATION_ID: &str = "correlation_id";
pub const CAUSATION_ID: &str = "causation_id";
pub const SAGA_ID: &str = "saga_id";
pub const SAGA_TYPE: &str = "saga_type";
pub const SAGA_STEP: &str = "saga_step";
pub const SAGA_DIRECTION: &str = "saga_direction";
pub const SAGA_ROUND: &str = "saga_round";
pub const SAGA_ATTEMPT: &str = "saga_attempt";
pub const REPLY_TO: &str = "reply_to";
pub const OUTCOME: &str = "outcome";
/// Which relay sent the record, for diagnosis only: consumers judge by `ce_sequence`.
pub const RELAY_EPOCH: &str = "relay_epoch";

/// A record's headers in their order, in one allocation: each name and each value follows its length, an unsigned LEB128
/// number (<https://en.wikipedia.org/wiki/LEB128>). Outbox rows hold the same bytes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<u8>);

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Takes packed bytes; `None` when they are not what [`Headers::as_bytes`] gives.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut rest, mut parts) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            let (part, next) = take(rest)?;
            if parts % 2 == 0 {
                std::str::from_utf8(part).ok().filter(|name| !name.is_empty())?;
            }
            (rest, parts) = (next, parts + 1);
        }
        (parts % 2 == 0).then_some(Self(bytes))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn push(&mut self, name: &str, value: &[u8]) {
        for part in [name.as_bytes(), value] {
            let mut length = part.len();
            while length > 0x7f {
                self.0.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            self.0.push(length as u8);
            self.0.extend_from_slice(part);
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        Iter(&self.0)
    }

    /// The first value under this name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether these are the headers of a command or reply with this effect key.
    pub fn names(&self, effect: &EffectKey) -> bool {
        let is = |name: &str, value: &str| self.get(name) == Some(value.as_bytes());
        is(SAGA_ID, &effect.saga_id.to_string())
            && is(SAGA_STEP, &effect.step)
            && is(SAGA_DIRECTION, effect.direction.as_str())
            && is(SAGA_ROUND, &effect.round.to_string())
    }

    /// The same headers with another value under `name`, where that is present.
    pub fn with(&self, name: &str, value: &[u8]) -> Self {
        self.iter().map(|(known, old)| (known, if known == name { value } else { old })).collect()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value)))).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::with_capacity(512);
        for (name, value) in pairs {
            headers.push(name.as_ref(), value.as_ref());
        }
        headers
    }
}

/// Names and values in order.
#[derive(Clone)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = take(self.0)?;
        let (value, rest) = take(rest)?;
        self.0 = rest;
        Some((std::str::from_utf8(name).ok()?, value))
    }
}

/// One length-prefixed part and what follows it.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut at) = (0_usize, 0);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        // Four bytes hold 256 MiB: no record is that large.
        if at == 4 {
            return None;
        }
    }
    bytes.get(at..)?.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_iterated_in_order_whatever_its_length() {
        let long = vec![7; 70_000];
        let pairs = [("a", b"1".to_vec()), ("e", vec![]), ("a", vec![0xff; 127]), ("ü", vec![1; 128]), ("long", long)];
        let headers: Headers = pairs.iter().map(|(name, value)| (name, value)).collect();
        assert_eq!(headers.iter().map(|(n, v)| (n, v.to_vec())).collect::<Vec<_>>(), pairs);
        assert_eq!(Headers::from_bytes(headers.as_bytes().to_vec()).as_ref(), Some(&headers));
        assert_eq!(headers.get("a"), Some(b"1".as_slice()));
        assert_eq!(headers.get("b"), None);
        assert_eq!(headers.with("e", b"x").get("e"), Some(b"x".as_slice()));
        assert_eq!(headers.with("b", b"x"), headers);
    }

    #[test]
    fn torn_bytes_are_no_headers() {
        let whole: Headers = [("name", "value"), ("other", "")].into_iter().collect();
        for length in 1..whole.as_bytes().len() {
            let torn = Headers::from_bytes(whole.as_bytes()[..length].to_vec());
            assert!(torn.is_none_or(|t| t.iter().count() == 1 && length == 11), "{length}");
        }
        for bad in [vec![0xff; 9], vec![1, 0xff, 0], vec![5, b'a'], vec![0, 0]] {
            assert_eq!(Headers::from_bytes(bad), None);
        }
    }
}
