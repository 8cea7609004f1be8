//! Bugs put in on purpose, to see whether the proofs find them. They exist only with the feature `bugs`, of which a release
//! build refuses to know; without it [`has`] is a constant and nothing of them is left.

#[cfg(all(feature = "bugs", not(debug_assertions)))]
compile_error!("the feature `bugs` puts bugs in: it is for proofs and never for a release build");

/// Whether this build knows of bugs: the program that people run refuses to be built so, unless it is asked for them by name.
pub const ENABLED: bool = cfg!(feature = "bugs");

/// The classic mistakes of systems like this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// The relay keeps a cursor over serial ids and passes over what commits late.
    CursorOutbox,
    /// Relays take whatever rows no other has locked, whoever owns the shard.
    SkipLocked,
    /// Offsets are stored when a batch begins.
    OffsetBeforeCommit,
    /// Rows are deleted before the log has acknowledged them.
    DeleteBeforeAck,
    /// No record is known as a duplicate.
    NoInbox,
    /// Inbox marks are saved in a transaction of their own, after the effects.
    InboxLater,
    /// Rows are saved whatever version they have.
    NoVersionCheck,
    /// A repeated command is carried out again.
    NoFence,
    /// A reply counts for the newest round of its step, whichever it answers.
    AnyRound,
    /// Timers are known only to the process that set them.
    TimersInMemory,
    /// Leases are judged by each process's own clock.
    AppClockLeases,
    /// Offsets are stored when a record is polled.
    AutoCommit,
    /// An undo that fails is given up.
    UndoOnce,
    /// What cannot be read is passed over.
    SkipPoison,
}

impl Bug {
    pub const ALL: [Self; 14] = [
        Self::CursorOutbox,
        Self::SkipLocked,
        Self::OffsetBeforeCommit,
        Self::DeleteBeforeAck,
        Self::NoInbox,
        Self::InboxLater,
        Self::NoVersionCheck,
        Self::NoFence,
        Self::AnyRound,
        Self::TimersInMemory,
        Self::AppClockLeases,
        Self::AutoCommit,
        Self::UndoOnce,
        Self::SkipPoison,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CursorOutbox => "cursor-outbox",
            Self::SkipLocked => "skip-locked",
            Self::OffsetBeforeCommit => "offset-before-commit",
            Self::DeleteBeforeAck => "delete-before-ack",
            Self::NoInbox => "no-inbox",
            Self::InboxLater => "inbox-later",
            Self::NoVersionCheck => "no-version-check",
            Self::NoFence => "no-fence",
            Self::AnyRound => "any-round",
            Self::TimersInMemory => "timers-in-memory",
            Self::AppClockLeases => "app-clock-leases",
            Self::AutoCommit => "auto-commit",
            Self::UndoOnce => "undo-once",
            Self::SkipPoison => "skip-poison",
        }
    }
}

/// Whether this thread runs with the bug.
#[cfg(not(feature = "bugs"))]
#[inline(always)]
pub const fn has(_: Bug) -> bool {
    false
}

/// What bugs remember; nothing where there are none.
#[cfg(not(feature = "bugs"))]
#[inline(always)]
pub fn memory<T>(use_it: impl FnOnce(&mut std::collections::BTreeMap<(u128, u128), u128>) -> T) -> T {
    use_it(&mut std::collections::BTreeMap::new())
}

#[cfg(feature = "bugs")]
pub use seeded::{has, memory, set};

#[cfg(feature = "bugs")]
mod seeded {
    use super::Bug;
    use std::{
        cell::{Cell, RefCell},
        collections::BTreeMap,
    };

    thread_local! {
        static BUG: Cell<Option<Bug>> = Cell::new(named());
        static MEMORY: RefCell<BTreeMap<(u128, u128), u128>> = const { RefCell::new(BTreeMap::new()) };
    }

    /// The bug that the variable `MALLBOTS_BUG` names: for tests, which know nothing of bugs.
    fn named() -> Option<Bug> {
        let name = std::env::var("MALLBOTS_BUG").ok()?;
        let known = Bug::ALL.into_iter().find(|bug| bug.name() == name);
        Some(known.unwrap_or_else(|| panic!("MALLBOTS_BUG: there is no bug `{name}`")))
    }

    /// See [`super::has`].
    pub fn has(bug: Bug) -> bool {
        BUG.get() == Some(bug)
    }

    /// From now on this thread runs with this bug, or none; what an earlier one remembered is forgotten.
    pub fn set(bug: Option<Bug>) {
        BUG.set(bug);
        MEMORY.with_borrow_mut(BTreeMap::clear);
    }

    /// What bugs remember in place of the state that correct code keeps elsewhere.
    pub fn memory<T>(use_it: impl FnOnce(&mut BTreeMap<(u128, u128), u128>) -> T) -> T {
        MEMORY.with_borrow_mut(use_it)
    }
}
