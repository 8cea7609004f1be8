//! A program that is newer than its database must say so, and not wait for ever for tables that are not there.

use super::{OnPostgres, World};

pub async fn a_database_that_is_behind_is_told_with_what_to_do(world: OnPostgres) {
    let outdated = async || world.store().outdated().await.unwrap();
    assert_eq!(outdated().await, None);
    world.execute("DROP TABLE spot").await;
    let why = outdated().await.unwrap();
    assert!(why.contains("no table \"spot\"") && why.contains("`mallctl db migrate`"), "{why}");
    world.execute("DELETE FROM migrations_platform WHERE version > 1").await;
    let why = outdated().await.unwrap();
    assert!(why.contains("is at version 1") && why.contains("`mallctl db migrate`"), "{why}");
    world.execute("DROP TABLE migrations_platform").await;
    let why = outdated().await.unwrap();
    assert!(why.contains("has no tables yet") && why.contains("`mallctl db migrate`"), "{why}");
}
