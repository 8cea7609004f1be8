//! The outbox on real servers under many writers and relays that die, for some seconds: `make battery` has a minute of it.

use anyhow::Result;
use load::{battery, plan};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_overtake_each_other_and_relays_that_die_lose_and_reorder_nothing() -> Result<()> {
    let check = battery::outbox(plan::fresh_seed()?, Duration::from_secs(10)).await?;
    println!("{}", check.what);
    assert_eq!(check.broken, [""; 0]);
    Ok(())
}
