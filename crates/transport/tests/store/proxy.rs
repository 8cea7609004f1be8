//! A way to the database that loses the answer to the first commit, before or after the server has carried it out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub struct Proxy {
    server: String,
    took_effect: bool,
    cut: AtomicBool,
}

impl Proxy {
    /// Listens for as long as the test's runtime lives, and answers `url` with the proxy's address in it.
    pub async fn start(url: &str, took_effect: bool) -> String {
        let (_, rest) = url.split_once('@').unwrap();
        let (server, _) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let proxy = Arc::new(Self { server: server.to_owned(), took_effect, cut: AtomicBool::new(false) });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let proxy = proxy.clone();
                tokio::spawn(async move { proxy.carry(client).await });
            }
        });
        url.replace(server, &here)
    }

    /// Carries bytes both ways until the commit, and for ever on later connections.
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.server).await?;
        let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
        loop {
            tokio::select! {
                n = client.read(&mut asked) => match n? {
                    0 => return Ok(()),
                    n if is_commit(&asked[..n]) && !self.cut.swap(true, Ordering::Relaxed) => {
                        return self.lose(server, &asked[..n]).await;
                    }
                    n => server.write_all(&asked[..n]).await?,
                },
                n = server.read(&mut answered) => match n? {
                    0 => return Ok(()),
                    n => client.write_all(&answered[..n]).await?,
                },
            }
        }
    }

    /// Both connections end when this returns.
    async fn lose(&self, mut server: TcpStream, commit: &[u8]) -> std::io::Result<()> {
        if self.took_effect {
            server.write_all(commit).await?;
            let answered = server.read(&mut [0; 1024]).await?;
            assert!(answered > 0, "the server closed the connection instead of answering");
        }
        Ok(())
    }
}

fn is_commit(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|word| word == b"COMMIT")
}
