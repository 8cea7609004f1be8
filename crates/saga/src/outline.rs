//! A definition as text: what a shop owner reads, what the snapshot tests compare, what `mallctl sagas outline` prints.

use crate::{
    Definition, RetryPolicy,
    definition::{Kind, Nature, Node, RawStep, Undo},
};
use message::short_name;
use std::fmt::Write;

impl Definition {
    /// The saga in plain text: a line for each step, and one below it for its undo. The same definition always gives
    /// the same text, ending in a newline.
    pub fn outline(&self) -> String {
        let mut out = format!("{} v{}\n", self.saga_type, self.version);
        line(&mut out, format_args!("  starts on {}", short_name(self.start.on.name)));
        for signal in &self.signals {
            line(&mut out, format_args!("  signal {}: {}", signal.name, short_name(signal.on.name)));
        }
        let width = self.steps().map(|s| s.name.len()).max().unwrap_or(0);
        for (number, node) in (1..).zip(&self.nodes) {
            out.push('\n');
            print_node(&mut out, number, node, width);
        }
        out
    }
}

fn print_node(out: &mut String, number: usize, node: &Node, width: usize) {
    if let [only] = &node.branches[..] {
        for step in only {
            print_step(out, &format!("{number:>3}  "), step, width);
        }
        return;
    }
    line(out, format_args!("{number:>3}  together"));
    for (letter, branch) in ('a'..).zip(&node.branches) {
        for (i, step) in branch.iter().enumerate() {
            let mark = if i == 0 { letter } else { '.' };
            print_step(out, &format!("       {mark}  "), step, width);
        }
    }
}

fn print_step(out: &mut String, lead: &str, step: &RawStep, width: usize) {
    let indent = " ".repeat(lead.len());
    line(out, format_args!("{lead}{:width$}  {}", step.name, what(step)));
    for note in notes(step) {
        line(out, format_args!("{indent}{:width$}  {note}", ""));
    }
}

fn what(step: &RawStep) -> String {
    let deadline = duration(step.deadline_ms);
    match &step.kind {
        Kind::Started => "taken in by the event that starts the saga".to_owned(),
        Kind::Call(call) => format!("call {}, answer within {deadline}", short_name(call.command)),
        Kind::Wait(wait) => format!("wait for {}, at most {deadline}", short_name(wait.on.name)),
        Kind::Child(child) => format!("run saga {}, at most {deadline}", child.saga_type),
    }
}

fn notes(step: &RawStep) -> Vec<String> {
    let mut out = Vec::new();
    if let Kind::Wait(wait) = &step.kind {
        out.extend(
            wait.unless.as_ref().map(|f| format!("unless {}", f.name.as_deref().unwrap_or("a condition holds"))),
        );
        out.extend(wait.fails_when.as_ref().map(|f| format!("fails when {}", f.name.as_deref().unwrap_or("…"))));
    }
    match step.nature {
        Nature::Compensable => {}
        Nature::Pivot => {
            out.push(format!("pivot: sent until answered, {} times; from here only forward", step.sends()))
        }
        Nature::Retriable => out.push(format!("sent until done, {} times", step.sends())),
    }
    out.extend((step.retry != RetryPolicy::None).then(|| format!("retryable refusal: {}", again(&step.retry))));
    out.extend(step.undo.as_ref().map(undo));
    out
}

fn undo(undo: &Undo) -> String {
    let deadline = duration(undo.deadline_ms);
    format!("undo {}, answer within {deadline}, {}", short_name(undo.command), again(&undo.retry))
}

fn again(policy: &RetryPolicy) -> String {
    match *policy {
        RetryPolicy::None => "not tried again".to_owned(),
        RetryPolicy::Fixed { ms, budget } => format!("{budget} more tries, {} apart", duration(ms)),
        RetryPolicy::Exponential { base_ms, max_ms, budget } => {
            format!("{budget} more tries, {} to {} apart", duration(base_ms), duration(max_ms))
        }
    }
}

fn duration(ms: u64) -> String {
    match ms {
        0 => "0 ms".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}

/// Writing to a string cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_told_in_the_largest_unit_that_fits_evenly() {
        let told =
            [(0, "0 ms"), (999, "999 ms"), (1_000, "1 s"), (1_500, "1500 ms"), (60_000, "1 min"), (90_000, "90 s")];
        let longer = [(3_600_000, "1 h"), (5_400_000, "90 min"), (7_200_000, "2 h"), (3_601_000, "3601 s")];
        for (ms, text) in told.into_iter().chain(longer) {
            assert_eq!(duration(ms), text);
        }
    }
}
