//! A database of one's own for each test: created empty, migrated, dropped at the end.

use crate::servers::servers;
use std::{ops::Deref, thread};
use tokio_postgres::NoTls;
use transport::{
    Kinds,
    postgres::{PgConfig, PgStore},
};
use uuid::Uuid;

/// A migrated context's database; dereferences to its store. Dropped from the server when this value is dropped.
pub struct Database {
    name: String,
    store: PgStore,
}

impl Database {
    /// A fresh database whose name starts with `prefix` (lower case letters, digits and `_`), with the platform's tables and
    /// those of `own`. Panics when the server or a migration fails.
    pub async fn create(prefix: &str, kinds: Kinds, own: refinery::Runner) -> Self {
        let name = format!("{prefix}_{}", Uuid::now_v7().simple());
        admin(&format!("CREATE DATABASE \"{name}\"")).await.unwrap_or_else(|e| panic!("create {name}: {e}"));
        let store = PgStore::new(&PgConfig::new(url(&name)), kinds).unwrap_or_else(|e| panic!("open {name}: {e}"));
        let database = Self { name, store };
        database.store.migrate(own).await.unwrap_or_else(|e| panic!("{e}"));
        database
    }

    /// The store; clones of it work as long as this value lives.
    pub fn store(&self) -> &PgStore {
        &self.store
    }

    /// `postgres://user:password@host:port/database`.
    pub fn url(&self) -> String {
        url(&self.name)
    }

    /// A connection besides the store's, for what no port offers. It is closed with the client.
    pub async fn connect(&self) -> tokio_postgres::Client {
        connect(&self.url()).await.unwrap_or_else(|e| panic!("connect to {}: {e}", self.name))
    }
}

impl Deref for Database {
    type Target = PgStore;
    fn deref(&self) -> &PgStore {
        &self.store
    }
}

impl Drop for Database {
    /// On a thread of its own, because a destructor cannot wait in the test's runtime. A failure leaves a database in a
    /// throw-away server, and says so.
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS \"{}\" WITH (FORCE)", self.name);
        let drop_it = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|e| e.to_string())?.block_on(admin(&sql)).map_err(|e| e.to_string())
        };
        if let Ok(Err(why)) = thread::spawn(drop_it).join() {
            eprintln!("{} stays behind: {why}", self.name);
        }
    }
}

fn url(database: &str) -> String {
    format!("{}/{database}", servers().postgres)
}

async fn admin(sql: &str) -> Result<(), tokio_postgres::Error> {
    connect(&url("postgres")).await?.batch_execute(sql).await
}

async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
