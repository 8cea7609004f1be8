//! The journal file: one JSON line a decision, or a call that was turned away, appended before it is answered, read again at
//! start.
//!
//! It is not synced to disk: it guards against the end of the process, not of the machine.

use crate::book::{Book, Line};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::Path,
};

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    run: String,
}

/// An open journal; `None` keeps nothing.
pub struct Journal(Option<File>);

impl Journal {
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens or creates the journal and rebuilds the books from it; new books get the name `run`.
    pub fn open(path: &Path, run: String, hold_ms: i64) -> anyhow::Result<(Self, Book)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).with_context(|| at(path))?;
        let (book, whole) = match load(&file, hold_ms).with_context(|| at(path))? {
            Some(loaded) => loaded,
            None => {
                writeln!(file, "{}", serde_json::to_string(&Head { run: run.clone() })?)?;
                return Ok((Self(Some(file)), Book::new(run, hold_ms)));
            }
        };
        // What a kill left half written was never answered.
        file.set_len(whole)?;
        Ok((Self(Some(file)), book))
    }

    /// Hands the line to the operating system in one write.
    pub fn append(&mut self, line: &Line) -> std::io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        file.write_all(&text)
    }
}

fn at(path: &Path) -> String {
    format!("MALLBOTS_ACQUIRER_JOURNAL: {}", path.display())
}

/// The books and the length of the whole lines; `None` for a file without a whole first line.
fn load(file: &File, hold_ms: i64) -> anyhow::Result<Option<(Book, u64)>> {
    let mut reader = BufReader::new(file);
    let (mut text, mut whole, mut number) = (String::new(), 0u64, 0u64);
    let mut book = None;
    while reader.read_line(&mut text)? > 0 && text.ends_with('\n') {
        number += 1;
        match &mut book {
            None => {
                let head: Head = serde_json::from_str(&text).context("line 1 is not the head of a journal")?;
                book = Some(Book::new(head.run, hold_ms));
            }
            Some(book) => take(book, &text).with_context(|| format!("line {number}"))?,
        }
        whole += text.len() as u64;
        text.clear();
    }
    if book.is_none() && !text.is_empty() {
        bail!("it is not a journal; give another file");
    }
    Ok(book.map(|b| (b, whole)))
}

fn take(book: &mut Book, text: &str) -> anyhow::Result<()> {
    book.replay(&serde_json::from_str(text)?).map_err(anyhow::Error::msg)
}
