//! The services behind the gateway, by gRPC, and how their refusals become problems.

use crate::{config::BackendUrls, problem::Problem};
use axum::http::StatusCode;
use schemas::grpc::{
    orders::orders_client::OrdersClient, payments::payments_client::PaymentsClient, stores::stores_client::StoresClient,
};
use service_kit::{
    grpc::{CODE, FIELD, RETRY_AFTER, endpoint},
    health::serves,
};
use std::time::Duration;
use tonic::{Code, Status, transport::Channel};

/// Clients of all services; cheap to clone, one connection each, connected on first use and again when lost.
#[derive(Debug, Clone)]
pub struct Backends {
    stores: Channel,
    orders: Channel,
    payments: Channel,
}

/// When to come back after a service could not be reached and did not say.
const UNAVAILABLE_WAIT: Duration = Duration::from_secs(2);

impl Backends {
    /// Does not connect yet. Must be called within a tokio runtime.
    pub fn new(urls: &BackendUrls) -> Self {
        let channel = |uri| endpoint(uri).connect_lazy();
        Self { stores: channel(&urls.stores), orders: channel(&urls.orders), payments: channel(&urls.payments) }
    }

    pub fn stores(&self) -> StoresClient<Channel> {
        StoresClient::new(self.stores.clone())
    }

    pub fn orders(&self) -> OrdersClient<Channel> {
        OrdersClient::new(self.orders.clone())
    }

    pub fn payments(&self) -> PaymentsClient<Channel> {
        PaymentsClient::new(self.payments.clone())
    }

    /// Names of the services that do not say "serving" within a second: empty when the gateway is ready.
    pub async fn unready(&self) -> Vec<&'static str> {
        let all = [("stores", &self.stores), ("orders", &self.orders), ("payments", &self.payments)];
        let checks = all.map(|(name, channel)| async move { (name, serves(channel).await) });
        let answers = futures::future::join_all(checks).await;
        answers.into_iter().filter(|(_, serves)| !serves).map(|(name, _)| name).collect()
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let wait = text(&status, RETRY_AFTER).and_then(|s| s.parse().ok()).map(Duration::from_secs);
        let problem = match text(&status, CODE) {
            Some(code) => refusal(&status, code),
            None => failure(&status),
        };
        let field = text(&status, FIELD).map(str::to_owned);
        let busy = problem.status == StatusCode::SERVICE_UNAVAILABLE.as_u16();
        let problem = Self { field, ..problem };
        match wait.or(busy.then_some(UNAVAILABLE_WAIT)) {
            Some(wait) => problem.retry_after(wait),
            None => problem,
        }
    }
}

fn text<'a>(status: &'a Status, name: &str) -> Option<&'a str> {
    status.metadata().get(name)?.to_str().ok()
}

/// The service said no and why: its code and sentence are passed on.
fn refusal(status: &Status, code: &str) -> Problem {
    let unknown = code.split('.').next_back().is_some_and(|reason| reason.starts_with("unknown_"));
    let http = match status.code() {
        Code::InvalidArgument | Code::OutOfRange => StatusCode::UNPROCESSABLE_ENTITY,
        // A key that was used for another request is the one thing that services call "already exists".
        Code::AlreadyExists => StatusCode::UNPROCESSABLE_ENTITY,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::FailedPrecondition if unknown => StatusCode::NOT_FOUND,
        Code::Unavailable | Code::ResourceExhausted => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal | Code::Unknown | Code::DataLoss => return Problem::internal(),
        _ => StatusCode::CONFLICT,
    };
    match code {
        // What kept it from answering is for our logs.
        "platform.no_answer" => Problem::new(http, code.to_owned(), Problem::timeout().detail),
        _ => Problem::new(http, code.to_owned(), sentence(status.message())),
    }
}

/// As people write: with a capital letter in front and a full stop behind.
fn sentence(text: &str) -> String {
    let mut rest = text.trim().chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.trim().ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{first}{}{stop}", rest.as_str())
}

/// The call itself failed: what went wrong inside is for our logs, not for customers.
fn failure(status: &Status) -> Problem {
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "kiosk.invalid", sentence(status.message()))
        }
        Code::NotFound => Problem::new(StatusCode::NOT_FOUND, "kiosk.not_found", sentence(status.message())),
        Code::Unavailable | Code::ResourceExhausted => {
            tracing::warn!(code = %status.code(), reason = status.message(), "a service is not available");
            let detail = "A part of the mall's systems is not available right now; try again.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "kiosk.unavailable", detail)
        }
        Code::DeadlineExceeded | Code::Cancelled => Problem::timeout(),
        code => {
            tracing::error!(%code, reason = status.message(), "a service failed");
            Problem::internal()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: Code, name: &'static str) -> Problem {
        let mut status = Status::new(code, "A sentence.");
        status.metadata_mut().insert(CODE, name.parse().unwrap());
        status.into()
    }

    #[test]
    fn a_refusal_keeps_its_code_and_its_sentence() {
        for (code, http) in [
            (Code::FailedPrecondition, 409),
            (Code::Aborted, 409),
            (Code::NotFound, 404),
            (Code::InvalidArgument, 422),
            (Code::ResourceExhausted, 503),
            (Code::Unavailable, 503),
        ] {
            let problem = refused(code, "orders.some_reason");
            assert_eq!((problem.status, &*problem.code), (http, "orders.some_reason"), "{code:?}");
            assert_eq!(problem.detail, "A sentence.");
        }
    }

    #[test]
    fn every_answer_of_a_shell_has_its_place() {
        use service_kit::grpc::{invalid, status};
        use transport::CallError as E;
        let refused = |code: &str| E::Refused(message::Refusal::new(code, "there is no such order"));
        let busy = E::Overloaded { retry_after: Duration::from_secs(3) };
        for (status, http, code, wait) in [
            (status(refused("orders.wrong_state")), 409, "orders.wrong_state", None),
            (status(refused("orders.unknown_order")), 404, "orders.unknown_order", None),
            (status(E::KeyReused), 422, "platform.idempotency_key_reused", None),
            (status(busy), 503, "platform.overloaded", Some(3)),
            (status(E::Unknown("connection to 10.0.0.7 reset".into())), 503, "platform.no_answer", Some(1)),
            (status(E::Internal("bug at line 7".into())), 500, "kiosk.internal", None),
            (invalid("phone", "give digits"), 422, "platform.invalid_argument", None),
        ] {
            let problem = Problem::from(status);
            assert_eq!((problem.status, &*problem.code, problem.retry_after), (http, code, wait));
            assert!(!problem.detail.contains("10.0.0.7"), "{problem:?}");
        }
    }

    #[test]
    fn sentences_begin_and_end_as_people_write() {
        for (text, wanted) in
            [("no bay is free", "No bay is free."), ("Done.", "Done."), ("ärger?", "Ärger?"), ("", ".")]
        {
            assert_eq!(sentence(text), wanted);
        }
    }

    #[test]
    fn unavailability_always_says_when_to_come_back() {
        let mut status = Status::unavailable("too much work");
        assert_eq!(Problem::from(status.clone()).retry_after, Some(2));
        status.metadata_mut().insert(RETRY_AFTER, "7".parse().unwrap());
        assert_eq!(Problem::from(status).retry_after, Some(7));
    }

    #[test]
    fn what_failed_inside_stays_inside() {
        for code in [Code::Internal, Code::Unknown, Code::DataLoss, Code::PermissionDenied, Code::Unimplemented] {
            let problem = Problem::from(Status::new(code, "password is hunter2"));
            assert_eq!((problem.status, &*problem.code), (500, "kiosk.internal"));
            assert!(!problem.detail.contains("hunter2"));
        }
        assert!(!Problem::from(Status::unavailable("10.0.0.7:5432 refused")).detail.contains("10.0.0.7"));
    }

    #[test]
    fn the_field_that_is_not_acceptable_is_named() {
        let mut status = Status::invalid_argument("Give 1 to 999.");
        status.metadata_mut().insert(FIELD, "quantity".parse().unwrap());
        assert_eq!(Problem::from(status).field.as_deref(), Some("quantity"));
    }
}
