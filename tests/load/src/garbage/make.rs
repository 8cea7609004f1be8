//! One piece of garbage of each kind.

use crate::{plan::Draw, sender::Stray};
use anyhow::Result;
use message::{
    Direction, EffectKey, Envelope, Headers, Message, Outcome, Outgoing, Refusal, SagaRef, Stream, headers as h,
};
use schemas::{
    depot::StartShopping,
    ids::OrderId,
    orders::ApproveOrder,
    payments::VoidPayment,
    topics::{DEPOT_COMMANDS, ORCHESTRATOR_REPLIES, ORDERS_COMMANDS, PAYMENTS_COMMANDS},
};
use transport::{codec::Codec, registry::Registry};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Good headers, and a body that is noise.
    RandomBytes,
    /// A good command, its end cut off.
    TruncatedAvro,
    /// A good body under a schema id that the registry does not have.
    UnknownSchema,
    /// A good body for a live order; a header that says what it is, or all, are missing.
    MissingHeaders,
    /// More than the platform takes, less than the broker refuses.
    OverOurLimit,
    /// 2 MiB: more than the broker takes.
    OverTheBrokersLimit,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::RandomBytes,
        Self::TruncatedAvro,
        Self::UnknownSchema,
        Self::MissingHeaders,
        Self::OverOurLimit,
        Self::OverTheBrokersLimit,
    ];

    /// A fifth of the records each; the last two share one.
    pub fn nth(n: usize) -> Self {
        match n % 10 {
            0 | 1 => Self::RandomBytes,
            2 | 3 => Self::TruncatedAvro,
            4 | 5 => Self::UnknownSchema,
            6 | 7 => Self::MissingHeaders,
            8 => Self::OverOurLimit,
            _ => Self::OverTheBrokersLimit,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::RandomBytes => "random bytes",
            Self::TruncatedAvro => "truncated Avro",
            Self::UnknownSchema => "unknown schema id",
            Self::MissingHeaders => "missing headers",
            Self::OverOurLimit => "280 KB, over our limit",
            Self::OverTheBrokersLimit => "2 MiB, over the broker's limit",
        }
    }
}

/// Every topic on which the platform takes orders: where garbage would hurt.
pub const TOPICS: [&str; 4] = [ORDERS_COMMANDS, PAYMENTS_COMMANDS, DEPOT_COMMANDS, ORCHESTRATOR_REPLIES];
const TWO_MIB: usize = 2 << 20;
const OVER_OURS: usize = 280_000;
/// Ids that no registry hands out soon, some of them beyond what it can even read.
const UNKNOWN_IDS: [u32; 4] = [0x7000_0000, 0x8000_0000, 0xc000_0000, 0xffff_f000];

/// Makes garbage, the same from the same seed but for the ids of its streams.
pub struct Maker {
    codec: Codec,
    draw: Draw,
}

impl Maker {
    /// Asks the registry of the environment for the ids of our schemas.
    pub async fn new(seed: u64) -> Result<Self> {
        let url = crate::platform::address("MALLBOTS_REGISTRY")?;
        Ok(Self { codec: Registry::new(&url)?.codec().await?, draw: Draw(seed) })
    }

    /// A piece of `kind` under `key`, which is or looks like the id of an order.
    pub fn make(&mut self, topic: &'static str, kind: Kind, key: Uuid) -> Result<Stray> {
        let body = body(topic, key.into());
        let good = self.codec.encode(&body)?;
        let envelope = stranger(topic, &body, key);
        let value = match kind {
            Kind::RandomBytes => {
                let bytes = self.draw.below(2_000) as usize;
                self.noise(bytes)
            }
            Kind::TruncatedAvro => {
                let left = 5 + self.draw.below(good.len() as u64 - 5) as usize;
                good[..left].to_vec()
            }
            Kind::UnknownSchema => {
                let id = UNKNOWN_IDS[self.draw.below(4) as usize] + self.draw.below(1_000) as u32;
                [&[0], &id.to_be_bytes()[..], &good[5..]].concat()
            }
            Kind::MissingHeaders => good,
            Kind::OverOurLimit => self.noise(OVER_OURS),
            Kind::OverTheBrokersLimit => self.noise(TWO_MIB),
        };
        let mut stray = Stray::new(topic, &key.to_string(), &envelope, value);
        if kind == Kind::MissingHeaders {
            self.lose(&mut stray);
        }
        Ok(stray)
    }

    fn noise(&mut self, bytes: usize) -> Vec<u8> {
        let mut noise = Vec::with_capacity(bytes + 8);
        while noise.len() < bytes {
            noise.extend(self.draw.next().to_le_bytes());
        }
        noise.truncate(bytes);
        noise
    }

    /// Takes one header off that is needed, or all.
    fn lose(&mut self, stray: &mut Stray) {
        let needed = [h::CE_ID, h::CE_TYPE, h::CE_SOURCE, h::CE_SUBJECT, h::CE_SEQUENCE, h::SAGA_STEP, h::SAGA_ROUND];
        match needed.get(self.draw.below(needed.len() as u64 + 1) as usize) {
            Some(lost) => stray.headers = stray.headers.iter().filter(|(name, _)| name != lost).collect(),
            None => stray.headers = Headers::new(),
        }
    }
}

/// What would do something, were it believed.
fn body(topic: &str, order_id: OrderId) -> Outgoing {
    match topic {
        ORDERS_COMMANDS => Outgoing::new(ApproveOrder { order_id }),
        PAYMENTS_COMMANDS => Outgoing::new(VoidPayment { order_id }),
        DEPOT_COMMANDS => Outgoing::new(StartShopping { order_id }),
        _ => Outgoing::new(Refusal::new("garbage.no", "This was never asked.")),
    }
}

/// Headers in good order, of a stream that nobody knows.
fn stranger(topic: &str, body: &Outgoing, key: Uuid) -> Envelope {
    let saga_id = Uuid::now_v7();
    let effect = EffectKey { saga_id, step: "nonsense".into(), direction: Direction::Do, round: 1 };
    let (source, kind) = ("elsewhere".to_owned(), "saga".to_owned());
    let outcome = (body.name == Refusal::NAME).then_some(Outcome::Refused);
    Envelope {
        id: Uuid::now_v7(),
        name: body.name.to_owned(),
        stream: Stream::new(&source, &kind, &saga_id.to_string(), topic),
        seq: 1,
        time_ms: 0,
        trace: None,
        correlation_id: Some(key.to_string()),
        causation_id: None,
        saga: Some(SagaRef {
            saga_type: "nonsense".into(),
            effect,
            attempt: 1,
            reply_to: ORCHESTRATOR_REPLIES.into(),
            key: key.to_string(),
        }),
        outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maker() -> Maker {
        Maker { codec: Codec::offline().unwrap(), draw: Draw(3) }
    }

    #[test]
    fn no_piece_can_be_taken_for_a_message() {
        let mut maker = maker();
        for n in 0..400 {
            let (topic, kind) = (TOPICS[n % 4], Kind::nth(n / 4));
            let stray = maker.make(topic, kind, Uuid::from_u128(n as u128)).unwrap();
            let envelope = Envelope::from_headers(topic, Some(stray.key.as_bytes()), stray.headers.iter());
            let decoded = match topic {
                ORDERS_COMMANDS => maker.codec.decode::<ApproveOrder>(&stray.value).map(|_| ()),
                PAYMENTS_COMMANDS => maker.codec.decode::<VoidPayment>(&stray.value).map(|_| ()),
                DEPOT_COMMANDS => maker.codec.decode::<StartShopping>(&stray.value).map(|_| ()),
                _ => maker.codec.decode::<Refusal>(&stray.value).map(|_| ()),
            };
            assert!(envelope.is_err() || decoded.is_err(), "{kind:?} on {topic}");
            assert_eq!(envelope.is_err(), kind == Kind::MissingHeaders, "{kind:?} on {topic}");
        }
    }

    #[test]
    fn every_kind_has_its_share() {
        let count = |kind| (0..1_000).filter(|n| Kind::nth(*n) == kind).count();
        assert_eq!(Kind::ALL.map(count), [200, 200, 200, 200, 100, 100]);
    }
}
