//! The acquirer over the HTTP protocol of `acquirer-sim`.

use super::{Acquirer, Error, NewHold, OnHold, client, unknown};
use crate::domain::{Known, KnownStatus};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;

/// See the module's documentation.
#[derive(Clone)]
pub struct HttpAcquirer {
    http: reqwest::Client,
    base: String,
}

#[derive(Deserialize)]
struct Entry {
    provider_ref: String,
}

#[derive(Deserialize)]
struct HoldView {
    provider_ref: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Held,
    Declined,
    Captured,
    Voided,
    Refunded,
    Expired,
}

#[derive(Deserialize)]
struct Problem {
    error: Details,
}

#[derive(Deserialize)]
struct Details {
    code: String,
    message: String,
    #[serde(default)]
    retryable: bool,
}

impl HttpAcquirer {
    /// `base` is the address without a path; `timeout` bounds each call.
    pub fn new(base: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        Ok(Self { http: client(timeout)?, base: base.trim_end_matches('/').to_owned() })
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> Result<Entry, Error> {
        let request = self.http.post(format!("{}{path}", self.base)).header("Idempotency-Key", key).json(body);
        read(send(request).await?).await
    }

    async fn change(&self, change: &OnHold, operation: &str) -> Result<(), Error> {
        let path = format!("/v1/holds/{}/{operation}", change.provider_ref);
        let body = json!({ "amount": change.amount.amount });
        self.post(&path, &change.idempotency_key, &body).await.map(|_| ())
    }
}

impl Acquirer for HttpAcquirer {
    async fn authorize(&self, hold: &NewHold) -> Result<String, Error> {
        let body = json!({
            "reference": hold.reference,
            "amount": hold.amount.amount,
            "currency": hold.amount.currency,
            "token": hold.token,
        });
        Ok(self.post("/v1/holds", &hold.idempotency_key, &body).await?.provider_ref)
    }

    async fn capture(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, "capture").await
    }

    async fn void(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, "void").await
    }

    async fn refund(&self, change: &OnHold) -> Result<(), Error> {
        self.change(change, "refund").await
    }

    async fn query_by_reference(&self, reference: &str, _: Option<&str>) -> Result<Option<Known>, Error> {
        let response = send(self.http.get(format!("{}/v1/by-reference/{reference}", self.base))).await?;
        if response.status() != StatusCode::NOT_FOUND {
            return read::<HoldView>(response).await.map(|view| Some(view.known()));
        }
        // Only the acquirer itself can say that it does not know; a wrong address or a proxy answers 404 too.
        match response.json::<Problem>().await {
            Ok(problem) if problem.error.code == "unknown_reference" => Ok(None),
            _ => Err(unknown("404, but not from the acquirer")),
        }
    }
}

impl HoldView {
    fn known(self) -> Known {
        let status = match self.status {
            Status::Held => KnownStatus::Held,
            Status::Declined => KnownStatus::Declined,
            Status::Captured => KnownStatus::Captured,
            Status::Voided => KnownStatus::Voided,
            Status::Refunded => KnownStatus::Refunded,
            Status::Expired => KnownStatus::Expired,
        };
        Known { provider_ref: self.provider_ref, status }
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Error> {
    request.send().await.map_err(|e| unknown(e.without_url()))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Error> {
    match response.status() {
        status if status.is_success() => response.json().await.map_err(|e| unknown(e.without_url())),
        StatusCode::PAYMENT_REQUIRED => Err(refusal(response).await),
        status => Err(unknown(format!("status {status}"))),
    }
}

async fn refusal(response: Response) -> Error {
    match response.json::<Problem>().await {
        Ok(problem) if problem.error.code == "hold_expired" => Error::HoldExpired,
        Ok(Problem { error: Details { message, retryable, .. } }) => Error::Refused { reason: message, retryable },
        Err(e) => unknown(e.without_url()),
    }
}
