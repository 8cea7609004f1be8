//! What must hold in every interleaving, by name. The numbers are those of the project's invariants.

/// A rule that was broken on the way to a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    AppliedOnce,
    UndoBars,
    OneAnswer,
    TerminalIsFinal,
    NoTurningForward,
    HasAWake,
    TimersMatch,
    SentOnce,
    HistoryReplays,
    AttemptOnlyEchoes,
    Stored,
    NoAlarm,
    NothingParked,
    StuckIsAlarmed,
}

impl Rule {
    /// As it is printed, and the name of the checker's property.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AppliedOnce => "I7: an effect is carried out at most once per effect key",
            Self::UndoBars => "I10: an undo before its do bars the do",
            Self::OneAnswer => "a do has one answer, however often it is asked for",
            Self::TerminalIsFinal => "I8: terminal is final, and what has ended sends nothing",
            Self::NoTurningForward => "I8: a saga that turned back does not go forward again",
            Self::HasAWake => "a saga has a reason to wake exactly until it ends",
            Self::TimersMatch => "the timers that are set are those that the row asks for",
            Self::SentOnce => "what goes into the outbox is what the row says was sent, once for each attempt",
            Self::HistoryReplays => "I8: what the history records leads to the same row again",
            Self::AttemptOnlyEchoes => "which attempt an answer echoes decides nothing, but for the refusal of an undo",
            Self::Stored => "a row survives being stored, and the same input is decided in one way",
            Self::NoAlarm => "participants that keep their fences raise no alarm but that of a stuck step",
            Self::NothingParked => "no answer to what was asked is parked",
            Self::StuckIsAlarmed => "I4: no step is stuck without an alarm",
        }
    }
}
