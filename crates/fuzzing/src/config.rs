//! What installations set: whatever text a variable or the file of topics has, it is read or refused, and a refusal names
//! the variable.

use crate::cut::{Cut, Glue};
use depot::DepotConfig;
use kiosk_gateway::ApiConfig;
use serde::Deserialize;
use std::cell::RefCell;
use transport::postgres::{PgConfig, PgStore};

/// The shape of `infra/kafka/topics.yaml`, as `mallctl topics` reads it.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Topics {
    topics: Vec<Topic>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Topic {
    name: String,
    partitions: i32,
    cleanup_policy: String,
    retention_ms: i64,
    max_message_bytes: i64,
}

const TOPICS: &str = include_str!("../../../infra/kafka/topics.yaml");
/// The readers, by number.
const DEPOT: u8 = 0;
const ORDERS: u8 = 1;
const KIOSK: u8 = 2;
const DATABASE: u8 = 3;
const FILE: u8 = 4;
const ROBOTS: u8 = 5;
const READERS: &[u8] = &[DEPOT, ORDERS, KIOSK, DATABASE, FILE, ROBOTS];

/// The input: which reader, then its text, or the texts of its variables in the order in which it asks; an empty one is not
/// set.
pub fn config(bytes: &[u8]) {
    let mut cut = Cut::new(bytes);
    match cut.pick(READERS) {
        DEPOT => variables(cut, |var| DepotConfig::read(var)),
        ORDERS => variables(cut, |var| orders::Config::from_vars(var)),
        KIOSK => variables(cut, |var| ApiConfig::from_lookup(var)),
        ROBOTS => variables(cut, |var| robot_gateway::Config::from_lookup(var)),
        DATABASE => drop(PgStore::new(&PgConfig::new(String::from_utf8_lossy(cut.rest())), &["order"])),
        _ => drop(serde_yaml_ng::from_slice::<Topics>(cut.rest())),
    }
}

/// The error of a refused value names one of the variables that were set.
fn variables<T>(cut: Cut<'_>, read: impl Fn(&dyn Fn(&str) -> Option<String>) -> anyhow::Result<T>) {
    let (cut, set) = (RefCell::new(cut), RefCell::new(Vec::new()));
    let var = |name: &str| {
        let text = cut.borrow_mut().text();
        (!text.is_empty()).then(|| {
            set.borrow_mut().push(name.to_owned());
            text
        })
    };
    if let Err(error) = read(&var) {
        let told = format!("{error:#}");
        assert!(set.borrow().iter().any(|name| told.contains(name)), "{told} names no variable");
    }
}

/// Good values for every reader.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let blocks = |reader: u8, texts: &[&str]| {
        texts.iter().fold(Glue::default().byte(reader), |glue, text| glue.block(text)).rest([])
    };
    let url = "http://127.0.0.1:7101";
    let database = "postgres://user:password@127.0.0.1:5432/mallbots_orders?connect_timeout=5";
    // More aliases than any file has use for.
    let level = |n: u8| format!("l{n}: &l{n} [{}]\n", vec![format!("*l{}", n - 1); 9].join(","));
    let aliases = format!("topics: []\nl0: &l0 [x]\n{}", (1..9).map(level).collect::<String>());
    [
        ("depot", blocks(DEPOT, &["20", "30", "true"])),
        ("orders", blocks(ORDERS, &["1800"])),
        ("kiosk", blocks(KIOSK, &["127.0.0.1:8080", url, url, url, "10000", "1024", "4096", "15000"])),
        ("robots", blocks(ROBOTS, &["127.0.0.1:7108", "127.0.0.1:7158", url, "10000"])),
        ("database", Glue::default().byte(DATABASE).rest(database)),
        ("topics", Glue::default().byte(FILE).rest(TOPICS)),
        ("aliases", Glue::default().byte(FILE).rest(aliases)),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .to_vec()
}
