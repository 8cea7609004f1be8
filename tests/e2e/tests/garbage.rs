//! Records that cannot be processed, on real servers: garbage that strangers send, and commands that somebody forges.

use anyhow::{Context as _, Result, ensure};
use load::{
    Kiosk, Mall, Platform, PlatformOptions,
    garbage::{Day, parked},
    kiosk::PATIENCE,
    sender::{Sender, Stray},
};
use message::{Direction, EffectKey, Envelope, SagaRef, Stream};
use schemas::topics::{ORCHESTRATOR_REPLIES, PAYMENTS_COMMANDS};
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

async fn start(folder: &std::path::Path, name: &str) -> Result<Platform> {
    Platform::start(PlatformOptions { pace_ms: 5, ..PlatformOptions::test(folder, name) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_pieces_of_garbage_on_each_topic_are_parked_or_refused_and_no_order_notices() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut platform = start(folder.path(), "garbage").await?;
    let day = Day { seed: 21, orders: 250, records: 1_000, at_once: 8 };
    let report = day.run(&platform, |_| {}).await?;
    eprintln!("{:?} before, {:?} after", report.before, report.after);
    report.check(&day)?;
    platform.wait_until_ready().await?;
    platform.stop().await
}

/// What operators have to mend: records that claim to be the next of a live saga's own commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_command_stops_its_order_alone_and_operators_bring_it_to_its_end() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let platform = start(folder.path(), "forged").await?;
    let mall = Mall::open(platform.url("stores"), platform.url("depot"), 1, 10).await?;
    let kiosk = Kiosk::new(platform.url("kiosk-gateway"))?;
    let scene = Scene { sender: Sender::new(platform.env())?, product: mall.ordinary[0].id.clone(), kiosk, platform };
    scene.in_catalogue().await?;
    scene.a_do_that_is_given_up_is_refused_to_its_saga().await?;
    scene.the_genuine_record_is_released_in_place_of_the_forged_one().await?;
    scene.an_undo_that_is_given_up_makes_its_saga_wait_for_a_person().await?;
    scene.only_the_forgeries_are_left_in_the_topics(3).await?;
    scene.platform.stop().await
}

struct Scene {
    platform: Platform,
    kiosk: Kiosk,
    sender: Sender,
    product: String,
}

/// The command that the saga of a `ready` order sends next to payments: its second there.
const NEXT: u64 = 2;

impl Scene {
    async fn in_catalogue(&self) -> Result<()> {
        let basket = self.kiosk.basket(&[]).await?;
        eventually("the product to be known", async || {
            Ok((self.kiosk.put(&basket, &self.product, 1).await?.status == 200).then_some(()))
        })
        .await
    }

    /// An order that waits for its customer to pay.
    async fn ready(&self) -> Result<String> {
        let order = self.kiosk.order(&self.product, "tok_ok", "on_arrival").await?;
        self.kiosk.until(&order, "ready").await?;
        Ok(order)
    }

    async fn saga(&self, order: &str) -> Result<Value> {
        let text = self.platform.ctl(&["sagas", "list", "--order", order, "-o", "json"]).await?;
        let sagas: Value = serde_json::from_str(&text)?;
        sagas.get(0).cloned().with_context(|| format!("order {order} has no saga: {text}"))
    }

    /// Sends rubbish under the headers of the order's next command to payments, and waits until it is parked.
    async fn forge(&self, order: &str, step: &str, direction: Direction) -> Result<i64> {
        let saga_id: Uuid = self.saga(order).await?["saga_id"].as_str().context("no id")?.parse()?;
        let envelope = Envelope {
            id: Uuid::now_v7(),
            name: "mallbots.payments.CapturePayment".into(),
            stream: Stream::new("orchestrator", "saga", &saga_id.to_string(), PAYMENTS_COMMANDS),
            seq: NEXT,
            time_ms: 0,
            trace: None,
            correlation_id: Some(order.to_owned()),
            causation_id: None,
            saga: Some(SagaRef {
                saga_type: "order-fulfilment".into(),
                effect: EffectKey { saga_id, step: step.into(), direction, round: 1 },
                attempt: 1,
                reply_to: ORCHESTRATOR_REPLIES.into(),
                key: order.into(),
            }),
            outcome: None,
        };
        let stray = Stray::new(PAYMENTS_COMMANDS, order, &envelope, b"garbage".to_vec());
        let place = self.sender.send_one(stray).await?;
        self.parked(|row| row["place"] == place).await
    }

    /// The id of the parked record that is so, once there is one.
    async fn parked(&self, is: impl Fn(&Value) -> bool) -> Result<i64> {
        let id = eventually("a record to be parked", async || {
            let found = parked(&self.platform).await?.into_iter().find(|row| is(row));
            Ok(found.and_then(|row| row["id"].as_str()?.parse().ok()))
        });
        id.await
    }

    /// The genuine command, kept beside the forged one that has its position.
    async fn genuine(&self) -> Result<i64> {
        self.parked(|row| row["reason"].as_str().is_some_and(|reason| reason.contains("is held by offset"))).await
    }

    async fn verb(&self, verb: &str, id: i64) -> Result<String> {
        let id = id.to_string();
        self.platform.ctl(&["parked", verb, "payments", &id, "--reason", "forged: see the incident"]).await
    }

    async fn nothing_is_parked(&self) -> Result<()> {
        eventually("parking to be empty", async || Ok(parked(&self.platform).await?.is_empty().then_some(()))).await
    }

    async fn a_do_that_is_given_up_is_refused_to_its_saga(&self) -> Result<()> {
        let order = self.ready().await?;
        let forged = self.forge(&order, "capture-payment", Direction::Do).await?;
        self.kiosk.pay(&order).await?.ok()?;
        let genuine = self.genuine().await?;
        let shown = self.platform.ctl(&["parked", "show", "payments", &forged.to_string()]).await?;
        ensure!(shown.contains("not decoded: ") && shown.contains("garbage"), "{shown}");
        let shown = self.platform.ctl(&["parked", "show", "payments", &genuine.to_string()]).await?;
        ensure!(shown.contains(&format!(r#""order_id":"{order}""#)), "the body is not decoded: {shown}");
        // Other orders go on meanwhile.
        let other = self.kiosk.order(&self.product, "tok_ok", "now").await?;
        self.kiosk.until(&other, "completed").await?;

        self.verb("skip", forged).await?;
        let ended = self.kiosk.until(&order, "cancelled").await?;
        ensure!(ended["code"] == "platform.skipped", "{ended}");
        self.verb("release", genuine).await?;
        self.nothing_is_parked().await
    }

    async fn the_genuine_record_is_released_in_place_of_the_forged_one(&self) -> Result<()> {
        let order = self.ready().await?;
        let forged = self.forge(&order, "capture-payment", Direction::Do).await?;
        let (code, text) = self
            .platform
            .ctl_code(&["parked", "release", "payments", &forged.to_string(), "--reason", "perhaps it works now"])
            .await?;
        ensure!(code == 1 && text.contains("is parked again"), "{code}: {text}");
        self.kiosk.pay(&order).await?.ok()?;
        let genuine = self.genuine().await?;
        self.verb("release", genuine).await?;
        self.kiosk.until(&order, "completed").await?;
        self.nothing_is_parked().await
    }

    async fn an_undo_that_is_given_up_makes_its_saga_wait_for_a_person(&self) -> Result<()> {
        let order = self.ready().await?;
        let forged = self.forge(&order, "authorize-payment", Direction::Undo).await?;
        self.kiosk.cancel(&order).await?.ok()?;
        let genuine = self.genuine().await?;
        self.verb("skip", forged).await?;
        let saga = eventually("the saga to be stuck", async || {
            Ok(Some(self.saga(&order).await?).filter(|saga| saga["state"] == "stuck"))
        });
        let id = saga.await?["saga_id"].as_str().unwrap_or_default().to_owned();
        self.verb("skip", genuine).await?;
        self.platform.ctl(&["sagas", "retry", &id, "--reason", "the record was forged"]).await?;
        self.kiosk.until(&order, "cancelled").await?;
        self.nothing_is_parked().await
    }

    /// The topics hold what no source emitted, and `verify` says so of exactly these streams; all else agrees.
    async fn only_the_forgeries_are_left_in_the_topics(&self, count: usize) -> Result<()> {
        let (code, text) = self.platform.ctl_code(&["verify", "--wait", "60s", "-o", "json"]).await?;
        let verdicts: Value = serde_json::from_str(text.lines().next().unwrap_or_default())?;
        for verdict in verdicts.as_array().context("no verdicts")? {
            let is_i6 = verdict["invariant"].as_str().is_some_and(|name| name.starts_with("I6"));
            let expected = if is_i6 { format!("BROKEN {count}") } else { "ok".into() };
            ensure!(verdict["verdict"] == expected, "{verdict}");
        }
        ensure!(code == 1, "exit code {code}");
        Ok(())
    }
}

async fn eventually<T>(what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(started.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
