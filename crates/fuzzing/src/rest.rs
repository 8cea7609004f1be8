//! The kiosk gateway's REST API: whatever path, query, headers and body a request has, it is answered, and never with a
//! defect of ours. The services behind it are not there.

use crate::{
    cut::{Cut, Glue},
    sample::ID,
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, Uri},
};
use http_body_util::BodyExt;
use kiosk_gateway::{BackendUrls, Backends, Limits, Live, app, document};
use std::sync::LazyLock;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

/// A query follows the path; a key of idempotency is sent; the body is said to be JSON; the path is taken as it is.
const QUERY: u8 = 1;
const KEY: u8 = 2;
const JSON: u8 = 4;
const BARE: u8 = 8;

/// Method and path of every route, from the API's own description.
static ROUTES: LazyLock<Vec<(Method, String)>> = LazyLock::new(|| {
    let document = serde_json::to_value(document()).unwrap_or_else(|e| panic!("the description: {e}"));
    let paths = document["paths"].as_object().into_iter().flatten();
    let routes = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.filter_map(|(name, _)| Some((name.to_uppercase().parse().ok()?, path.clone())))
    });
    routes.collect()
});

/// The gateway with nobody behind it.
struct Kiosk {
    app: Router,
    runtime: Runtime,
}

impl Kiosk {
    fn open() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap_or_else(|e| panic!("a runtime: {e}"));
        // Port 1 of this machine: nobody listens, and the refusal is immediate.
        let nobody = Uri::from_static("http://127.0.0.1:1");
        let urls = BackendUrls { stores: nobody.clone(), orders: nobody.clone(), payments: nobody };
        let limits = Limits::default();
        let app = {
            let _entered = runtime.enter();
            app(Backends::new(&urls), Live::new(limits.streams), limits)
        };
        Self { app, runtime }
    }

    fn ask(&self, request: Request<Body>) -> (StatusCode, Option<String>, Vec<u8>) {
        self.runtime.block_on(async {
            let Ok(response) = self.app.clone().oneshot(request).await;
            let (parts, body) = response.into_parts();
            let kind = parts.headers.get("content-type").and_then(|v| Some(v.to_str().ok()?.to_owned()));
            let body = body.collect().await.unwrap_or_else(|e| panic!("an answer that breaks off: {e}"));
            (parts.status, kind, body.to_bytes().to_vec())
        })
    }
}

/// The input: a route, how it is asked, two segments for its path, a query, a key, and a body.
pub fn rest(bytes: &[u8]) {
    thread_local!(static KIOSK: Kiosk = Kiosk::open());
    let Some(request) = request(bytes) else { return };
    let asked = format!("{} {}", request.method(), request.uri());
    let (status, kind, body) = KIOSK.with(|kiosk| kiosk.ask(request));
    let away = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
    assert!(away || !status.is_server_error(), "{asked} is answered {status}: {}", String::from_utf8_lossy(&body));
    if status.is_client_error() || away {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{asked}");
        assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|b| b["code"].is_string()), "{asked}");
    }
}

/// `None` for what a server would have refused before it is ours.
fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let mut cut = Cut::new(bytes);
    let (route, flags) = (usize::from(cut.byte()) % ROUTES.len(), cut.flags());
    let (method, path) = &ROUTES[route];
    let segments = [cut.text(), cut.text()];
    let mut path = match flags.has(BARE) {
        true => format!("/{}", segments[0]),
        false => filled(path, &segments),
    };
    let (query, key) = (cut.text(), cut.block());
    if flags.has(QUERY) {
        path = format!("{path}?{query}");
    }
    let mut request = Request::builder().method(method).uri(path);
    if flags.has(KEY) {
        request = request.header("idempotency-key", key);
    }
    if flags.has(JSON) {
        request = request.header("content-type", "application/json");
    }
    request.body(Body::from(cut.rest().to_vec())).ok()
}

/// The path with the segments in the places of its names, by turns.
fn filled(path: &str, segments: &[String; 2]) -> String {
    let mut segments = segments.iter().cycle();
    let parts = path.split('/').map(|part| match part.starts_with('{') {
        true => segments.next().cloned().unwrap_or_default(),
        false => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A good request for every route.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let checkout =
        r#"{"phone":"+49 170 1234567","payment_token":"tok_visa","pay":"on_arrival","customer_ref":"cus_42"}"#;
    let seeds = (0..).zip(ROUTES.iter()).map(|(index, (method, path))| {
        let body = match (method.as_str(), path.rsplit('/').next()) {
            ("PUT", _) => r#"{"quantity":2}"#,
            (_, Some("checkout")) => checkout,
            (_, Some("cancel")) => r#"{"reason":"Changed my mind."}"#,
            _ => "",
        };
        let glue = Glue::default().byte(index).byte(QUERY | KEY | JSON).block(ID).block(ID);
        let name = format!("{method}{}", path.replace('/', "_").replace(['{', '}'], ""));
        (name, glue.block("page_size=10&page_token=x").block("key-1").rest(body))
    });
    seeds.collect()
}
