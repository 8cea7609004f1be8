//! The acquirer at Stripe: PaymentIntents that are confirmed at once and captured by hand
//! (<https://docs.stripe.com/payments/place-a-hold-on-a-payment-method>).

use super::{Acquirer, Error, NewHold, OnHold, client, unknown};
use crate::domain::{Known, KnownStatus};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use std::time::Duration;

/// The version of the API that the forms and answers below are written for.
const API_VERSION: &str = "2024-06-20";
/// Our reference in the intent's metadata.
const REFERENCE: &str = "order_id";

/// See the module's documentation.
#[derive(Clone)]
pub struct StripeAcquirer {
    http: reqwest::Client,
    base: String,
    secret_key: String,
}

#[derive(Deserialize)]
struct Intent {
    id: String,
    status: String,
    #[serde(default)]
    cancellation_reason: Option<String>,
    #[serde(default)]
    last_payment_error: Option<Problem>,
    /// Expanded only where we ask for it.
    #[serde(default)]
    latest_charge: Option<Charge>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Charge {
    Whole {
        amount_refunded: i64,
        refunded: bool,
    },
    #[allow(dead_code, reason = "the id alone tells us nothing, but the field must be readable")]
    Id(String),
}

#[derive(Deserialize)]
struct Found {
    data: Vec<Intent>,
}

#[derive(Deserialize)]
struct Refund {
    status: Option<String>,
    failure_reason: Option<String>,
}

#[derive(Deserialize)]
struct Failure {
    error: Problem,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    decline_code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    payment_intent: Option<Box<Intent>>,
}

type Form = Vec<(&'static str, String)>;

impl StripeAcquirer {
    /// `base` is `https://api.stripe.com` or a stand-in; `timeout` bounds each call.
    pub fn new(base: &str, secret_key: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let (base, secret_key) = (base.trim_end_matches('/').to_owned(), secret_key.to_owned());
        Ok(Self { http: client(timeout)?, base, secret_key })
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, key: &str, form: Form) -> Result<T, Failed> {
        let request = self.http.post(format!("{}{path}", self.base)).header("Idempotency-Key", key).form(&form);
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failed> {
        let request = request.bearer_auth(&self.secret_key).header("Stripe-Version", API_VERSION);
        let response = request.send().await.map_err(|e| Failed::Unknown(e.without_url().to_string()))?;
        if response.status().is_success() {
            return response.json().await.map_err(|e| Failed::Unknown(e.without_url().to_string()));
        }
        Err(failed(response).await)
    }

    async fn find(&self, reference: &str) -> Result<Option<Intent>, Failed> {
        let query = format!("metadata['{REFERENCE}']:'{reference}'");
        let parameters = [("query", query.as_str()), ("limit", "1"), ("expand[]", "data.latest_charge")];
        let url = format!("{}/v1/payment_intents/search", self.base);
        let found: Found = self.send(self.http.get(url).query(&parameters)).await?;
        Ok(found.data.into_iter().next())
    }

    async fn fetch(&self, id: &str) -> Result<Option<Intent>, Failed> {
        let url = format!("{}/v1/payment_intents/{id}", self.base);
        match self.send(self.http.get(url).query(&[("expand[]", "latest_charge")])).await {
            Ok(intent) => Ok(Some(intent)),
            Err(Failed::Refused(problem)) if problem.code.as_deref() == Some("resource_missing") => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl Acquirer for StripeAcquirer {
    async fn authorize(&self, hold: &NewHold) -> Result<String, Error> {
        let form = vec![
            ("amount", hold.amount.amount.to_string()),
            ("currency", hold.amount.currency.to_string().to_lowercase()),
            ("payment_method", hold.token.clone()),
            ("payment_method_types[]", "card".to_owned()),
            ("capture_method", "manual".to_owned()),
            ("confirm", "true".to_owned()),
            // Nobody is there to answer a challenge: better a refusal than a hold that never comes about.
            ("error_on_requires_action", "true".to_owned()),
            ("metadata[order_id]", hold.reference.clone()),
        ];
        let intent: Intent =
            self.post("/v1/payment_intents", &hold.idempotency_key, form).await.map_err(Error::from)?;
        match intent.known_status() {
            Some(KnownStatus::Held) => Ok(intent.id),
            Some(_) => Err(intent.declined()),
            None => Err(unknown(format!("the payment is {}", intent.status))),
        }
    }

    async fn capture(&self, change: &OnHold) -> Result<(), Error> {
        let path = format!("/v1/payment_intents/{}/capture", change.provider_ref);
        let form = vec![("amount_to_capture", change.amount.amount.to_string())];
        match self.post::<Intent>(&path, &change.idempotency_key, form).await {
            Ok(intent) if intent.known_status() == Some(KnownStatus::Captured) => Ok(()),
            Ok(intent) => Err(unknown(format!("the payment is {}", intent.status))),
            Err(Failed::Refused(problem)) if problem.hold_is_gone() => Err(Error::HoldExpired),
            Err(e) => Err(e.into()),
        }
    }

    async fn void(&self, change: &OnHold) -> Result<(), Error> {
        let path = format!("/v1/payment_intents/{}/cancel", change.provider_ref);
        match self.post::<Intent>(&path, &change.idempotency_key, Vec::new()).await {
            Ok(_) => Ok(()),
            Err(Failed::Refused(problem)) if problem.hold_is_gone() => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    async fn refund(&self, change: &OnHold) -> Result<(), Error> {
        let form = vec![("payment_intent", change.provider_ref.clone()), ("amount", change.amount.amount.to_string())];
        let refund: Refund = self.post("/v1/refunds", &change.idempotency_key, form).await.map_err(Error::from)?;
        match refund.status.as_deref() {
            Some("failed" | "canceled") => {
                let reason = refund.failure_reason.unwrap_or_else(|| "the refund failed".to_owned());
                Err(Error::Refused { reason, retryable: true })
            }
            _ => Ok(()),
        }
    }

    /// The search index lags by up to a minute, so it is asked only while the intent's id is unknown; what is sent again
    /// because it was not found yet goes under its old idempotency key.
    async fn query_by_reference(&self, reference: &str, provider_ref: Option<&str>) -> Result<Option<Known>, Error> {
        let intent = match provider_ref {
            Some(id) => self.fetch(id).await,
            None => self.find(reference).await,
        };
        let Some(intent) = intent.map_err(Failed::unreadable)? else { return Ok(None) };
        let status = intent.known_status().ok_or_else(|| unknown(format!("the payment is {}", intent.status)))?;
        Ok(Some(Known { provider_ref: intent.id, status }))
    }
}

impl Intent {
    /// `None` while Stripe has not decided.
    fn known_status(&self) -> Option<KnownStatus> {
        Some(match self.status.as_str() {
            "requires_capture" => KnownStatus::Held,
            "succeeded" if self.is_refunded() => KnownStatus::Refunded,
            "succeeded" => KnownStatus::Captured,
            "canceled" if self.cancellation_reason.as_deref() == Some("automatic") => KnownStatus::Expired,
            "canceled" => KnownStatus::Voided,
            "requires_payment_method" | "requires_confirmation" | "requires_action" => KnownStatus::Declined,
            _ => return None,
        })
    }

    fn is_refunded(&self) -> bool {
        matches!(self.latest_charge, Some(Charge::Whole { amount_refunded, refunded }) if refunded || amount_refunded > 0)
    }

    fn declined(self) -> Error {
        let problem = self.last_payment_error;
        let reason = problem.and_then(|p| p.message).unwrap_or_else(|| "the card was declined".to_owned());
        Error::Refused { reason, retryable: false }
    }
}

enum Failed {
    /// Stripe decided.
    Refused(Box<Problem>),
    Unknown(String),
}

impl Failed {
    /// A query decides nothing about a payment, whatever it is answered.
    fn unreadable(self) -> Error {
        match self {
            Self::Refused(problem) => unknown(problem.message.unwrap_or(problem.kind)),
            Self::Unknown(why) => Error::Unknown(why),
        }
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unknown(why) => Self::Unknown(why),
            Failed::Refused(problem) => {
                let retryable = problem.may_work_later();
                let reason = problem.message.unwrap_or_else(|| "the payment was refused".to_owned());
                Self::Refused { reason, retryable }
            }
        }
    }
}

impl Problem {
    /// The declines after which Stripe's documentation advises another attempt.
    fn may_work_later(&self) -> bool {
        let codes = [self.decline_code.as_deref(), self.code.as_deref()];
        codes.iter().flatten().any(|c| matches!(*c, "processing_error" | "try_again_later" | "issuer_not_available"))
    }

    fn hold_is_gone(&self) -> bool {
        let canceled = self.payment_intent.as_ref().is_some_and(|intent| intent.status == "canceled");
        match self.code.as_deref() {
            Some("charge_expired_for_capture") => true,
            Some("payment_intent_unexpected_state") => canceled,
            _ => false,
        }
    }
}

/// Only a card's or the request's own fault is a decision; a busy, broken or misconfigured provider is not.
async fn failed(response: Response) -> Failed {
    let status = response.status();
    let Ok(Failure { error }) = response.json::<Failure>().await else { return Failed::Unknown(status.to_string()) };
    let decided = matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYMENT_REQUIRED | StatusCode::NOT_FOUND)
        && matches!(error.kind.as_str(), "card_error" | "invalid_request_error");
    if decided { Failed::Refused(Box::new(error)) } else { Failed::Unknown(format!("{status} {}", error.kind)) }
}
