//! An order's live view as Server-Sent Events.
//!
//! It begins with the whole order (`snapshot`), then tells what the client has missed and what happens (`change`). It
//! ends with `end` and a reason when the client is too slow or the gateway stops; a browser then comes back by itself.

use super::{Problems, orders::fetch};
use crate::{
    Gateway,
    extract::id,
    guard::Caller,
    live::{LiveEvent, MAX_BEHIND, Next, View},
    problem::Problem,
    views::Order,
};
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use std::{convert::Infallible, sync::Arc, time::Duration};
use uuid::Uuid;

/// How long a browser waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);
/// When to try again where all live views are taken.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// The order's live view: event `snapshot` (an Order), then `change` (LiveEvent) as it happens. Changes may repeat what the
/// snapshot already has. With `Last-Event-ID`, changes since that one are told if they are still kept (about a minute).
/// Comments are signs of life. Event `end` says why the view ends; connect again.
#[utoipa::path(get, path = "/v1/orders/{order_id}/events", tag = "orders",
    params(("order_id" = Uuid, Path, description = "The order"),
           ("Last-Event-ID" = Option<Uuid>, Header, description = "The last change that was seen")),
    responses((status = 200, description = "The live view.", body = LiveEvent, content_type = "text/event-stream"), Problems))]
pub async fn order_events(
    State(gateway): State<Gateway>,
    caller: Caller,
    Path(order_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let order_id = id("order_id", &order_id)?;
    // First watch, then look: what happens in between is told twice rather than never.
    let mut view = gateway.live.watch(order_id, last_seen(&headers)).map_err(|_| full())?;
    let order = fetch(&gateway, caller, order_id).await?;
    let begin = [snapshot(&order)].into_iter().chain(view.missed().into_iter().map(|e| change(&e)));
    let events = stream::iter(begin.collect::<Vec<_>>()).chain(changes(view)).map(Ok::<_, Infallible>);
    let heartbeat = KeepAlive::new().interval(gateway.heartbeat).text("heartbeat");
    // Proxies must pass each event on at once.
    let headers = [("cache-control", "no-store"), ("x-accel-buffering", "no")];
    Ok((headers, Sse::new(events).keep_alive(heartbeat)).into_response())
}

/// An id that is not one of ours is none: the snapshot serves that client.
fn last_seen(headers: &HeaderMap) -> Option<Uuid> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

fn full() -> Problem {
    let detail = "Too many orders are being followed right now; try again.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "kiosk.too_many_views", detail).retry_after(FULL_WAIT)
}

fn changes(view: View) -> impl Stream<Item = Event> {
    stream::unfold(Some(view), |view| async {
        let mut view = view?;
        Some(match view.next().await {
            Next::Event(event) => (change(&event), Some(view)),
            Next::TooSlow => {
                let detail = format!("More than {MAX_BEHIND} changes were waiting to be read; connect again.");
                (end("too_slow", &detail), None)
            }
            Next::Closing => (end("stopping", "The kiosk service is being restarted; connect again."), None),
        })
    })
}

fn snapshot(order: &Order) -> Event {
    json("snapshot", order).retry(RETRY)
}

fn change(event: &Arc<LiveEvent>) -> Event {
    json("change", event).id(event.id.to_string())
}

#[derive(Serialize)]
struct End<'a> {
    reason: &'a str,
    detail: &'a str,
}

fn end(reason: &str, detail: &str) -> Event {
    json("end", &End { reason, detail })
}

fn json(name: &str, value: &impl Serialize) -> Event {
    // Texts and numbers always serialise, and JSON holds no line break.
    Event::default().event(name).data(serde_json::to_string(value).unwrap_or_default())
}
