//! The application under test with its faked services, and what comes back from it.

use crate::fakes::{self, Script};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt;
use kiosk_gateway::{BackendUrls, Backends, Limits, Live, app};
use serde_json::Value;
use std::time::Duration;
use tower::ServiceExt;

pub struct Kiosk {
    pub app: Router,
    pub live: Live,
    pub services: Script,
}

/// A request in the making.
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Kiosk {
    pub async fn open() -> Self {
        Self::with(|limits| limits).await
    }

    pub async fn with(change: impl FnOnce(Limits) -> Limits) -> Self {
        let services = Script::default();
        let address = fakes::start(services.clone()).await;
        Self::at(&format!("http://{address}"), services, change(Limits::default()))
    }

    /// A kiosk whose services are not there.
    pub fn alone() -> Self {
        // Port 1 of this machine: nobody listens, and the refusal is immediate.
        Self::at("http://127.0.0.1:1", Script::default(), Limits::default())
    }

    fn at(url: &str, services: Script, limits: Limits) -> Self {
        let url: axum::http::Uri = url.parse().unwrap();
        let urls = BackendUrls { stores: url.clone(), orders: url.clone(), payments: url };
        let live = Live::new(limits.streams);
        Self { app: app(Backends::new(&urls), live.clone(), limits), live, services }
    }

    pub async fn send(&self, ask: Ask) -> Answer {
        let response = self.respond(ask).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    pub async fn respond(&self, ask: Ask) -> axum::response::Response {
        let mut request = Request::builder().method(ask.method).uri(ask.path);
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        self.app.clone().oneshot(request.body(Body::from(ask.body)).unwrap()).await.unwrap()
    }
}

pub fn get(path: impl Into<String>) -> Ask {
    ask(Method::GET, path)
}

pub fn post(path: impl Into<String>) -> Ask {
    ask(Method::POST, path)
}

pub fn put(path: impl Into<String>) -> Ask {
    ask(Method::PUT, path)
}

pub fn delete(path: impl Into<String>) -> Ask {
    ask(Method::DELETE, path)
}

pub fn ask(method: Method, path: impl Into<String>) -> Ask {
    Ask { method, path: path.into(), headers: Vec::new(), body: Vec::new() }
}

impl Ask {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn json(self, body: Value) -> Self {
        self.text(&body.to_string())
    }

    pub fn text(self, body: &str) -> Self {
        Self { body: body.into(), ..self.header("content-type", "application/json") }
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }

    /// The problem, after proving that it has the shape that every problem has.
    pub fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        let text = |name: &str| problem[name].as_str().unwrap_or_else(|| panic!("no `{name}`: {problem}")).to_owned();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(text("type"), format!("urn:mallbots:problem:{}", text("code")));
        assert!(text("code").split_once('.').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()), "{problem}");
        assert!(text("detail").ends_with('.') && !text("title").is_empty(), "{problem}");
        let trace = text("trace_id");
        assert!(trace.len() == 32 && self.header("traceparent").unwrap().contains(&trace), "{problem}");
        let waits = self.header("retry-after").map(|v| v.parse::<u64>().unwrap());
        assert_eq!(waits.is_some(), self.status == StatusCode::SERVICE_UNAVAILABLE, "{self:?}");
        problem
    }

    pub fn code(&self) -> (u16, String) {
        (self.status.as_u16(), self.problem()["code"].as_str().unwrap().to_owned())
    }

    /// Status, code and field of a problem about one value.
    pub fn field(&self) -> (u16, String) {
        (self.status.as_u16(), self.problem()["field"].as_str().unwrap_or_default().to_owned())
    }
}

pub fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
