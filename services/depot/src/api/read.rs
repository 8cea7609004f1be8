//! What is only read: pages of bays, robots and lists.

use super::convert;
use crate::{
    Depot,
    domain::{Bay, Bot, ListState, ShoppingList},
};
use schemas::grpc::{common::Page, depot as pb};
use service_kit::grpc::{self, invalid};
use tonic::Status;
use transport::{
    Aggregate, Shell,
    ports::{Query, Store},
};
use uuid::Uuid;

/// Rows that one read takes from the store.
const ROWS: usize = 500;

/// Most bays or robots that are put in order for a page: far more than a mall has.
const MAX_SORTED: usize = 20_000;

/// Aggregates by id, with their versions; those that do not exist are left out.
pub async fn rows<A: Aggregate, S: Store>(shell: &Shell<Depot, S>, ids: &[Uuid]) -> Result<Vec<(A, i64)>, Status> {
    let rows = shell.store().get(A::KIND, ids).await.map_err(|e| Status::unavailable(e.to_string()))?;
    let read = |row: &transport::ports::Row| serde_json::from_str(&row.state).map(|aggregate| (aggregate, row.version));
    rows.iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|e| Status::internal(format!("{} cannot be read: {e}", A::KIND)))
}

/// Bays by number.
pub async fn bays<S: Store>(shell: &Shell<Depot, S>, page: &Page) -> Result<pb::ListBaysResponse, Status> {
    let mut all = every::<Bay, S>(shell).await?;
    all.sort_by_key(|(_, bay)| bay.number);
    let (rest, next_page_token) = cut(all, page)?;
    Ok(pb::ListBaysResponse { bays: rest.into_iter().map(|(_, bay)| convert::bay(bay)).collect(), next_page_token })
}

/// Robots by name.
pub async fn bots<S: Store>(shell: &Shell<Depot, S>, page: &Page) -> Result<pb::ListBotsResponse, Status> {
    let mut all = every::<Bot, S>(shell).await?;
    all.sort_by(|(a, x), (b, y)| (&x.name, a).cmp(&(&y.name, b)));
    let (rest, next_page_token) = cut(all, page)?;
    Ok(pb::ListBotsResponse {
        bots: rest.into_iter().map(|(id, bot)| convert::bot(id, bot)).collect(),
        next_page_token,
    })
}

/// Lists in one phase or all, newest first.
pub async fn lists<S: Store>(
    shell: &Shell<Depot, S>,
    phase: &str,
    before: Option<Uuid>,
    limit: usize,
) -> Result<pb::ListListsResponse, Status> {
    let statuses: Vec<Option<&str>> = match (phase, ListState::statuses(phase)) {
        ("", _) => vec![None],
        (_, []) => return Err(invalid("status", "give a state such as planned, collecting or checked, or nothing")),
        (_, statuses) => statuses.iter().copied().map(Some).collect(),
    };
    let mut found = Vec::new();
    for status in statuses {
        let query = Query { status: status.map(str::to_owned), before, limit, ..Query::default() };
        found.extend(shell.list::<ShoppingList>(&query).await.map_err(grpc::status)?);
    }
    found.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    found.truncate(limit);
    let next_page_token = found.last().filter(|_| found.len() == limit).map(|(id, _)| id.to_string());
    let lists = found.into_iter().map(|(_, list)| convert::list(list, 0)).collect();
    Ok(pb::ListListsResponse { lists, next_page_token: next_page_token.unwrap_or_default() })
}

async fn every<A: Aggregate, S: Store>(shell: &Shell<Depot, S>) -> Result<Vec<(Uuid, A)>, Status> {
    let mut all: Vec<(Uuid, A)> = Vec::new();
    loop {
        let query = Query { before: all.last().map(|(id, _)| *id), limit: ROWS, ..Query::default() };
        let page = shell.list::<A>(&query).await.map_err(grpc::status)?;
        let last = page.len() < ROWS;
        all.extend(page);
        if last || all.len() >= MAX_SORTED {
            return Ok(all);
        }
    }
}

/// The page whose token says how many entries came before it.
fn cut<T>(all: Vec<T>, page: &Page) -> Result<(Vec<T>, String), Status> {
    let start = match page.page_token.as_str() {
        "" => 0,
        token => token.parse::<usize>().map_err(|_| convert::bad_token())?,
    };
    let end = start.saturating_add(page.limit() as usize);
    let next = if end < all.len() { end.to_string() } else { String::new() };
    Ok((all.into_iter().skip(start).take(page.limit() as usize).collect(), next))
}
