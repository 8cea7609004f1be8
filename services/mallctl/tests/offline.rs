//! What `mallctl` does without any server, by its exit codes and its files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn mallctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mallctl")).args(args).env_remove("MALLBOTS_REGISTRY").output().unwrap()
}

/// Exit code and standard error.
fn ended(args: &[&str]) -> (i32, String) {
    let output = mallctl(args);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// An empty folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn every_schema_has_a_verdict_without_a_registry() {
    let output = mallctl(&["schemas", "check", "--offline", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let verdicts: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdicts.len(), schemas::all().len());
    for verdict in verdicts {
        assert!(verdict["released"].as_str().unwrap().starts_with("compatible with 0.1.0"), "{verdict}");
    }
}

#[test]
fn the_check_against_a_registry_says_which_variable_names_it() {
    let (code, said) = ended(&["schemas", "check"]);
    assert_eq!(code, 2);
    assert!(said.contains("MALLBOTS_REGISTRY"), "{said}");
}

#[test]
fn a_release_is_a_copy_of_every_schema() {
    let into = folder("release");
    assert_eq!(ended(&["schemas", "release", "999.0.0", "--into", into.to_str().unwrap()]), (0, String::new()));
    for schema in schemas::all() {
        let file = format!("999.0.0/{}.avsc", message::short_name(schema.name).replace('.', "/"));
        assert_eq!(fs::read_to_string(into.join(&file)).expect(&file), schema.avsc);
    }
    let (code, said) = ended(&["schemas", "release", "999.0.0", "--into", into.to_str().unwrap()]);
    assert_eq!(code, 4);
    assert!(said.contains("never changed"), "{said}");
}

#[test]
fn a_release_needs_a_version_that_is_higher_and_a_place() {
    let into = folder("refused");
    let release =
        |version: &str, into: &Path| ended(&["schemas", "release", version, "--into", into.to_str().unwrap()]);
    for (version, into, code, why) in [
        ("next", into.clone(), 2, "three numbers"),
        ("0.1.0", into.clone(), 4, "is not higher"),
        ("0.0.9", into.clone(), 4, "is not higher"),
        ("999.0.0", into.join("nowhere"), 2, "there is no folder"),
    ] {
        let (ended, said) = release(version, &into);
        assert_eq!(ended, code, "{version}: {said}");
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "something was written");
}

#[test]
fn the_topics_file_is_held_against_the_platforms_topics() {
    assert_eq!(ended(&["topics", "check"]), (0, String::new()));
    let declared = include_str!("../../../infra/kafka/topics.yaml");
    let file = folder("topics").join("topics.yaml");
    for (from, to) in [
        ("mallbots.orders.events", "mallbots.order.events"),
        ("partitions: 2", "partitions: 0"),
        ("cleanup_policy: compact", "cleanup_policy: none"),
        ("max_message_bytes: 307200", "max_message_bytes: 1000"),
        ("mallbots.stores.events", "mallbots.orders.events"),
    ] {
        fs::write(&file, declared.replacen(from, to, 1)).unwrap();
        let (code, said) = ended(&["topics", "check", "--file", file.to_str().unwrap()]);
        assert_eq!(code, 1, "{to}: {said}");
    }
    let (code, said) = ended(&["topics", "check", "--file", "/nowhere.yaml"]);
    assert_eq!(code, 2);
    assert!(said.contains("/nowhere.yaml"), "{said}");
}

#[test]
fn an_outline_is_printed_as_it_is_checked_in() {
    let printed = mallctl(&["sagas", "outline", "order-fulfilment"]).stdout;
    let checked_in = include_str!("../../../orchestrator/outlines/order-fulfilment.txt");
    assert_eq!(String::from_utf8(printed).unwrap(), checked_in);
    let (code, said) = ended(&["sagas", "outline", "order-fulfillment"]);
    assert_eq!(code, 2);
    assert!(said.contains("order-fulfilment, return-refund"), "{said}");
}

#[test]
fn a_reader_that_has_left_changes_nothing_but_what_it_reads() {
    for format in ["table", "json"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_mallctl"));
        command.args(["schemas", "check", "--offline", "-o", format]).stdout(writer);
        let ended = command.output().unwrap();
        assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr).as_ref()), (Some(0), ""), "{format}");
    }
}
