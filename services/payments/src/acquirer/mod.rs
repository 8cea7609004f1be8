//! The port to the payment provider. Every implementation passes the same contract (`tests/contract_acquirer.rs`).

mod http;
mod memory;
mod stripe;

pub use http::HttpAcquirer;
pub use memory::{Decided, MemoryAcquirer};
pub use stripe::StripeAcquirer;

use crate::domain::Known;
use schemas::money::Money;
use std::future::Future;

/// A hold to ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewHold {
    /// Under which the provider files the hold: the order's id.
    pub reference: String,
    pub amount: Money,
    /// The provider's token; never card data.
    pub token: String,
    pub idempotency_key: String,
}

/// A change of a hold.
#[derive(Debug, Clone, PartialEq)]
pub struct OnHold {
    pub provider_ref: String,
    pub amount: Money,
    pub idempotency_key: String,
}

/// Why there is no "done".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider decided against it: an answer like any other.
    #[error("refused: {reason}")]
    Refused {
        /// A sentence a person can read.
        reason: String,
        /// The same may work under a new key.
        retryable: bool,
    },
    /// The provider gave the hold up by itself.
    #[error("the hold has expired")]
    HoldExpired,
    /// No answer, or none that decides: the provider may or may not have acted. Ask again.
    #[error("no answer: {0}")]
    Unknown(String),
}

/// A payment provider. Promises: within 24 h the same idempotency key acts at most once and is answered alike; what was
/// carried out is found by reference.
pub trait Acquirer: Send + Sync + 'static {
    /// Holds the amount; answers the provider's reference of the hold.
    fn authorize(&self, hold: &NewHold) -> impl Future<Output = Result<String, Error>> + Send;

    /// Takes the amount, at most what is held; what is not taken is given free.
    fn capture(&self, change: &OnHold) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives the whole hold free; ok when nothing is held any more and nothing was taken.
    fn void(&self, change: &OnHold) -> impl Future<Output = Result<(), Error>> + Send;

    /// Gives taken money back.
    fn refund(&self, change: &OnHold) -> impl Future<Output = Result<(), Error>> + Send;

    /// What the provider knows under our reference; `provider_ref` where it is known helps some providers. `None`: nothing.
    fn query_by_reference(
        &self,
        reference: &str,
        provider_ref: Option<&str>,
    ) -> impl Future<Output = Result<Option<Known>, Error>> + Send;
}

/// An answer that does not decide anything.
fn unknown(why: impl std::fmt::Display) -> Error {
    Error::Unknown(why.to_string())
}

/// A client with a pool of kept-alive HTTP/1 connections.
fn client(timeout: std::time::Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout.min(CONNECT_TIMEOUT))
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// A provider that cannot be reached in this time cannot be reached.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);
/// As many as the worker may use at once.
const MAX_IDLE_CONNECTIONS: usize = 256;
