//! A way to Postgres on which the answers to commits get lost, before or after the server has carried them out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What becomes of a commit whose answer gets lost. The connection is closed either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It never reaches the server.
    Before,
    /// The server carries it out.
    After,
}

type Decide = dyn Fn() -> Option<Cut> + Send + Sync;

struct Way {
    server: String,
    decide: Box<Decide>,
    before: AtomicU64,
    after: AtomicU64,
}

/// A handle on the way, which is there for as long as the runtime lives.
#[derive(Clone)]
pub struct CommitCutter {
    way: Arc<Way>,
    url: String,
}

/// A simple query as the frontend protocol writes it: type, length without the type, text.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";

impl CommitCutter {
    /// A way to the server of `url` (`postgres://user:password@host:port[/database]`). `decide` is asked at each commit.
    pub async fn start(url: &str, decide: impl Fn() -> Option<Cut> + Send + Sync + 'static) -> std::io::Result<Self> {
        let wrong = || std::io::Error::other("the address of Postgres is not postgres://user:password@host:port");
        let (_, rest) = url.rsplit_once('@').ok_or_else(wrong)?;
        let server = rest.split('/').next().unwrap_or(rest).to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = url.replace(&server, &listener.local_addr()?.to_string());
        let (before, after) = (AtomicU64::new(0), AtomicU64::new(0));
        let way = Arc::new(Way { server, decide: Box::new(decide), before, after });
        let ours = way.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let way = ours.clone();
                tokio::spawn(async move { way.carry(client).await });
            }
        });
        Ok(Self { way, url })
    }

    /// The address to use instead of the server's.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many commits were cut off so.
    pub fn cuts(&self, cut: Cut) -> u64 {
        match cut {
            Cut::Before => self.way.before.load(Ordering::Relaxed),
            Cut::After => self.way.after.load(Ordering::Relaxed),
        }
    }
}

impl Way {
    /// Carries bytes both ways until a commit is cut off; both connections end when this returns.
    async fn carry(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (mut asked, mut answered) = (vec![0; 65536], vec![0; 65536]);
        loop {
            tokio::select! {
                n = client.read(&mut asked) => {
                    let n = n?;
                    let cut = if is_commit(&asked[..n]) { (self.decide)() } else { None };
                    match (n, cut) {
                        (0, _) => return Ok(()),
                        (_, None) => server.write_all(&asked[..n]).await?,
                        (_, Some(cut)) => return self.lose(server, &asked[..n], cut).await,
                    }
                },
                n = server.read(&mut answered) => match n? {
                    0 => return Ok(()),
                    n => client.write_all(&answered[..n]).await?,
                },
            }
        }
    }

    async fn lose(&self, mut server: TcpStream, commit: &[u8], cut: Cut) -> std::io::Result<()> {
        match cut {
            Cut::Before => self.before.fetch_add(1, Ordering::Relaxed),
            Cut::After => {
                server.write_all(commit).await?;
                if server.read(&mut [0; 1024]).await? == 0 {
                    return Ok(());
                }
                self.after.fetch_add(1, Ordering::Relaxed)
            }
        };
        Ok(())
    }
}

fn is_commit(bytes: &[u8]) -> bool {
    bytes.windows(COMMIT.len()).any(|window| window == COMMIT)
}
