//! The contexts' databases: created when asked to, and brought to this version.

use crate::output::{self, Done, Failure, Format};
use tokio_postgres::{NoTls, error::SqlState};
use transport::{
    Context, Error, Kinds,
    postgres::{PgConfig, PgStore},
};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Bring every context's database to this version; forward only
    #[command(after_help = "\
Examples:
  mallctl db migrate             the databases that are there
  mallctl db migrate --create    also those that are not there yet")]
    Migrate {
        /// Create the databases that are missing
        #[arg(long)]
        create: bool,
    },
}

/// Every context with its kinds and its migrations.
pub fn contexts() -> Vec<(&'static str, Kinds, refinery::Runner)> {
    vec![
        ("stores", stores::Stores::KINDS, stores::migrations::migrations::runner()),
        ("orders", orders::Orders::KINDS, orders::migrations::migrations::runner()),
        ("payments", payments::Payments::KINDS, payments::migrations::migrations::runner()),
        ("depot", depot::Depot::KINDS, depot::migrations::migrations::runner()),
        ("notifications", notifications::Notifications::KINDS, notifications::migrations::migrations::runner()),
        ("search", search::Search::KINDS, search::migrations::migrations::runner()),
        ("orchestrator", orchestrator::Orchestrator::KINDS, orchestrator::migrations::migrations::runner()),
    ]
}

pub async fn run(command: Command, format: Format) -> Done {
    let Command::Migrate { create } = command;
    let mut migrated = Vec::new();
    for (context, kinds, runner) in contexts() {
        let url = service_kit::config::database_url(context).map_err(output::usage)?;
        if create {
            create_database(&url).await?;
        }
        // The pool would not say that the database is missing.
        drop(connect(context).await?);
        let store = PgStore::new(&PgConfig::new(url), kinds).map_err(|e| Failure::Usage(e.to_string()))?;
        store.migrate(runner).await.map_err(|e| unmigrated(context, &e))?;
        if format == Format::Table {
            output::line(format_args!("{context}: up to date"));
        }
        migrated.push((context, "up to date"));
    }
    output::say(format, "", &migrated);
    Ok(())
}

/// Trying again helps only where the server was away.
fn unmigrated(context: &str, error: &Error) -> Failure {
    match error {
        Error::Retry { .. } => Failure::Unreachable(format!("{context}: {error} (MALLBOTS_POSTGRES names the server)")),
        Error::Fatal(_) | Error::Poison(_) => Failure::Refused(format!("{context}: {error}")),
    }
}

/// For arguments: the name of a context, else which there are.
pub fn known_context(text: &str) -> Result<String, String> {
    let known: Vec<_> = contexts().iter().map(|(name, ..)| *name).collect();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("there are {}", known.join(", "))) }
}

/// A connection to a context's database.
pub async fn connect(context: &str) -> Result<tokio_postgres::Client, Failure> {
    let url = service_kit::config::database_url(context).map_err(output::usage)?;
    open(&url).await.map_err(|e| {
        let missing = e.code() == Some(&SqlState::INVALID_CATALOG_NAME);
        let help =
            if missing { ": run `mallctl db migrate --create`" } else { " (MALLBOTS_POSTGRES names the server)" };
        Failure::Unreachable(format!("database of {context}: {:#}{help}", anyhow::Error::from(e)))
    })
}

/// A query that was not answered.
pub fn failed(error: tokio_postgres::Error) -> Failure {
    Failure::Unreachable(format!("PostgreSQL: {:#} (MALLBOTS_POSTGRES names the server)", anyhow::Error::from(error)))
}

async fn open(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn create_database(url: &str) -> Done {
    let (server, name) =
        url.rsplit_once('/').ok_or_else(|| Failure::Usage("a database URL without a database".into()))?;
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain {
        return Err(Failure::Usage(format!("database name `{name}` is not valid: use letters, digits and _")));
    }
    let client = open(&format!("{server}/postgres")).await.map_err(failed)?;
    let known = client.query_opt("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.map_err(failed)?;
    if known.is_none() {
        // A database name cannot be a parameter; it was checked to be plain.
        client.batch_execute(&format!("CREATE DATABASE \"{name}\"")).await.map_err(failed)?;
    }
    Ok(())
}
