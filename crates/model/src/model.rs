//! The states and what leads from one to the next, for the checker.

use crate::{
    Limits,
    errand::STEPS,
    known::{Known, Memo, Register, Set},
    orchestration::{Decision, Orchestration},
    participant::Participant,
    properties::{end, properties},
    rules::Rule,
};
use saga::Progress;
use stateright::{Model, Property};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Everything that is stored or on its way, and what the two orchestrators hold in memory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub(crate) row: Option<Known<Progress>>,
    /// Committed, and so, sooner or later, sent. They stay: each may come late, and again.
    commands: Set,
    pub(crate) participants: [Known<Participant>; STEPS.len()],
    /// In order of their memory: which of them is which makes no difference.
    orchestrators: [Orchestrator; 2],
    pub(crate) broken: Option<Rule>,
    /// A do came that its undo had barred.
    pub(crate) barred: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Orchestrator {
    memory: Memory,
    crashes_left: u8,
}

/// What an orchestrator has read of the row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Memory {
    Empty,
    /// The row as it stands.
    Current,
    /// The other has saved since. What it holds is kept only where saves are not checked: else it is never used.
    Overtaken(Option<Known<Progress>>),
}

/// What happens, and where it leads.
#[derive(Clone, PartialEq)]
pub struct Action {
    what: What,
    next: State,
}

#[derive(Clone, PartialEq)]
enum What {
    Loads,
    Crashes,
    IsOvertaken,
    Commits(Arc<str>),
    Handles(Arc<str>),
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Loads => write!(f, "an orchestrator loads the row"),
            What::Crashes => write!(f, "an orchestrator crashes"),
            What::IsOvertaken => write!(f, "an orchestrator's save fails: the row has a newer version"),
            What::Commits(on) => write!(f, "an orchestrator takes, decides and commits: {on}"),
            What::Handles(what) => write!(f, "a participant commits: {what}"),
        }
    }
}

/// One saga, four participants, two orchestrators.
pub struct Errands {
    limits: Limits,
    orchestration: Orchestration,
    participants: Register<Participant>,
    handled: Memo<(usize, u32, Set), Taken>,
    ends: Mutex<BTreeMap<String, u64>>,
}

struct Taken {
    what: Arc<str>,
    participant: Known<Participant>,
    broken: Option<Rule>,
    barred: bool,
}

impl Errands {
    pub fn new(limits: Limits) -> Self {
        Self {
            orchestration: Orchestration::new(&limits),
            limits,
            participants: Register::default(),
            handled: Memo::default(),
            ends: Mutex::default(),
        }
    }

    /// The states in which nothing is left to happen, by how the saga stands in them.
    pub fn ends(&self) -> BTreeMap<String, u64> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many different rows and participants there were.
    pub fn parts(&self) -> (usize, usize) {
        (self.orchestration.rows(), self.participants.count())
    }

    fn orchestrator(&self, state: &State, at: usize, out: &mut Vec<Action>) {
        let me = &state.orchestrators[at];
        match &me.memory {
            Memory::Empty => out.push(remember(state, at, What::Loads, Memory::Current)),
            Memory::Current => self.commit(state, at, state.row.as_ref(), out),
            Memory::Overtaken(Some(row)) => self.commit(state, at, Some(row), out),
            Memory::Overtaken(None) => out.push(remember(state, at, What::IsOvertaken, Memory::Empty)),
        }
        if me.memory != Memory::Empty && me.crashes_left > 0 {
            out.push(Action { what: What::Crashes, next: crashed(state, at) });
        }
    }

    /// Everything that this orchestrator may take, decide and save.
    fn commit(&self, state: &State, at: usize, row: Option<&Known<Progress>>, out: &mut Vec<Action>) {
        let Some(row) = row else {
            out.extend(self.orchestration.begin().iter().map(|d| self.committed(state, at, d)));
            return;
        };
        out.extend(self.orchestration.by_itself(row).iter().map(|d| self.committed(state, at, d)));
        for participant in &state.participants {
            let decisions = self.orchestration.on_replies(row, participant);
            out.extend(decisions.iter().map(|d| self.committed(state, at, d)));
        }
    }

    fn committed(&self, state: &State, at: usize, decision: &Decision) -> Action {
        let mut next = state.clone();
        let was_terminal = state.row.as_ref().is_some_and(|row| row.phase().is_terminal());
        let sent_again = !decision.sends.common(state.commands).is_empty();
        next.broken = match decision.broken {
            None if was_terminal && state.row.as_ref() != Some(&decision.row) => Some(Rule::TerminalIsFinal),
            None if sent_again => Some(Rule::SentOnce),
            broken => broken,
        };
        next.commands = next.commands.union(decision.sends);
        next.row = Some(decision.row.clone());
        let old = state.row.clone().filter(|_| !self.limits.version_check);
        for other in next.orchestrators.iter_mut().filter(|o| o.memory == Memory::Current) {
            other.memory = Memory::Overtaken(old.clone());
        }
        next.orchestrators[at].memory = Memory::Current;
        next.orchestrators.sort();
        Action { what: What::Commits(decision.on.clone()), next }
    }

    fn participant(&self, state: &State, at: usize, out: &mut Vec<Action>) {
        let participant = &state.participants[at];
        let taken = self.handled.get((at, participant.number(), state.commands), || {
            let mine = state.commands.iter().map(|n| self.orchestration.command(n));
            let mine = mine.filter(|command| command.effect.step == STEPS[at]);
            let taken = mine.flat_map(|command| participant.take(&command, &self.limits));
            taken
                .chain(participant.resolve(STEPS[at], &self.limits))
                .map(|h| Taken {
                    what: h.what,
                    participant: self.participants.know(h.participant),
                    broken: h.broken,
                    barred: h.barred,
                })
                .filter(|t| t.participant != *participant || t.broken.is_some())
                .collect()
        });
        out.extend(taken.iter().map(|t| {
            let mut next = state.clone();
            next.participants[at] = t.participant.clone();
            next.broken = t.broken;
            next.barred |= t.barred;
            Action { what: What::Handles(t.what.clone()), next }
        }));
    }

    fn count_end(&self, state: &State) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(end(state)).or_default() += 1;
    }
}

impl Model for Errands {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let orchestrator = Orchestrator { memory: Memory::Empty, crashes_left: self.limits.crashes };
        vec![State {
            row: None,
            commands: Set::default(),
            participants: std::array::from_fn(|_| self.participants.know(Participant::default())),
            orchestrators: [orchestrator.clone(), orchestrator],
            broken: None,
            barred: false,
        }]
    }

    /// Only what changes something, so that a state without actions is one in which nothing is left to happen.
    fn actions(&self, state: &State, out: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        (0..state.orchestrators.len()).for_each(|at| self.orchestrator(state, at, out));
        (0..STEPS.len()).for_each(|at| self.participant(state, at, out));
        if out.is_empty() {
            self.count_end(state);
        }
    }

    fn next_state(&self, _: &State, action: Action) -> Option<State> {
        Some(action.next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties(&self.limits)
    }
}

fn remember(state: &State, at: usize, what: What, memory: Memory) -> Action {
    let mut next = state.clone();
    next.orchestrators[at].memory = memory;
    next.orchestrators.sort();
    Action { what, next }
}

fn crashed(state: &State, at: usize) -> State {
    let mut next = state.clone();
    let me = &mut next.orchestrators[at];
    *me = Orchestrator { memory: Memory::Empty, crashes_left: me.crashes_left - 1 };
    next.orchestrators.sort();
    next
}
