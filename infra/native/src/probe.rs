//! Does a server answer? Each probe speaks just enough of its server's protocol to tell "listening" from "serving", by hand and
//! without a client library, so that this crate compiles quickly.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A server that does not answer within this time counts as not answering yet.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Longer answers are not needed to judge.
const READ_LIMIT: usize = 4096;

/// How to ask one server on the loopback interface whether it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// A metadata answer that lists at least one live broker.
    Kafka { port: u16 },
    /// A request for a password, rather than "the database system is starting up".
    Postgres { port: u16, user: String },
    /// Status 200 for `GET path`.
    Http { port: u16, path: String },
    /// Status 200 from the query API, and an open OTLP port.
    Jaeger { query: u16, otlp: u16 },
}

impl Probe {
    /// Whether the server serves now; at most two seconds.
    pub(crate) async fn answers(&self) -> bool {
        timeout(ANSWER_WITHIN, self.ask()).await.is_ok_and(|answer| answer.unwrap_or(false))
    }

    async fn ask(&self) -> io::Result<bool> {
        match self {
            Probe::Kafka { port } => {
                Ok(lists_a_broker(&exchange(&format!("127.0.0.1:{port}"), &kafka_metadata_request()).await?))
            }
            Probe::Postgres { port, user } => {
                let answer = exchange(&format!("127.0.0.1:{port}"), &postgres_startup(user)).await?;
                Ok(answer.first() == Some(&b'R'))
            }
            Probe::Http { port, path } => http_ok(*port, path).await,
            Probe::Jaeger { query, otlp } => {
                TcpStream::connect(("127.0.0.1", *otlp)).await?;
                http_ok(*query, "/api/services").await
            }
        }
    }
}

/// Whether anything listens at one of `host:port` pairs; for addresses that were given, whose protocol options we do not know.
pub(crate) async fn any_listens(endpoints: &[String]) -> bool {
    for endpoint in endpoints {
        if timeout(ANSWER_WITHIN, TcpStream::connect(endpoint)).await.is_ok_and(|s| s.is_ok()) {
            return true;
        }
    }
    false
}

async fn http_ok(port: u16, path: &str) -> io::Result<bool> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let answer = exchange(&format!("127.0.0.1:{port}"), request.as_bytes()).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

/// Sends `request` and returns the first part of the answer.
async fn exchange(address: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let mut answer = vec![0; READ_LIMIT];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

/// Metadata request, version 1, for no topics: size, api key 3, version 1, correlation id 1, no client id, empty topic list.
fn kafka_metadata_request() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(3_i16.to_be_bytes());
    body.extend(1_i16.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend((-1_i16).to_be_bytes());
    body.extend(0_i32.to_be_bytes());
    let mut request = (body.len() as u32).to_be_bytes().to_vec();
    request.append(&mut body);
    request
}

/// The answer is size, correlation id, then the number of live brokers.
fn lists_a_broker(answer: &[u8]) -> bool {
    let brokers = answer.get(8..12).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(i32::from_be_bytes);
    brokers.is_some_and(|count| count > 0)
}

/// Startup message of protocol 3.0 with the user's name and the database every cluster has.
fn postgres_startup(user: &str) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    body.extend(format!("user\0{user}\0database\0postgres\0\0").bytes());
    let mut message = (body.len() as u32 + 4).to_be_bytes().to_vec();
    message.append(&mut body);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers every connection with `answer`.
    async fn server(answer: &'static [u8]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 512]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        port
    }

    #[tokio::test]
    async fn http_serves_only_with_status_200() {
        let path = "/".to_owned();
        let good = server(b"HTTP/1.1 200 OK\r\n\r\n").await;
        assert!(Probe::Http { port: good, path: path.clone() }.answers().await);
        let busy = server(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        assert!(!Probe::Http { port: busy, path }.answers().await);
    }

    #[tokio::test]
    async fn postgres_serves_when_it_asks_for_a_password_and_not_while_it_starts() {
        let user = "u".to_owned();
        let ready = server(b"R\0\0\0\x17\0\0\0\x0a").await;
        assert!(Probe::Postgres { port: ready, user: user.clone() }.answers().await);
        let starting = server(b"E\0\0\0\x10C57P03\0").await;
        assert!(!Probe::Postgres { port: starting, user }.answers().await);
    }

    #[tokio::test]
    async fn kafka_serves_when_a_broker_is_alive() {
        let alive = server(&[0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 1]).await;
        assert!(Probe::Kafka { port: alive }.answers().await);
        let fenced = server(&[0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0]).await;
        assert!(!Probe::Kafka { port: fenced }.answers().await);
    }

    #[tokio::test]
    async fn a_closed_port_does_not_answer() {
        let [port] = crate::ports::free::<1>().unwrap();
        assert!(!Probe::Kafka { port }.answers().await);
        assert!(!any_listens(&[format!("127.0.0.1:{port}")]).await);
    }

    #[test]
    fn messages_carry_their_own_length() {
        let request = kafka_metadata_request();
        assert_eq!(u32::from_be_bytes(request[..4].try_into().unwrap()) as usize, request.len() - 4);
        let startup = postgres_startup("app");
        assert_eq!(u32::from_be_bytes(startup[..4].try_into().unwrap()) as usize, startup.len());
    }
}
