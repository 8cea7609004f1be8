//! The way out to the customer: the port, its stand-in, and the worker that feeds it.

use crate::{Notifications, domain::Cause, handlers};
use futures::future::join_all;
use schemas::ids::NotificationId;
use std::{any::Any, fmt, future::Future};
use tokio::sync::mpsc;
use transport::{Call, Shell, ports};

/// A text message. Its `Debug` shows neither number nor words.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms {
    /// The same at each attempt: a provider that knows it sends once.
    pub id: NotificationId,
    pub cause: Cause,
    pub phone: String,
    pub text: String,
}

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms").field("id", &self.id).field("cause", &self.cause).finish_non_exhaustive()
    }
}

/// It may have been sent all the same; it is tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not sent: {0}")]
pub struct SendError(pub String);

/// An SMS provider.
pub trait Sender: Send + Sync + 'static {
    /// Takes a message over. An error must name neither number nor words.
    fn send(&self, sms: &Sms) -> impl Future<Output = Result<(), SendError>> + Send;
}

/// Stands in for a provider: writes down that a message would have been sent, and to whom it is not told.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogSender;

impl Sender for LogSender {
    async fn send(&self, sms: &Sms) -> Result<(), SendError> {
        tracing::info!(notification = %sms.id, cause = sms.cause.as_str(), "a customer was told");
        Ok(())
    }
}

/// Most messages under way at a time; they are marked sent in one call.
const MAX_AT_ONCE: usize = 128;

/// Sends what folds hand over. What it loses, the notification's timer hands over again.
pub struct Worker<A: Sender, S: ports::Store> {
    shell: Shell<Notifications, S>,
    requests: mpsc::Receiver<Box<dyn Any + Send>>,
    sender: A,
}

impl<A: Sender, S: ports::Store> Worker<A, S> {
    /// `None` when another worker has this shell's requests.
    pub fn new(shell: Shell<Notifications, S>, sender: A) -> Option<Self> {
        let requests = shell.outside()?;
        Some(Self { shell, requests, sender })
    }

    /// Sends what waits and marks it; answers how many requests it took, 0 when there will be no more.
    pub async fn run_once(&mut self) -> usize {
        let mut requests = Vec::new();
        let count = self.requests.recv_many(&mut requests, MAX_AT_ONCE).await;
        let messages = requests.into_iter().filter_map(|r| r.downcast::<Sms>().ok());
        let sent: Vec<_> = join_all(messages.map(|sms| send(&self.sender, *sms))).await.into_iter().flatten().collect();
        if !sent.is_empty() {
            let marked = self.shell.call(Call::new("MarkSent"), move |_, unit| handlers::mark_sent(unit, &sent));
            if let Err(error) = marked.await {
                tracing::warn!(%error, "sent messages could not be marked; they will be sent again");
            }
        }
        count
    }

    /// Works until `stop`.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => return,
                taken = self.run_once() => if taken == 0 { return },
            }
        }
    }
}

async fn send(sender: &impl Sender, sms: Sms) -> Option<NotificationId> {
    match sender.send(&sms).await {
        Ok(()) => Some(sms.id),
        Err(error) => {
            tracing::warn!(notification = %sms.id, %error, "a message was not sent; it is tried again later");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn i11_a_message_shows_neither_number_nor_words() {
        let id = Uuid::from_u128(1).into();
        let sms = Sms { id, cause: Cause::Ready, phone: "+4917012345678".into(), text: "Your order".into() };
        let shown = format!("{sms:?}");
        assert!(!shown.contains("170") && !shown.contains("Your"), "{shown}");
    }
}
