//! The gRPC APIs: whatever bytes a call of any method brings, it is answered, and never with a defect of ours.

use crate::{
    cut::{Cut, Glue},
    record,
    station::{self, CONTEXTS, Station},
    stories,
};
use axum::http::Request;
use prost::Message;
use schemas::grpc::DESCRIPTORS;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
};
use tonic::{Code, body::Body};

/// Calls of one input; more are left out.
const MOST: usize = 32;
/// The body is not framed: the input has its own flag and length.
const BARE: u8 = 1;
/// Time passes after the call.
const PAUSE: u8 = 2;
const PAUSE_MS: i64 = 60_000;
/// The context hears of the order before it is called.
const TOLD: u8 = 4;

/// Context and path of every method of a context, from the API's own description.
static METHODS: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let files = prost_types::FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_else(|e| panic!("the description: {e}"));
    let services = files.file.iter().flat_map(|file| file.service.iter().map(move |service| (file, service)));
    let methods = services.flat_map(|(file, service)| {
        let context = file.name().trim_end_matches(".proto").to_owned();
        let path = format!("/{}.{}", file.package(), service.name());
        service.method.iter().map(move |method| (context.clone(), format!("{path}/{}", method.name())))
    });
    methods.filter(|(context, _)| station::CONTEXTS.contains(&context.as_str())).collect()
});

/// The input: calls one after another, each a method, how it is sent, and its message. Each context is opened when it is
/// first called, and remembers.
pub fn grpc(bytes: &[u8]) {
    let (mut cut, mut open) = (Cut::new(bytes), BTreeMap::new());
    for _ in 0..MOST {
        if cut.is_empty() {
            return;
        }
        one(&mut cut, &mut open);
    }
}

fn one(cut: &mut Cut<'_>, open: &mut BTreeMap<&str, Box<dyn Station>>) {
    let (method, flags) = (usize::from(cut.byte()) % METHODS.len(), cut.flags());
    let (context, path) = &METHODS[method];
    let station = open.entry(context).or_insert_with(|| station::open(context));
    if flags.has(TOLD) {
        record::tell(&**station);
    }
    let message = cut.block();
    let body = if flags.has(BARE) { message.to_vec() } else { framed(message) };
    let status = station.call(request(path, body));
    assert!(!is_defect(&status), "{path} is answered {status}");
    if flags.has(PAUSE) {
        station.pass(PAUSE_MS);
    }
}

/// What cannot be decoded is "internal" too: that is how the framework says it.
fn is_defect(status: &tonic::Status) -> bool {
    let ours = ["an internal error", "cannot be read", "no answer"].iter().any(|text| status.message().contains(text));
    ours || status.code() == Code::Unknown
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0], (message.len() as u32).to_be_bytes().as_slice(), message].concat()
}

fn request(path: &str, body: Vec<u8>) -> Request<Body> {
    let request = Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let body = Body::new(axum::body::Body::from(body));
    request.body(body).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// An empty message for every method of a context, and calls that build on each other.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let empty = CONTEXTS.iter().map(|context| {
        let ours = (0..).zip(METHODS.iter()).filter(|(_, (of, _))| of == context);
        let glue = ours.fold(Glue::default(), |glue, (index, _)| glue.byte(index).byte(0).block([]));
        (format!("{context}-empty"), glue.rest([]))
    });
    empty.chain(stories::all()).collect()
}

/// Calls in the making, carried out as they are added, so that later ones can name what earlier ones made.
#[derive(Default)]
pub struct Story {
    glue: Glue,
    open: BTreeMap<&'static str, Box<dyn Station>>,
}

impl Story {
    /// Calls the method whose path ends so.
    pub fn call(self, method: &str, message: impl Message) -> Self {
        self.with(0, method, message)
    }

    /// The same, by a context that has heard of the order.
    pub fn told(self, method: &str, message: impl Message) -> Self {
        self.with(TOLD, method, message)
    }

    /// The same, and time passes.
    pub fn wait(self, method: &str, message: impl Message) -> Self {
        self.with(PAUSE, method, message)
    }

    fn with(mut self, flags: u8, method: &str, message: impl Message) -> Self {
        let at = METHODS.iter().position(|(_, path)| path.ends_with(method)).unwrap_or_else(|| panic!("no {method}"));
        let add = |glue: Glue| glue.byte(at as u8).byte(flags).block(message.encode_to_vec());
        let call = add(Glue::default()).rest([]);
        // What goes wrong here, the target tells of when it has the whole.
        let _ = catch_unwind(AssertUnwindSafe(|| one(&mut Cut::new(&call), &mut self.open)));
        self.glue = add(self.glue);
        self
    }

    /// The id of the last thing of this kind that was made.
    pub fn last(&self, kind: &str) -> String {
        let ids = self.open.values().flat_map(|station| station.ids(kind));
        ids.max().map(|id| id.to_string()).unwrap_or_else(|| panic!("no {kind} was made"))
    }

    pub fn end(self) -> Vec<u8> {
        self.glue.rest([])
    }
}
