//! The model closes, and it can fail: each safeguard that is left out leads to the violation that it stands against.

use model::{Fence, Limits, Report, check};

const I7: &str = "I7: an effect is carried out at most once per effect key";
const I10: &str = "I10: an undo before its do bars the do";
const I2_COMPENSATED: &str = "I2: compensated: nothing stands";

fn holds(limits: Limits) -> Report {
    let report = check(limits);
    assert!(report.holds(), "{report:#?}");
    report
}

/// What is broken, and that the way there was printed.
fn broken(limits: Limits) -> Vec<&'static str> {
    let report = check(limits);
    assert!(report.violations.iter().all(|v| !v.path.is_empty()), "{report:#?}");
    report.violations.iter().map(|v| v.rule).collect()
}

#[test]
fn the_model_closes_without_a_violation_and_reaches_each_end() {
    let report = holds(Limits::default());
    assert!(report.states > 1_000_000, "{report:#?}");
    for end in [
        "completed",
        "compensated: cancelled",
        "compensated: hold was refused",
        "compensated: hold timed out",
        "compensated: plan was refused",
        "compensated: plan timed out",
        "compensated: capture was refused",
        "stuck at deliver (do)",
        "stuck at hold (undo): cancelled",
        "stuck at plan (undo): capture was refused",
    ] {
        assert!(report.ends.contains_key(end), "{end} is not among {:#?}", report.ends);
    }
}

#[test]
fn it_closes_with_two_retries_of_each_step_and_with_three_sends_of_each_command() {
    holds(Limits { retries: 2, sends: 1, ..Limits::default() });
    holds(Limits { retries: 0, sends: 3, ..Limits::default() });
}

#[test]
fn i7_without_the_fence_a_repeated_command_is_carried_out_twice() {
    let rules = broken(Limits { fence: Fence::Missing, ..Limits::default() });
    assert!(rules.contains(&I7) || rules.contains(&I10), "{rules:?}");
    let rules = broken(Limits { fence: Fence::Missing, sends: 1, retries: 0, later: false, ..Limits::default() });
    assert!(rules.contains(&I7), "{rules:?}");
}

#[test]
fn i10_when_an_undo_does_not_bar_its_do_a_compensated_saga_leaves_something_behind() {
    let rules = broken(Limits { fence: Fence::WithoutBar, sends: 1, retries: 0, ..Limits::default() });
    assert!(rules.contains(&I10) && rules.contains(&I2_COMPENSATED), "{rules:?}");
}

#[test]
fn without_the_version_check_an_overtaken_orchestrator_does_damage() {
    let rules = broken(Limits { version_check: false, ..Limits::default() });
    assert!(!rules.is_empty());
}

#[test]
fn without_an_inbox_all_holds_as_long_as_no_undo_is_refused() {
    let limits = Limits { inbox: false, sends: 2, retries: 0, ..Limits::default() };
    let report = check(Limits { undo_refusals: false, ..limits });
    assert!(report.violations.is_empty(), "{report:#?}");
    assert_eq!(broken(limits), ["participants that keep their fences raise no alarm but that of a stuck step"]);
}
