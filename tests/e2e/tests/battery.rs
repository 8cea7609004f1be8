//! The crash battery for half a minute, on the one broker that tests share: `make battery` is the long form. A program of its
//! own, since the servers that it kills are shared with every test that runs beside it. Needs servers that the launcher has
//! started.

use anyhow::{Result, bail};
use load::{
    battery::{self, Fault, Options},
    crash, plan,
};
use std::time::Duration;

/// Even, so that deadlines are longer than the storm and the end of every order is known beforehand.
const ROUND: usize = 2;
/// Whatever the seed, these strike.
const SURE: [Fault; 4] = [Fault::Kill, Fault::Double, Fault::Garbage, Fault::Provider];

#[tokio::test(flavor = "multi_thread")]
async fn under_a_storm_of_faults_nothing_is_lost_doubled_or_told_wrongly() -> Result<()> {
    crash::servers_can_be_killed()?;
    let options = Options {
        seed: plan::fresh_seed()?,
        storm: Duration::from_secs(30),
        rate: 8,
        every: Duration::from_millis(2_500),
    };
    let folder = tempfile::tempdir()?;
    let round = battery::round(&options, ROUND, folder.path(), |strike| println!("{strike}")).await?;
    println!("{}", serde_json::to_string(&round)?);
    if !round.holds() {
        let logs = folder.keep();
        bail!("{round:#?}\n{}\nlogs are in {}", round.verdict, logs.display());
    }
    for fault in SURE {
        assert!(round.tally.faults.get(fault.name()).is_some_and(|times| *times > 0), "INVALID: no {}", fault.name());
    }
    assert!(!round.tally.places.is_empty(), "INVALID: nobody died at a fail-point");
    Ok(())
}
