//! The live view's hub: what happens to an order reaches whoever watches it.
//!
//! Only orders that somebody watches, or watched a moment ago, have a feed. Everything is bounded: views, feeds, events
//! waiting for a slow client and events kept for one that comes back. A view is a convenience: the order itself is truth.

mod event;
mod follower;
mod story;

pub use event::{Happening, LiveEvent};
pub use follower::{Follower, Seen};

use crate::metric_names as names;
use schemas::ids::OrderId;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{broadcast, watch};
use uuid::Uuid;

/// Events a client may be behind before it is disconnected; an order has about twenty in its life.
pub const MAX_BEHIND: usize = 64;
/// Events of a feed kept for `Last-Event-ID`.
const MAX_RECENT: usize = 64;
/// How long a feed outlives its last view, so that a client that reconnects misses nothing.
const GRACE: Duration = Duration::from_secs(60);

/// The hub; clones share it.
#[derive(Debug, Clone)]
pub struct Live(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    feeds: Mutex<Feeds>,
    max_views: usize,
    grace: Duration,
    closing: watch::Sender<bool>,
}

#[derive(Debug)]
struct Feeds {
    by_order: HashMap<OrderId, Feed>,
    views: usize,
    swept: Instant,
}

#[derive(Debug)]
struct Feed {
    sender: broadcast::Sender<Arc<LiveEvent>>,
    recent: VecDeque<Arc<LiveEvent>>,
    left: Instant,
}

/// All views are taken, or the gateway is stopping.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no more live views can be opened now")]
pub struct Full;

/// What a view gets next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Event(Arc<LiveEvent>),
    /// More than [`MAX_BEHIND`] events were waiting: the view ends, the client may come back.
    TooSlow,
    /// The gateway stops: the view ends, the client may come back.
    Closing,
}

impl Live {
    /// A hub for up to `max_views` views at once.
    pub fn new(max_views: usize) -> Self {
        Self::with_grace(max_views, GRACE)
    }

    fn with_grace(max_views: usize, grace: Duration) -> Self {
        let feeds = Feeds { by_order: HashMap::new(), views: 0, swept: Instant::now() };
        Self(Arc::new(Hub { feeds: Mutex::new(feeds), max_views, grace, closing: watch::Sender::new(false) }))
    }

    /// Whether anybody watches the order: events of others need not even be decoded.
    pub fn is_watched(&self, order: OrderId) -> bool {
        self.feeds().by_order.contains_key(&order)
    }

    /// Whether nobody watches anything.
    pub fn is_idle(&self) -> bool {
        self.feeds().by_order.is_empty()
    }

    /// Tells whoever watches. An event that the feed has already is a redelivery and is dropped.
    pub fn publish(&self, order: OrderId, event: LiveEvent) {
        let mut feeds = self.feeds();
        let Some(feed) = feeds.by_order.get_mut(&order) else { return };
        if feed.recent.iter().any(|e| e.id == event.id) {
            return;
        }
        let event = Arc::new(event);
        if feed.recent.len() == MAX_RECENT {
            feed.recent.pop_front();
        }
        feed.recent.push_back(event.clone());
        // Fails when nobody watches now: then it waits in `recent`.
        let _ = feed.sender.send(event);
    }

    /// Opens a view. `after` is the last event the client has seen: what came since is in [`View::missed`] if still kept.
    pub fn watch(&self, order: OrderId, after: Option<Uuid>) -> Result<View, Full> {
        let closing = self.0.closing.subscribe();
        let mut feeds = self.feeds();
        if feeds.views >= self.0.max_views || *closing.borrow() {
            return Err(Full);
        }
        self.sweep(&mut feeds);
        feeds.views += 1;
        let feed = feeds.by_order.entry(order).or_insert_with(Feed::new);
        let view =
            View { live: self.clone(), order, missed: feed.after(after), events: feed.sender.subscribe(), closing };
        metrics::gauge!(names::STREAMS).set(feeds.views as f64);
        Ok(view)
    }

    /// Ends every view and lets no new one in: a stop need not wait for clients that never leave.
    pub fn close(&self) {
        self.0.closing.send_replace(true);
    }

    /// Feeds without a view are few (each had one within the grace), so looking at all of them once per grace is cheap.
    fn sweep(&self, feeds: &mut Feeds) {
        let crowded = feeds.by_order.len() >= self.0.max_views.saturating_mul(2);
        if !crowded && feeds.swept.elapsed() < self.0.grace {
            return;
        }
        feeds.swept = Instant::now();
        let keep = |feed: &Feed| feed.sender.receiver_count() > 0 || (!crowded && feed.left.elapsed() < self.0.grace);
        feeds.by_order.retain(|_, feed| keep(feed));
    }

    fn leave(&self, order: OrderId) {
        let mut feeds = self.feeds();
        feeds.views -= 1;
        metrics::gauge!(names::STREAMS).set(feeds.views as f64);
        let Some(feed) = feeds.by_order.get_mut(&order) else { return };
        feed.left = Instant::now();
        // The view that leaves is still counted. A feed that has told nothing has nothing to keep.
        if feed.recent.is_empty() && feed.sender.receiver_count() <= 1 {
            feeds.by_order.remove(&order);
        }
    }

    fn feeds(&self) -> MutexGuard<'_, Feeds> {
        // No code under the lock panics half-way through a change.
        self.0.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed {
    fn new() -> Self {
        Self { sender: broadcast::Sender::new(MAX_BEHIND), recent: VecDeque::new(), left: Instant::now() }
    }

    fn after(&self, last: Option<Uuid>) -> Vec<Arc<LiveEvent>> {
        let seen = last.and_then(|last| self.recent.iter().position(|e| e.id == last));
        seen.map(|at| self.recent.iter().skip(at + 1).cloned().collect()).unwrap_or_default()
    }
}

/// One client's view of one order; dropping it leaves.
#[derive(Debug)]
pub struct View {
    live: Live,
    order: OrderId,
    missed: Vec<Arc<LiveEvent>>,
    events: broadcast::Receiver<Arc<LiveEvent>>,
    closing: watch::Receiver<bool>,
}

impl View {
    /// What happened between the client's last event and now. Empties it.
    pub fn missed(&mut self) -> Vec<Arc<LiveEvent>> {
        std::mem::take(&mut self.missed)
    }

    /// Waits for what comes next. After anything but an event the view is over.
    pub async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            _ = self.closing.wait_for(|closing| *closing) => Next::Closing,
            event = self.events.recv() => match event {
                Ok(event) => Next::Event(event),
                Err(broadcast::error::RecvError::Lagged(_)) => too_slow(),
                // The sender lives as long as a view is open.
                Err(broadcast::error::RecvError::Closed) => Next::Closing,
            },
        }
    }
}

fn too_slow() -> Next {
    metrics::counter!(names::SLOW_CLIENTS).increment(1);
    Next::TooSlow
}

impl Drop for View {
    fn drop(&mut self) {
        self.live.leave(self.order);
    }
}

#[cfg(test)]
mod tests;
