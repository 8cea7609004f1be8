//! Postgres dies between a batch's last statement and its COMMIT. A program of its own, since the server that it kills is
//! shared with every test that runs beside it. Needs servers that the launcher has started.

use message::Stream;
use servers::Control;
use std::time::Duration;
use testkit::{CommitCutter, Cut, Database, eventually};
use transport::{
    Error,
    ports::{Changes, CommitError, Mark, Store, Tx},
    postgres::{PgConfig, PgStore},
};
use uuid::Uuid;

/// Transactions after the crash: enough to be given every id again that the server had given out and not written down.
const MEANWHILE: usize = 100;

fn marks() -> Changes {
    let stream = Stream::new("there", "thing", &Uuid::now_v7().to_string(), "events");
    Changes { marks: vec![(stream, Mark::default(), Mark { last_seq: 1, parked: 0 })], ..Changes::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_a_crash_has_cut_off_is_not_taken_for_the_one_of_somebody_else() {
    let database = Database::create("crashed", &[], refinery::Runner::new(&[])).await;
    let control = Control::from_env().expect("run this under `servers run --`");
    // Everything until here is written down; of what follows, only the server's memory knows.
    database.connect().await.batch_execute("CHECKPOINT").await.unwrap();
    let through = CommitCutter::start(&database.url(), || Some(Cut::Before)).await.unwrap();
    let store = PgStore::new(&PgConfig::new(through.url()), &[]).unwrap();
    let lost = store.begin().await.unwrap().commit("test", &marks()).await;
    let Err(CommitError::Unknown(token)) = lost else { panic!("the answer arrived: {lost:?}") };
    control.stop_postgres_immediate().await.unwrap();
    control.start_postgres().await.unwrap();
    let mut committed = 0;
    eventually(Duration::from_secs(30), async || {
        while committed < MEANWHILE {
            let tx = database.store().begin().await.ok()?;
            tx.commit("test", &marks()).await.ok()?;
            committed += 1;
        }
        Some(())
    })
    .await;
    let known = eventually(Duration::from_secs(30), async || match database.store().committed(&token).await {
        Ok(known) => Some(known),
        Err(Error::Retry { .. }) => None,
        Err(other) => panic!("{other}"),
    });
    assert!(!known.await, "it was never committed");
}
