//! The envelope: everything about a message but its body, read from and written to record headers.

use crate::{Direction, EffectKey, Headers, Outcome, SagaRef, Stream, TraceContext, headers as h};
use uuid::Uuid;

/// Metadata of one message, complete enough to judge it without decoding its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    pub id: Uuid,
    /// Full record name, `ce_type`.
    pub name: String,
    pub stream: Stream,
    /// Position in the stream, from 1.
    pub seq: u64,
    /// Milliseconds since the Unix epoch, for people; nothing is ordered by it.
    pub time_ms: i64,
    pub trace: Option<TraceContext>,
    pub correlation_id: Option<String>,
    pub causation_id: Option<String>,
    /// Set on commands and replies.
    pub saga: Option<SagaRef>,
    /// Set on replies.
    pub outcome: Option<Outcome>,
}

/// What is wrong with a record's headers; the record is parked with this as the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("header `{0}` is missing")]
    Missing(&'static str),
    #[error("header `{name}` is not valid: {why}")]
    Invalid { name: &'static str, why: String },
}

/// Longest header value that is read: identifiers and names are far below it.
const MAX_HEADER_BYTES: usize = 1024;

impl Envelope {
    /// Headers in the order they are written.
    pub fn to_headers(&self) -> Headers {
        let mut out = Headers::with_capacity(640);
        let mut put = |name: &str, value: &str| out.push(name, value.as_bytes());
        put(h::CE_SPECVERSION, "1.0");
        put(h::CE_ID, self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
        put(h::CE_TYPE, &self.name);
        put(h::CE_SOURCE, &format!("/mallbots/{}", self.stream.source()));
        put(h::CE_SUBJECT, self.stream.subject());
        put(h::CE_TIME, &rfc3339(self.time_ms));
        put(h::CE_SEQUENCE, &self.seq.to_string());
        put(h::CONTENT_TYPE, "application/avro");
        let optional = [(h::CORRELATION_ID, &self.correlation_id), (h::CAUSATION_ID, &self.causation_id)];
        if let Some(trace) = self.trace {
            put(h::TRACEPARENT, &trace.to_string());
        }
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, value);
            }
        }
        if let Some(saga) = &self.saga {
            put(h::SAGA_ID, saga.effect.saga_id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            put(h::SAGA_TYPE, &saga.saga_type);
            put(h::SAGA_STEP, &saga.effect.step);
            put(h::SAGA_DIRECTION, saga.effect.direction.as_str());
            put(h::SAGA_ROUND, &saga.effect.round.to_string());
            put(h::SAGA_ATTEMPT, &saga.attempt.to_string());
            put(h::REPLY_TO, &saga.reply_to);
        }
        if let Some(outcome) = self.outcome {
            put(h::OUTCOME, outcome.as_str());
        }
        out
    }

    /// Reads the headers of a record with key `key` on `topic`. A malformed `traceparent` is dropped, not an error: it
    /// concerns observers only.
    pub fn from_headers<'a>(
        topic: &str,
        key: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, HeaderError> {
        let raw = Raw::collect(headers)?;
        let saga = raw.has(h::SAGA_ID).then(|| raw.saga(key)).transpose()?;
        Ok(Self {
            id: raw.parse(h::CE_ID)?,
            name: raw.get(h::CE_TYPE)?.to_owned(),
            stream: raw.stream(topic)?,
            seq: raw.seq()?,
            time_ms: raw.optional(h::CE_TIME).and_then(parse_rfc3339).unwrap_or(0),
            trace: raw.optional(h::TRACEPARENT).and_then(|v| v.parse().ok()),
            correlation_id: raw.optional(h::CORRELATION_ID).map(str::to_owned),
            causation_id: raw.optional(h::CAUSATION_ID).map(str::to_owned),
            saga,
            outcome: raw.has(h::OUTCOME).then(|| raw.parse(h::OUTCOME)).transpose()?,
        })
    }
}

/// The headers we know, as text, in the order of [`KNOWN`].
struct Raw<'a>([Option<&'a str>; KNOWN.len()]);

impl<'a> Raw<'a> {
    fn collect(headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, HeaderError> {
        let mut known = [None; KNOWN.len()];
        for (name, value) in headers {
            let Some(at) = KNOWN.iter().position(|k| *k == name) else { continue };
            if value.len() > MAX_HEADER_BYTES {
                return Err(invalid(KNOWN[at], format!("{} bytes, the limit is {MAX_HEADER_BYTES}", value.len())));
            }
            let text = std::str::from_utf8(value).map_err(|_| invalid(KNOWN[at], "not UTF-8"))?;
            if text.contains(|c: char| c.is_control()) {
                return Err(invalid(KNOWN[at], "a control character"));
            }
            // Of two the first counts, as it does for who reads one header alone.
            known[at].get_or_insert(text);
        }
        Ok(Self(known))
    }

    fn has(&self, name: &'static str) -> bool {
        self.optional(name).is_some()
    }

    fn optional(&self, name: &'static str) -> Option<&'a str> {
        KNOWN.iter().position(|k| *k == name).and_then(|at| self.0[at])
    }

    fn get(&self, name: &'static str) -> Result<&'a str, HeaderError> {
        self.optional(name).filter(|v| !v.is_empty()).ok_or(HeaderError::Missing(name))
    }

    fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &'static str) -> Result<T, HeaderError> {
        self.get(name)?.parse().map_err(|e: T::Err| invalid(name, e.to_string()))
    }

    fn seq(&self) -> Result<u64, HeaderError> {
        match self.parse(h::CE_SEQUENCE)? {
            0 => Err(invalid(h::CE_SEQUENCE, "0, a stream starts at 1")),
            seq if seq > i64::MAX as u64 => Err(invalid(h::CE_SEQUENCE, "larger than any stream can be")),
            seq => Ok(seq),
        }
    }

    fn stream(&self, topic: &str) -> Result<Stream, HeaderError> {
        let source = self.get(h::CE_SOURCE)?;
        let source = source.strip_prefix("/mallbots/").unwrap_or(source);
        let subject = self.get(h::CE_SUBJECT)?;
        let (kind, id) = subject.split_once('/').ok_or_else(|| invalid(h::CE_SUBJECT, "expected `<type>/<id>`"))?;
        Ok(Stream::new(source, kind, id, topic))
    }

    fn saga(&self, key: Option<&[u8]>) -> Result<SagaRef, HeaderError> {
        let key = key.and_then(|k| std::str::from_utf8(k).ok()).unwrap_or_default();
        if key.len() > MAX_HEADER_BYTES {
            let why = format!("its record's key has {} bytes, the limit is {MAX_HEADER_BYTES}", key.len());
            return Err(invalid(h::SAGA_ID, why));
        }
        Ok(SagaRef {
            saga_type: self.get(h::SAGA_TYPE)?.to_owned(),
            effect: EffectKey {
                saga_id: self.parse(h::SAGA_ID)?,
                step: self.get(h::SAGA_STEP)?.to_owned(),
                direction: self.parse::<Direction>(h::SAGA_DIRECTION)?,
                round: self.parse(h::SAGA_ROUND)?,
            },
            attempt: self.parse(h::SAGA_ATTEMPT)?,
            reply_to: self.optional(h::REPLY_TO).unwrap_or_default().to_owned(),
            key: key.to_owned(),
        })
    }
}

fn invalid(name: &'static str, why: impl Into<String>) -> HeaderError {
    HeaderError::Invalid { name, why: why.into() }
}

const KNOWN: &[&str] = &[
    h::CE_ID,
    h::CE_TYPE,
    h::CE_SOURCE,
    h::CE_SUBJECT,
    h::CE_TIME,
    h::CE_SEQUENCE,
    h::TRACEPARENT,
    h::CORRELATION_ID,
    h::CAUSATION_ID,
    h::SAGA_ID,
    h::SAGA_TYPE,
    h::SAGA_STEP,
    h::SAGA_DIRECTION,
    h::SAGA_ROUND,
    h::SAGA_ATTEMPT,
    h::REPLY_TO,
    h::OUTCOME,
];

/// `2026-01-02T03:04:05.678Z`. The civil-from-days rule is Howard Hinnant's (<https://howardhinnant.github.io/date_algorithms.html>).
pub(crate) fn rfc3339(time_ms: i64) -> String {
    let (days, ms) = (time_ms.div_euclid(86_400_000), time_ms.rem_euclid(86_400_000));
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (s, ms) = (ms / 1000, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}Z", s / 3600, s / 60 % 60, s % 60)
}

/// Reads what [`rfc3339`] writes, with or without a fraction, in UTC only; `None` for anything else.
fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|p| p.parse::<i64>().ok());
    let (y, m, d) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.splitn(3, ':').map(|p| p.parse::<i64>().ok());
    let (hh, mm, ss) = (clock.next()??, clock.next()??, clock.next()??);
    let ms: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let in_range = (1..=9999).contains(&y) && (1..=12).contains(&m) && (1..=31).contains(&d);
    let in_range = in_range && (0..24).contains(&hh) && (0..60).contains(&mm) && (0..=60).contains(&ss);
    if !in_range {
        return None;
    }
    let y = if m <= 2 { y - 1 } else { y };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if m > 2 { m - 3 } else { m + 9 }) + 2) / 5 + d - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some(days * 86_400_000 + hh * 3_600_000 + mm * 60_000 + ss * 1000 + ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_out_of_range_is_none_and_never_an_overflow() {
        for text in ["954775807-9-1T4:3:3Z", "1-99999999999999999-1T0:0:0Z", "1-1-1T9223372036854775807:0:0Z"] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }

    fn envelope() -> Envelope {
        Envelope {
            id: Uuid::from_u128(7),
            name: "mallbots.payments.AuthorizePayment".into(),
            stream: Stream::new("orchestrator", "saga", &Uuid::from_u128(1).to_string(), "mallbots.payments.commands"),
            seq: 3,
            time_ms: 1_790_000_000_123,
            trace: Some(TraceContext { trace_id: 5, span_id: 6, sampled: true }),
            correlation_id: Some("order-1".into()),
            causation_id: None,
            saga: Some(SagaRef {
                saga_type: "order-fulfilment".into(),
                effect: EffectKey {
                    saga_id: Uuid::from_u128(1),
                    step: "authorize-payment".into(),
                    direction: Direction::Undo,
                    round: 2,
                },
                attempt: 4,
                reply_to: "mallbots.orchestrator.replies".into(),
                key: "order-1".into(),
            }),
            outcome: Some(Outcome::Refused),
        }
    }

    fn read(headers: &Headers) -> Result<Envelope, HeaderError> {
        Envelope::from_headers("mallbots.payments.commands", Some(b"order-1"), headers.iter())
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read(&envelope().to_headers()), Ok(envelope()));
    }

    #[test]
    fn each_required_header_is_missed_by_name() {
        for name in [h::CE_ID, h::CE_TYPE, h::CE_SOURCE, h::CE_SUBJECT, h::CE_SEQUENCE, h::SAGA_STEP, h::SAGA_ROUND] {
            let all = envelope().to_headers();
            let headers = all.iter().filter(|(k, _)| *k != name).collect();
            assert_eq!(read(&headers), Err(HeaderError::Missing(name)));
        }
    }

    #[test]
    fn a_key_that_no_reply_could_carry_is_refused() {
        let headers = envelope().to_headers();
        let read = |length: usize| {
            Envelope::from_headers("mallbots.payments.commands", Some(&vec![b'k'; length]), headers.iter())
        };
        assert!(read(MAX_HEADER_BYTES).is_ok());
        assert!(matches!(read(MAX_HEADER_BYTES + 1), Err(HeaderError::Invalid { name: h::SAGA_ID, .. })));
    }

    #[test]
    fn a_malformed_trace_is_dropped_and_a_malformed_id_refused() {
        let change = |name: &str, to: &str| envelope().to_headers().with(name, to.as_bytes());
        assert_eq!(read(&change(h::TRACEPARENT, "rubbish")).map(|e| e.trace), Ok(None));
        assert!(matches!(read(&change(h::CE_ID, "7")), Err(HeaderError::Invalid { name: h::CE_ID, .. })));
        assert!(matches!(read(&change(h::CE_SEQUENCE, "0")), Err(HeaderError::Invalid { .. })));
        for name in [h::CE_SUBJECT, h::CE_TYPE, h::SAGA_STEP, h::CORRELATION_ID] {
            let read = read(&change(name, "order/\0"));
            assert!(matches!(read, Err(HeaderError::Invalid { name: found, .. }) if found == name), "{read:?}");
        }
    }

    #[test]
    fn times_survive_the_text_form_across_leap_years() {
        for ms in [0, 951_782_400_000, 1_790_000_000_123, 4_102_444_799_999] {
            assert_eq!(parse_rfc3339(&rfc3339(ms)), Some(ms), "{}", rfc3339(ms));
        }
        assert_eq!(rfc3339(951_782_400_000), "2000-02-29T00:00:00.000Z");
    }
}
