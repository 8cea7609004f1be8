//! From a record to what the shell makes of it. What cannot be decoded, or not be answered, becomes [`Work::Poison`].

use crate::{
    codec::{Codec, Wire},
    context::Context,
    fold::{Work, text_of},
    ports::{Parked, Record},
    router::{Delivery, Handler, Router},
    unit::{Fold, Unit},
};
use message::{Envelope, headers};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};
use uuid::Uuid;

/// What decoding goes by.
pub(crate) struct Decoder<'a, C: Context> {
    pub router: &'a Router<C>,
    pub codec: &'a Codec,
    /// See [`crate::ShellConfig::reply_topics`].
    pub reply_topics: &'a [String],
}

impl<C: Context> Decoder<'_, C> {
    /// `None`: not for this context.
    pub fn decode(&self, record: Arc<Record>, parked: Option<Parked>) -> Option<Work<C>> {
        let (again, held) = (record.clone(), parked.clone());
        let decoded = catch_unwind(AssertUnwindSafe(|| self.record(record, parked)));
        decoded.unwrap_or_else(|panic| {
            let reason = format!("decoding it panicked: {}", text_of(&*panic));
            Some(Work::Poison { record: again, envelope: None, command: false, reason, parked: held })
        })
    }

    fn record(&self, record: Arc<Record>, parked: Option<Parked>) -> Option<Work<C>> {
        let envelope = match Envelope::from_headers(&record.topic, record.key.as_deref(), record.headers.iter()) {
            Ok(envelope) => envelope,
            Err(e) => {
                let reason = e.to_string();
                return Some(Work::Poison { record, envelope: None, command: false, reason, parked });
            }
        };
        if self.router.takes_replies(&record.topic) {
            return Some(self.reply(record, envelope, parked));
        }
        let route = self.router.routes.get(envelope.name.as_str()).filter(|r| r.topic == record.topic);
        let Some(route) = route else {
            let ours = self.router.takes_commands(&record.topic);
            let reason = format!("`{}` is not a command of this context", envelope.name);
            return ours.then_some(Work::Poison { record, envelope: Some(envelope), command: true, reason, parked });
        };
        let decoded = match (record.whole(), &route.tombstone) {
            (Err(reason), _) => Err(reason),
            (Ok(Some(bytes)), _) => (route.decode)(self.codec, bytes).map_err(|e| e.to_string()),
            (Ok(None), Some(tombstone)) => tombstone_handler(&envelope, tombstone.clone()),
            (Ok(None), None) => Err(format!("{} has no value", envelope.name)),
        };
        let command = route.command;
        let decoded = decoded.and_then(|handler| self.answerable(&envelope, command).map(|()| handler));
        Some(match decoded {
            Ok(handler) => Work::Message { record, envelope, handler, command, parked },
            Err(reason) => Work::Poison { record, envelope: Some(envelope), command, reason, parked },
        })
    }

    /// Whether a command can be answered. What cannot is not carried out.
    fn answerable(&self, envelope: &Envelope, command: bool) -> Result<(), String> {
        let Some(saga) = envelope.saga.as_ref().filter(|_| command) else { return Ok(()) };
        let to = &saga.reply_to;
        if to.is_empty() || !(self.reply_topics.is_empty() || self.reply_topics.contains(to)) {
            return Err(format!("header `{}`: `{to}` is not a topic of replies here", headers::REPLY_TO));
        }
        Ok(())
    }

    fn reply(&self, record: Arc<Record>, envelope: Envelope, parked: Option<Parked>) -> Work<C> {
        let body = record.whole().and_then(|value| {
            let bytes = value.ok_or_else(|| "a reply without a value".to_owned())?;
            Wire::parse(bytes).and_then(|w| self.codec.decode_json(&w)).map_err(|e| e.to_string())
        });
        let reason = match body {
            Ok(body) if envelope.saga.is_some() && envelope.outcome.is_some() => {
                return Work::Reply { record, envelope, body, parked };
            }
            Ok(_) => "a reply without saga or outcome headers".to_owned(),
            Err(reason) => reason,
        };
        // Replies are not gated by sequence, so a bad one holds nothing behind it.
        Work::Poison { record, envelope: None, command: false, reason, parked }
    }
}

type Tombstone<C> = Arc<dyn Fn(&C, &mut Unit, Uuid) -> Fold<()> + Send + Sync>;

fn tombstone_handler<C: Context>(envelope: &Envelope, tombstone: Tombstone<C>) -> Result<Handler<C>, String> {
    let id: Uuid = envelope.stream.aggregate_id().parse().map_err(|_| "ce_subject has no UUID".to_owned())?;
    Ok(Arc::new(move |context: &C, unit: &mut Unit, _: &Envelope, _: Delivery| {
        tombstone(context, unit, id).map(|()| None)
    }))
}
