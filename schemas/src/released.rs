//! What was released: the schemas of every version that ever wrote to a topic, kept under `released/<version>`, and the
//! rule that the present ones read and are read by all of them (FULL_TRANSITIVE).

use crate::{all, compatibility};
use std::collections::BTreeMap;

/// One schema of a released version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// `1.2.3`.
    pub version: &'static str,
    /// Full name of the record, also the subject.
    pub name: &'static str,
    pub avsc: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/released.rs"));

/// Every released schema, oldest version first.
pub fn released() -> &'static [Released] {
    RELEASED
}

/// Orders versions; `None` for a text that is none.
pub fn version_key(version: &str) -> Option<[u64; 3]> {
    let parts: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let key = parts.try_into().ok()?;
    let text = |[a, b, c]: [u64; 3]| format!("{a}.{b}.{c}");
    (text(key) == version).then_some(key)
}

/// What became of one subject since it was released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not in any released version.
    New,
    /// Reads and is read by these versions.
    Compatible(Vec<&'static str>),
    /// One sentence for each released version that it breaks.
    Refused(Vec<String>),
}

/// The verdict on every subject of this build, and on those that were released and are gone.
pub fn verdicts() -> BTreeMap<&'static str, Verdict> {
    let present = all().iter().map(|schema| (schema.name, schema.avsc)).collect();
    judge(&present, RELEASED)
}

fn judge(present: &BTreeMap<&'static str, &str>, released: &[Released]) -> BTreeMap<&'static str, Verdict> {
    let mut verdicts: BTreeMap<_, _> = present.keys().map(|name| (*name, Verdict::New)).collect();
    for old in released {
        let verdict = verdicts.entry(old.name).or_insert(Verdict::New);
        let found = present.get(old.name).ok_or_else(|| "gone, and its records are still on topics".to_owned());
        match (found.and_then(|avsc| compatibility::full(old.avsc, avsc)), verdict) {
            (Ok(()), Verdict::Refused(_)) => {}
            (Ok(()), Verdict::Compatible(versions)) => versions.push(old.version),
            (Ok(()), verdict @ Verdict::New) => *verdict = Verdict::Compatible(vec![old.version]),
            (Err(why), Verdict::Refused(all)) => all.push(format!("{}: {why}", old.version)),
            (Err(why), verdict) => *verdict = Verdict::Refused(vec![format!("{}: {why}", old.version)]),
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str) -> String {
        format!(r#"{{"type":"record","name":"R","fields":[{{"name":"n","type":{kind},"default":1}}]}}"#)
    }

    fn old(version: &'static str, avsc: &'static str) -> Released {
        Released { version, name: "R", avsc }
    }

    #[test]
    fn a_schema_is_held_against_every_released_version_and_not_the_last_only() {
        let int: &'static str = record("\"int\"").leak();
        let long: &'static str = record("\"long\"").leak();
        let verdict = |avsc, released: &[Released]| judge(&BTreeMap::from([("R", avsc)]), released)["R"].clone();
        assert_eq!(verdict(int, &[]), Verdict::New);
        assert_eq!(verdict(int, &[old("1.0.0", int), old("1.1.0", int)]), Verdict::Compatible(vec!["1.0.0", "1.1.0"]));
        let broken = verdict(long, &[old("1.0.0", int), old("1.1.0", long)]);
        assert_eq!(broken, Verdict::Refused(vec!["1.0.0: n was int and is long".into()]));
    }

    #[test]
    fn a_released_schema_never_disappears() {
        let verdicts = judge(&BTreeMap::new(), &[old("1.0.0", "{}")]);
        assert!(matches!(&verdicts["R"], Verdict::Refused(why) if why[0].contains("gone")));
    }

    #[test]
    fn versions_are_three_numbers_and_ordered_as_numbers() {
        assert!(version_key("0.10.0") > version_key("0.9.9"));
        for bad in ["", "1", "1.0", "1.0.0.0", "1.0.x", "01.0.0", "v1.0.0", "1.0.0-rc"] {
            assert_eq!(version_key(bad), None, "{bad}");
        }
    }
}
