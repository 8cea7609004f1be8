//! An order's live view, read frame by frame as a browser does.

use crate::{
    fakes::{Answer, ID},
    kiosk::{Ask, Kiosk, get, millis},
};
use axum::body::Body;
use http_body_util::BodyExt;
use kiosk_gateway::{
    Limits,
    live::{Happening, LiveEvent, MAX_BEHIND},
};
use schemas::ids::OrderId;
use serde_json::Value;
use tonic::{Code, Status};
use uuid::Uuid;

fn follow() -> Ask {
    get(format!("/v1/orders/{ID}/events"))
}

fn order() -> OrderId {
    ID.parse().unwrap()
}

fn event(id: u128) -> LiveEvent {
    LiveEvent::new(Uuid::from_u128(id), order(), Happening::Approved, "Your order is accepted.")
}

/// The fields of one server-sent event.
#[derive(Debug, Default)]
struct Sent {
    name: String,
    id: String,
    data: String,
    comment: String,
}

impl Sent {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

struct View(Body);

impl View {
    async fn open(kiosk: &Kiosk, ask: Ask) -> Self {
        let response = kiosk.respond(ask).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response.into_body())
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Sent> {
        let bytes = self.0.frame().await?.unwrap().into_data().unwrap();
        let mut sent = Sent::default();
        for line in String::from_utf8(bytes.to_vec()).unwrap().lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let field = match name {
                "event" => &mut sent.name,
                "id" => &mut sent.id,
                "data" => &mut sent.data,
                "" => &mut sent.comment,
                _ => continue,
            };
            *field = value.trim().to_owned();
        }
        Some(sent)
    }
}

#[tokio::test]
async fn a_view_begins_with_the_whole_order_and_goes_on_with_its_changes() {
    let kiosk = Kiosk::open().await;
    let mut view = View::open(&kiosk, follow()).await;
    let first = view.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.json()["status"]), ("snapshot", &"approved".into()));
    assert_eq!(first.id, "", "a snapshot must not move Last-Event-ID");
    kiosk.live.publish(order(), event(7));
    let change = view.next().await.unwrap();
    assert_eq!((change.name.as_str(), change.id.parse::<Uuid>().unwrap().as_u128()), ("change", 7));
    assert_eq!(change.json()["kind"], "approved");
    assert_eq!(change.json()["detail"], "Your order is accepted.");
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_what_it_missed() {
    let kiosk = Kiosk::open().await;
    let view = View::open(&kiosk, follow()).await;
    (1..=3).for_each(|id| kiosk.live.publish(order(), event(id)));
    drop(view);
    let mut back = View::open(&kiosk, follow().header("last-event-id", Uuid::from_u128(1).to_string())).await;
    assert_eq!(back.next().await.unwrap().name, "snapshot");
    for id in 2..=3 {
        assert_eq!(back.next().await.unwrap().id, Uuid::from_u128(id).to_string());
    }
}

#[tokio::test]
async fn a_last_event_id_that_is_none_of_ours_is_served_by_the_snapshot() {
    let kiosk = Kiosk::open().await;
    for id in ["", "nonsense", ID] {
        let mut view = View::open(&kiosk, follow().header("last-event-id", id)).await;
        assert_eq!(view.next().await.unwrap().name, "snapshot");
    }
}

#[tokio::test]
async fn a_slow_client_is_disconnected_with_the_reason() {
    let kiosk = Kiosk::open().await;
    let mut view = View::open(&kiosk, follow()).await;
    (0..=MAX_BEHIND as u128).for_each(|id| kiosk.live.publish(order(), event(id + 1)));
    assert_eq!(view.next().await.unwrap().name, "snapshot");
    let end = view.next().await.unwrap();
    assert_eq!((end.name.as_str(), &end.json()["reason"]), ("end", &"too_slow".into()));
    assert!(view.next().await.is_none());
}

#[tokio::test]
async fn a_stop_ends_every_view_with_the_reason_and_takes_no_new_one() {
    let kiosk = Kiosk::open().await;
    let mut view = View::open(&kiosk, follow()).await;
    kiosk.live.close();
    assert_eq!(view.next().await.unwrap().name, "snapshot");
    assert_eq!(view.next().await.unwrap().json()["reason"], "stopping");
    assert!(view.next().await.is_none());
    assert_eq!(kiosk.send(follow()).await.code(), (503, "kiosk.too_many_views".into()));
}

#[tokio::test]
async fn a_silent_view_gives_signs_of_life() {
    let kiosk = Kiosk::with(|limits| Limits { heartbeat: millis(1), ..limits }).await;
    let mut view = View::open(&kiosk, follow()).await;
    assert_eq!(view.next().await.unwrap().name, "snapshot");
    assert_eq!(view.next().await.unwrap().comment, "heartbeat");
}

#[tokio::test]
async fn views_are_not_cut_by_the_deadline_of_requests_nor_take_their_places() {
    let kiosk =
        Kiosk::with(|limits| Limits { timeout: millis(500), requests: 1, heartbeat: millis(600), ..limits }).await;
    let mut view = View::open(&kiosk, follow()).await;
    assert_eq!(view.next().await.unwrap().name, "snapshot");
    assert_eq!(kiosk.send(get("/v1/stores")).await.status, 200);
    assert_eq!(view.next().await.unwrap().comment, "heartbeat", "it outlived the deadline");
}

#[tokio::test]
async fn views_are_bounded() {
    let kiosk = Kiosk::with(|limits| Limits { streams: 1, ..limits }).await;
    let view = View::open(&kiosk, follow()).await;
    assert_eq!(kiosk.send(follow()).await.code(), (503, "kiosk.too_many_views".into()));
    drop(view);
    View::open(&kiosk, follow()).await;
}

#[tokio::test]
async fn an_order_that_does_not_exist_has_no_view_and_takes_no_room() {
    let kiosk = Kiosk::open().await;
    kiosk.services.answer(Answer::Refuse(Status::new(Code::NotFound, "There is no such order.")));
    assert_eq!(kiosk.send(follow()).await.code(), (404, "kiosk.not_found".into()));
    assert!(!kiosk.live.is_watched(order()));
}
