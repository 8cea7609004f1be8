//! Processes and servers die while orders are under way, on real servers: three roles drawn from a seed, the whole backend, the
//! broker and Postgres, one after the other on one platform. `make crash` is the long form. A program of its own, since the
//! servers that it kills are shared with every test that runs beside it. Needs servers that the launcher has started.

use anyhow::Result;
use load::{
    Crowd, Fault, Mall, Plan, Platform, Ways,
    crash::{self, ClientLog, Shift, Step},
    plan,
};
use std::time::Duration;

const ORDERS: usize = 100;
const EVERY: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_in_mid_flight_nothing_is_lost_doubled_or_undone() -> Result<()> {
    crash::servers_can_be_killed()?;
    let seed = plan::fresh_seed()?;
    let folder = tempfile::tempdir()?;
    let prefix = format!("crash{}", std::process::id());
    let mut platform = Platform::start(crash::options(folder.path().to_owned(), prefix, None)).await?;
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 3, 2 * ORDERS).await?;
    let log = ClientLog::new(folder.path().join("client.jsonl"));
    let mut faults = Fault::draw_roles(seed, 3);
    faults.extend([Fault::Backend, Fault::Kafka, Fault::Postgres]);
    for (number, fault) in faults.iter().enumerate() {
        let plan = Plan::draw(seed + number as u64, ORDERS, mall.ordinary.len());
        let crowd = Crowd {
            kiosk: platform.url("kiosk-gateway"),
            mall: mall.clone(),
            at_once: ORDERS,
            patience: crash::patience(fault, ORDERS, EVERY),
            run: format!("{fault}{number}"),
            ways: Ways::default(),
        };
        let shift = Shift { crowd: &crowd, plan: &plan, every: EVERY };
        let said = |step| match step {
            Step::Says(what) => println!("{fault}: {what}"),
            Step::Ended => {}
        };
        let outcome = crash::run(&mut platform, &shift, fault, &log, said).await?;
        println!("{}", serde_json::to_string(&outcome)?);
        if !outcome.holds() {
            let logs = folder.keep();
            anyhow::bail!("{fault}: {outcome:#?}\n{}\nlogs are in {}", outcome.verdict, logs.display());
        }
    }
    platform.stop().await
}
