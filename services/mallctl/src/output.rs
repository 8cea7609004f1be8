//! Tables for people, JSON for pipes, and exit codes for scripts.

use comfy_table::{Table, presets::NOTHING};
use serde_json::{Value, json};
use std::{fmt, io::Write as _};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// Why a command ends with another code than 0.
#[derive(Debug)]
pub enum Failure {
    /// A check found something: 1.
    Check(String),
    /// 2.
    Usage(String),
    /// 3.
    Unreachable(String),
    /// The service said no: 4.
    Refused(String),
}

impl Failure {
    pub fn code(&self) -> u8 {
        match self {
            Self::Check(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused(_) => 4,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check(text) | Self::Usage(text) | Self::Unreachable(text) | Self::Refused(text) => f.write_str(text),
        }
    }
}

pub type Done = Result<(), Failure>;

pub fn usage(error: anyhow::Error) -> Failure {
    Failure::Usage(format!("{error:#}"))
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let code = service_kit::grpc::code(&status).map(|c| format!(" ({c})")).unwrap_or_default();
        match status.code() {
            tonic::Code::Unavailable => Self::Unreachable(format!("{}{code}", status.message())),
            tonic::Code::InvalidArgument => Self::Usage(format!("{}{code}", status.message())),
            _ => Self::Refused(format!("{}{code}", status.message())),
        }
    }
}

/// To standard output. Whoever read it may have left, as `head` does; what the command does goes on all the same.
pub fn write(text: impl fmt::Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// As [`write`], with the end of the line.
pub fn line(text: impl fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Rows under `headers`, as a table or as an array of objects.
pub fn print(format: Format, headers: &[&str], rows: &[Vec<String>]) {
    match format {
        Format::Table => {
            let mut table = Table::new();
            table.load_style(NOTHING).set_header(headers.iter().map(|h| h.to_uppercase()));
            for row in rows {
                table.add_row(row);
            }
            line(table);
        }
        Format::Json => {
            let object = |row: &Vec<String>| -> Value {
                headers
                    .iter()
                    .zip(row)
                    .map(|(h, v)| ((*h).to_owned(), json!(v)))
                    .collect::<serde_json::Map<_, _>>()
                    .into()
            };
            line(Value::Array(rows.iter().map(object).collect()));
        }
    }
}

/// What is no table: `text` as it is for people, `fields` as an object for pipes.
pub fn say(format: Format, text: &str, fields: &[(&str, &str)]) {
    match format {
        Format::Table => write(text),
        Format::Json => {
            let object: serde_json::Map<_, _> = fields.iter().map(|(n, v)| ((*n).to_owned(), json!(v))).collect();
            line(Value::Object(object));
        }
    }
}

/// Milliseconds as seconds.
pub fn seconds(ms: i64) -> String {
    format!("{:.3}", ms as f64 / 1000.0)
}
