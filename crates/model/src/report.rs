//! A run of the checker, and what it came to.

use crate::{Errands, Limits, properties::NOT_STARTED};
use saga::Phase;
use serde::Serialize;
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::{collections::BTreeMap, time::Instant};

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Different states.
    pub states: usize,
    /// States reached, each as often as it was reached.
    pub reached: usize,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    pub seconds: f64,
    /// Different rows of the saga.
    pub rows: usize,
    /// Different states of participants.
    pub participants: usize,
    /// In how many states nothing is left to happen, by how the saga stands.
    pub ends: BTreeMap<String, u64>,
    /// What should be reached and was.
    pub found: Vec<&'static str>,
    /// What should be reached and was not.
    pub missing: Vec<&'static str>,
    pub violations: Vec<Violation>,
}

/// A rule that does not hold, and a way to where it does not: a short one, not always the shortest.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    pub rule: &'static str,
    pub path: Vec<String>,
}

impl Report {
    /// Nothing is violated, everything that should be reached is, and a saga for which nothing is left to happen has ended
    /// or waits for a person.
    pub fn holds(&self) -> bool {
        let goes_on = [Phase::Running, Phase::Compensating].map(Phase::as_str);
        let is_end = |end: &String| end != NOT_STARTED && !goes_on.iter().any(|phase| end.starts_with(phase));
        self.violations.is_empty() && self.missing.is_empty() && self.ends.keys().all(is_end)
    }
}

/// Visits every state, or those up to the first violation.
///
/// That each way ends is asked of the states in which nothing is left to happen. That is enough, for no way leads back to
/// where it was: rows go on, what was sent stays sent, crashes are counted, and a row is loaded anew only after a save.
pub fn check(limits: Limits) -> Report {
    let began = Instant::now();
    let checker = Errands::new(limits).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (rows, participants) = checker.model().parts();
    let mut report = Report {
        states: checker.unique_state_count(),
        reached: checker.state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f64(),
        rows,
        participants,
        // Before the paths are made, which visit states again.
        ends: checker.model().ends(),
        found: Vec::new(),
        missing: Vec::new(),
        violations: Vec::new(),
    };
    let mut discoveries = checker.discoveries();
    for property in checker.model().properties() {
        let path = discoveries.remove(property.name).map(|path| path.into_actions());
        match (property.expectation, path) {
            (Expectation::Sometimes, None) => report.missing.push(property.name),
            (Expectation::Sometimes, Some(_)) => report.found.push(property.name),
            (Expectation::Always | Expectation::Eventually, Some(path)) => {
                let path = path.iter().map(|action| format!("{action:?}")).collect();
                report.violations.push(Violation { rule: property.name, path });
            }
            (Expectation::Always | Expectation::Eventually, None) => {}
        }
    }
    report
}
