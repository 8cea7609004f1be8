//! What a context brings to the shell: its name, its kinds of aggregates and its routes.

use crate::router::Router;
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

/// A state that changes only through folds; one row of the table named [`Aggregate::KIND`].
pub trait Aggregate: Serialize + DeserializeOwned + Clone + Send + Sync + 'static {
    /// Table name and aggregate type on the wire: lower case, `[a-z_]`, a constant of the program and never input.
    const KIND: &'static str;

    /// The state's name in snake case: a column for filters and people.
    fn status(&self) -> &'static str;

    /// The aggregate this one belongs to, for look-ups (`Store::list`).
    fn parent(&self) -> Option<Uuid> {
        None
    }

    /// What claims order and filter by: a bay's volume, a list's age.
    fn rank(&self) -> i64 {
        0
    }

    /// When [`Router::wake`] must be called next, in database milliseconds, if nothing else happens before.
    ///
    /// This is how every deadline is durable: it is derived from the state, so the two cannot disagree. It may be called
    /// early or twice: the handler judges by the state.
    fn wake_at_ms(&self) -> Option<i64> {
        None
    }
}

/// The kinds of a context, so that stores know their tables and what is loaded is locked in one order.
pub type Kinds = &'static [&'static str];

/// A bounded context: a name and a table of contents. The value itself holds configuration, never state.
pub trait Context: Sized + Send + Sync + 'static {
    /// Lower case, as in `mallbots.<name>.events`; also consumer group and source of its messages.
    const NAME: &'static str;
    /// Every kind it owns, fences apart.
    const KINDS: Kinds;
    /// The kind whose rows with a rank above 0 wait for what the rest of the platform does with them; the rank is when they
    /// began to wait, in database milliseconds. While more than `ShellConfig::waiting_limit` do, new work is refused. `None`:
    /// only the outbox limits it.
    const AWAITED: Option<&'static str> = None;

    fn routes() -> Router<Self>;
}
