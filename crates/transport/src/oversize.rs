//! Values over the limit. No message of ours is that large, so all but their beginning is dropped as soon as they are read:
//! neither the queue in memory nor the parking table holds what strangers may send.

use crate::{codec::MAX_VALUE_BYTES, ports::Record};

/// Put on a record whose value was cut: how long it was.
const CUT_FROM: &str = "mallbots_cut_from_bytes";
/// How much is kept, for a person who looks at it.
const KEPT_BYTES: usize = 1024;

impl Record {
    /// The record with no more of an oversize value than its beginning.
    pub(crate) fn cut(mut self) -> Self {
        if let Some(value) = self.value.as_mut().filter(|value| value.len() > MAX_VALUE_BYTES) {
            self.headers.push(CUT_FROM, value.len().to_string().as_bytes());
            value.truncate(KEPT_BYTES);
            value.shrink_to_fit();
        }
        self
    }

    /// The value, if it is all there. The error is the reason to park: a beginning is never decoded, whatever it looks like.
    pub fn whole(&self) -> Result<Option<&[u8]>, String> {
        match self.headers.get(CUT_FROM) {
            Some(bytes) => Err(format!("{} bytes, the limit is {MAX_VALUE_BYTES}", String::from_utf8_lossy(bytes))),
            None => Ok(self.value.as_deref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> Record {
        let value = Some(vec![0; bytes]);
        Record { topic: "t".into(), partition: 0, offset: 1, key: None, headers: Default::default(), value }
    }

    #[test]
    fn a_value_over_the_limit_is_cut_and_never_decoded() {
        let cut = record(MAX_VALUE_BYTES + 1).cut();
        assert_eq!(cut.value.as_ref().map(Vec::len), Some(KEPT_BYTES));
        assert_eq!(cut.whole(), Err("262145 bytes, the limit is 262144".to_owned()));
        assert_eq!(cut.clone().cut(), cut);
    }

    #[test]
    fn a_value_within_the_limit_stays_as_it_is() {
        for bytes in [0, MAX_VALUE_BYTES] {
            assert_eq!(record(bytes).cut(), record(bytes));
            assert_eq!(record(bytes).whole(), Ok(Some(vec![0; bytes].as_slice())));
        }
        assert_eq!(Record { value: None, ..record(0) }.whole(), Ok(None));
    }
}
