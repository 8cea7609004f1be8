//! The W3C trace context, as it travels in headers and outbox rows (<https://www.w3.org/TR/trace-context/>).

use std::{fmt, str::FromStr};

/// `traceparent`: which trace a message belongs to, which span caused it, and whether the trace is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    pub trace_id: u128,
    pub span_id: u64,
    pub sampled: bool,
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl FromStr for TraceContext {
    type Err = String;

    /// Accepts version 00 and, as the specification asks, later versions by their first four fields.
    fn from_str(s: &str) -> Result<Self, String> {
        parse(s).ok_or_else(|| format!("`{}` is not a W3C traceparent", s.chars().take(64).collect::<String>()))
    }
}

fn parse(s: &str) -> Option<TraceContext> {
    let mut parts = s.split('-');
    let version = hex(parts.next()?, 2)?;
    let trace_id = hex(parts.next()?, 32)?;
    let span_id = hex(parts.next()?, 16)?;
    let flags = hex(parts.next()?, 2)?;
    let whole = version != 0 || parts.next().is_none();
    (version != 255 && trace_id != 0 && span_id != 0 && whole).then_some(TraceContext {
        trace_id,
        span_id: u64::try_from(span_id).ok()?,
        sampled: flags & 1 == 1,
    })
}

fn hex(s: &str, digits: usize) -> Option<u128> {
    let lower = s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (s.len() == digits && lower).then(|| u128::from_str_radix(s, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        let context = TraceContext { trace_id: 0xabc, span_id: 0xdef, sampled: true };
        assert_eq!(context.to_string().parse(), Ok(context));
    }

    #[test]
    fn zero_ids_upper_case_and_wrong_lengths_are_refused() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-0000000000000001-01",
            "00-0000000000000000000000000000000A-0000000000000001-01",
            "00-0000000000000000000000000000000a-000000000000001-01",
            "ff-0000000000000000000000000000000a-0000000000000001-01",
            "00-0000000000000000000000000000000a-0000000000000001-01-x",
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad} was accepted");
        }
    }
}
