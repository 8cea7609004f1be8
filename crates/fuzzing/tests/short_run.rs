//! What the fuzzers look for at length, looked for shortly: every input of the corpus, and seeded changes of each.
//!
//! The input under way is kept in a file, so that one that ends the process, by taking more memory or stack than there is,
//! can be found: `<target folder>/tmp/short_run-<target>`.

use cap::Cap;
use fuzzing::{
    Target,
    mutate::{Dice, mutate},
    target,
};
use std::{
    alloc::System,
    fs::{self, File},
    io::{Seek, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// One at a time: the cap and the panic hook are the process's.
static ALONE: Mutex<()> = Mutex::new(());

/// What no input may take; generous, because others may be busy on the same machine.
const SLOW: Duration = Duration::from_secs(5);
const SEED: u64 = 1;

#[test]
fn no_bytes_make_the_decoder_of_headers_panic_or_take_more_than_its_cap() {
    short_run("headers", 20_000);
}

#[test]
fn no_bytes_make_the_decoder_of_values_panic_or_take_more_than_its_cap() {
    short_run("avro", 1_000);
}

#[test]
fn no_schema_of_the_registry_makes_its_decoder_panic_or_take_more_than_its_cap() {
    short_run("writer_schema", 5_000);
}

#[test]
fn no_record_makes_a_context_panic_or_take_more_than_its_cap_or_is_lost() {
    short_run("record", 60);
}

#[test]
fn no_request_makes_the_kiosk_gateway_panic_or_take_more_than_its_cap() {
    short_run("rest", 2_000);
}

#[test]
fn no_call_makes_a_service_panic_or_take_more_than_its_cap() {
    short_run("grpc", 150);
}

#[test]
fn no_setting_makes_its_reader_panic_or_take_more_than_its_cap() {
    short_run("config", 5_000);
}

#[test]
fn no_row_of_the_outbox_makes_its_decoder_panic_or_take_more_than_its_cap() {
    short_run("pack", 50);
}

#[test]
fn the_corpus_has_what_is_encoded_today() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for target in fuzzing::TARGETS {
        let folder = corpus(target);
        for (name, bytes) in target.seeds() {
            let path = folder.join(&name);
            if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            let same = fs::read(&path).is_ok_and(|there| there == bytes);
            assert!(same, "UPDATE_SNAPSHOTS=1 writes {} anew", path.display());
        }
    }
}

/// Cargo runs tests in their package's folder.
fn corpus(target: &Target) -> PathBuf {
    Path::new("../../fuzz/corpus").join(target.name)
}

/// The corpus, then so many changes of each of its inputs.
fn short_run(name: &str, changes: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let target = target(name);
    let mut trial = Trial::new(target);
    let files = inputs(&corpus(target));
    let all: Vec<&[u8]> = files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    assert!(!all.is_empty(), "no corpus for {name}");
    let mut dice = Dice(SEED);
    for (file, input) in &files {
        trial.check(file, input);
        for _ in 0..changes {
            trial.check(file, &mutate(input, &all, &mut dice));
        }
    }
}

fn inputs(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.display().to_string(), fs::read(&path).unwrap())).collect()
}

/// Runs inputs with a hook that sees every panic, also one that our code catches.
struct Trial {
    target: &'static Target,
    seen: Arc<Mutex<Option<String>>>,
    under_way: File,
}

impl Trial {
    fn new(target: &'static Target) -> Self {
        let seen = Arc::new(Mutex::new(None));
        let hook = seen.clone();
        panic::set_hook(Box::new(move |info| {
            hook.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(info.to_string());
        }));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("short_run-{}", target.name));
        Self { target, seen, under_way: File::create(path).unwrap() }
    }

    /// Panics with the smallest input that fails alike, when this one fails.
    fn check(&mut self, file: &str, input: &[u8]) {
        let Some(why) = self.fails(input) else { return };
        let smallest = self.smallest(input.to_vec());
        let why = self.fails(&smallest).unwrap_or(why);
        drop(panic::take_hook());
        panic!("{}, changed from {file}: {why}\n  b\"{}\"", self.target.name, smallest.escape_ascii());
    }

    fn fails(&mut self, input: &[u8]) -> Option<String> {
        self.under_way.set_len(0).unwrap();
        self.under_way.rewind().unwrap();
        self.under_way.write_all(input).unwrap();
        let started = Instant::now();
        let ended = panic::catch_unwind(AssertUnwindSafe(|| self.target.run(&ALLOCATOR, input)));
        let took = started.elapsed();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        let slow = (took > SLOW).then(|| format!("it took {took:?}"));
        seen.or_else(|| ended.err().map(|_| "it panicked".to_owned())).or(slow)
    }

    /// Leaves out whatever can be, in ever smaller parts, for a while.
    fn smallest(&mut self, mut input: Vec<u8>) -> Vec<u8> {
        let (mut part, until) = (input.len() / 2, Instant::now() + SLOW);
        while part > 0 {
            let mut at = 0;
            while at < input.len() && Instant::now() < until {
                let mut less = input.clone();
                less.drain(at..(at + part).min(input.len()));
                if self.fails(&less).is_some() { input = less } else { at += part }
            }
            part /= 2;
        }
        input
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            drop(panic::take_hook());
        }
    }
}
