//! The gateway on a real socket: it serves until it is told to stop, and a stop does not wait for those who never leave.

use crate::{
    fakes::ID,
    kiosk::{Kiosk, get},
};
use axum::{Router, routing};
use kiosk_gateway::serve;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

/// Sends the request and reads until `until` was seen or the end.
async fn talk(stream: &mut TcpStream, path: &str, until: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: kiosk\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read(stream, until).await
}

async fn read(stream: &mut TcpStream, until: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(until) {
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            n => seen.push_str(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
    seen
}

#[tokio::test]
async fn a_stop_ends_open_views_and_then_the_server() {
    let kiosk = Kiosk::open().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = async { drop(stopped.await) };
    let server = tokio::spawn(serve(listener, kiosk.app, kiosk.live, shutdown));
    let mut view = TcpStream::connect(address).await.unwrap();
    assert!(talk(&mut view, &format!("/v1/orders/{ID}/events"), "snapshot").await.contains("200 OK"));
    stop.send(()).unwrap();
    assert!(read(&mut view, "stopping").await.contains("event: end"));
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn routes_of_the_role_beside_the_api_leave_errors_as_they_are() {
    let mut kiosk = Kiosk::open().await;
    kiosk.app = kiosk.app.merge(Router::new().route("/health/live", routing::get(async || "live")));
    assert_eq!(kiosk.send(get("/health/live")).await.text, "live");
    assert_eq!(kiosk.send(get("/health/none")).await.code(), (404, "kiosk.no_such_route".into()));
}
