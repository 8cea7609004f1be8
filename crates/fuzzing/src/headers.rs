//! Record headers: whatever names, values and key a record has, they are read or refused, and what is read is written and
//! read back the same.

use crate::cut::{Cut, Glue};
use message::{Direction, EffectKey, Envelope, Headers, Outcome, SagaRef, Stream, TraceContext};
use schemas::topics;
use uuid::Uuid;

/// Longest header value that an envelope is read from.
const MAX_HEADER_BYTES: usize = 1024;
/// Years 1 to 9999, without the leap second at their end: of other times an envelope keeps nothing.
const TIMES_MS: std::ops::Range<i64> = -62_135_596_800_000..253_402_300_800_000;

/// The input: a topic, whether there is a key, the key, and headers (see [`pairs`]).
pub fn headers(bytes: &[u8]) {
    packed(bytes);
    let mut cut = Cut::new(bytes);
    let (topic, keyed, key) = (cut.pick(topics::ALL), cut.flags().has(1), cut.block());
    let key = keyed.then_some(key);
    let pairs = pairs(cut.rest());
    let headers: Headers = pairs.iter().map(|(name, value)| (name, value)).collect();
    assert!(headers.iter().eq(pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice()))));
    if pairs.iter().all(|(name, _)| !name.is_empty()) {
        assert_eq!(Headers::from_bytes(headers.as_bytes().to_vec()).as_ref(), Some(&headers));
    }
    let Ok(envelope) = Envelope::from_headers(topic, key, headers.iter()) else { return };
    let written = envelope.to_headers();
    let again = Envelope::from_headers(topic, key, written.iter());
    let readable = written.iter().all(|(_, value)| value.len() <= MAX_HEADER_BYTES);
    if readable && TIMES_MS.contains(&envelope.time_ms) {
        assert_eq!(again, Ok(envelope));
    }
}

/// Bytes of the outbox as headers: refused, or the pairs they say.
fn packed(bytes: &[u8]) {
    let Some(headers) = Headers::from_bytes(bytes.to_vec()) else { return };
    assert_eq!(headers.as_bytes(), bytes);
    let again: Headers = headers.iter().collect();
    assert!(again.iter().eq(headers.iter()));
    let _ = format!("{headers:?}");
}

/// Headers as a target takes them: lines, a name and a value by turns.
pub fn pairs(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
        pairs.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    pairs
}

/// The other way.
pub fn lines(headers: &Headers) -> Vec<u8> {
    headers.iter().flat_map(|(name, value)| [name.as_bytes(), b"\n", value, b"\n"].concat()).collect()
}

/// A command, an event and a reply.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let command = Envelope {
        id: Uuid::from_u128(7),
        name: "mallbots.payments.AuthorizePayment".into(),
        stream: Stream::new("orchestrator", "saga", "1", topics::PAYMENTS_COMMANDS),
        seq: 3,
        time_ms: 1_790_000_000_123,
        trace: Some(TraceContext { trace_id: 5, span_id: 6, sampled: true }),
        correlation_id: Some("order-1".into()),
        causation_id: Some("cause".into()),
        saga: Some(SagaRef {
            saga_type: "order-fulfilment".into(),
            effect: EffectKey {
                saga_id: Uuid::from_u128(1),
                step: "authorize-payment".into(),
                direction: Direction::Do,
                round: 1,
            },
            attempt: 1,
            reply_to: topics::ORCHESTRATOR_REPLIES.into(),
            key: "order-1".into(),
        }),
        outcome: None,
    };
    let event = Envelope { saga: None, trace: None, ..command.clone() };
    let reply = Envelope { outcome: Some(Outcome::Refused), ..command.clone() };
    let of = |envelope: &Envelope| Glue::default().byte(5).byte(1).block("order-1").rest(lines(&envelope.to_headers()));
    let packed = event.to_headers().as_bytes().to_vec();
    [("command", of(&command)), ("event", of(&event)), ("reply", of(&reply)), ("packed", packed)]
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .to_vec()
}
