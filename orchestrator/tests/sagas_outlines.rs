//! The outlines of all sagas are checked in, so that a change of a saga is seen for what it is.

use orchestrator::sagas::{Deadlines, definitions};
use std::{collections::BTreeSet, fs, path::PathBuf};

fn folder() -> PathBuf {
    // Cargo runs tests in their package's folder. Where it was compiled may be another clone, gone since.
    PathBuf::from("outlines")
}

#[test]
fn every_outline_is_the_one_that_is_checked_in() {
    for definition in definitions(&Deadlines::default()) {
        let path = folder().join(format!("{}.txt", definition.saga_type()));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, definition.outline()).unwrap();
        }
        let checked_in = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(definition.outline(), checked_in, "UPDATE_SNAPSHOTS=1 writes {} anew", path.display());
    }

    let files = fs::read_dir(folder()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let sagas = definitions(&Deadlines::default()).iter().map(|d| format!("{}.txt", d.saga_type())).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), sagas, "no outline is left of a saga that is gone");
}
