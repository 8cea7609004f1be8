//! The routes under `/v1`, one file a noun. Each handler: parse, call, answer.

mod baskets;
mod events;
mod orders;
mod stores;

use crate::{
    Gateway,
    problem::{self, Written},
};
use std::collections::BTreeMap;
use utoipa::{
    IntoResponses, PartialSchema, ToSchema,
    openapi::{Content, Ref, RefOr, Response, ResponseBuilder},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// All routes with their documentation.
pub fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(stores::list_stores))
        .routes(routes!(stores::list_products))
        .routes(routes!(baskets::create_basket))
        .routes(routes!(baskets::get_basket))
        .routes(routes!(baskets::put_item, baskets::remove_item))
        .routes(routes!(baskets::cancel_basket))
        .routes(routes!(baskets::checkout))
        .routes(routes!(orders::get_order))
        .routes(routes!(orders::cancel_order))
        .routes(routes!(orders::pay))
        .routes(routes!(events::order_events))
}

/// The problems that any route may answer with.
struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let all = [
            ("400", "The request cannot be read."),
            ("404", "There is no such thing."),
            ("409", "The business says no; `code` says why."),
            ("413", "The body is over 64 KiB."),
            ("415", "The body is not JSON."),
            ("422", "A value is not acceptable; `field` names it."),
            ("500", "A defect on our side."),
            ("503", "Too much to do, or a service is away: come back after `Retry-After` seconds."),
            ("504", "No answer in time; it may have been done all the same."),
        ];
        all.into_iter().map(|(status, words)| (status.to_owned(), problem_response(words).into())).collect()
    }
}

fn problem_response(description: &str) -> Response {
    let schema = Ref::from_schema_name(Written::name());
    ResponseBuilder::new().description(description).content(problem::CONTENT_TYPE, Content::new(Some(schema))).build()
}

/// So that the document holds the schema that [`Problems`] points to.
pub(crate) fn problem_schema() -> (String, RefOr<utoipa::openapi::Schema>) {
    (Written::name().into_owned(), Written::schema())
}
