//! `mallbots-model`: visits every state of one saga and prints what it found.

use clap::Parser;
use model::{Fence, Limits, Report, check};
use std::{io::Write as _, process::ExitCode};

/// Visits every state that one saga can get into under crashes, duplicates, late and reordered messages and early timers.
#[derive(Parser)]
#[command(after_help = "\
Examples:
  mallbots-model                           one retry and one more send of each command, one crash of each orchestrator
  mallbots-model --retries 2 --sends 1     two retries of each step, every command sent once
  mallbots-model --retries 0 --sends 3     no retries, every command sent up to three times
  mallbots-model --retries 2               two retries and one more send: 14 million states, minutes, 2 GB
  mallbots-model --without fence           shows that it can fail, and the way to where an effect is done twice
  mallbots-model -o json | jq .ends        figures for other programs

Exit codes: 0 every state was visited and all holds, 1 a rule is broken (the way there is printed) or an end is not
reached, 2 wrong usage.")]
struct Arguments {
    /// Further rounds of each step, after refusals that allow them
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=4))]
    retries: u32,
    /// Sends of each command within a round, undos included
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=4))]
    sends: u32,
    /// Crashes of each of the two orchestrators
    #[arg(long, default_value_t = 1)]
    crashes: u8,
    /// Leaves a safeguard out
    #[arg(long, value_enum)]
    without: Option<Safeguard>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Safeguard {
    /// Participants carry out every command that comes
    Fence,
    /// An undo does not bar a do that comes after it
    Bar,
    /// Participants take undos again and in any order
    Inbox,
    /// Orchestrators save over each other
    VersionCheck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let report = check(limits(&arguments));
    let text = match arguments.output {
        Format::Text => text(&arguments, &report),
        Format::Json => format!("{:#}\n", serde_json::json!(report)),
    };
    // A reader that has seen enough, as `head` does, is not an error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn limits(arguments: &Arguments) -> Limits {
    let Arguments { retries, sends, crashes, without, .. } = *arguments;
    let limits = Limits { retries, sends, crashes, ..Limits::default() };
    match without {
        None => limits,
        Some(Safeguard::Fence) => Limits { fence: Fence::Missing, ..limits },
        Some(Safeguard::Bar) => Limits { fence: Fence::WithoutBar, ..limits },
        Some(Safeguard::Inbox) => Limits { inbox: false, ..limits },
        Some(Safeguard::VersionCheck) => Limits { version_check: false, ..limits },
    }
}

fn text(arguments: &Arguments, report: &Report) -> String {
    let Arguments { retries, sends, crashes, .. } = arguments;
    let how_far = if report.violations.is_empty() { "every state was visited" } else { "stopped at a violation" };
    let mut out = format!("retries {retries}, sends {sends}, crashes {crashes}: {how_far}\n");
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<8}{value}\n"));
    line("states", format!("{}, reached {} times", report.states, report.reached));
    line("depth", report.depth.to_string());
    line("time", format!("{:.1} s", report.seconds));
    line("parts", format!("{} rows of the saga, {} states of participants", report.rows, report.participants));
    out.push_str("states in which nothing is left to happen\n");
    report.ends.iter().for_each(|(end, count)| out.push_str(&format!("  {count:>8}  {end}\n")));
    out.push_str("reached\n");
    report.found.iter().for_each(|name| out.push_str(&format!("  {name}\n")));
    report.missing.iter().for_each(|name| out.push_str(&format!("NOT REACHED: {name}\n")));
    for violation in &report.violations {
        out.push_str(&format!("VIOLATED: {}\n", violation.rule));
        violation.path.iter().zip(1..).for_each(|(step, n)| out.push_str(&format!("  {n:>3}  {step}\n")));
    }
    out
}
