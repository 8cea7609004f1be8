//! The API's description, generated from the handlers, and a page to browse it that needs nothing from the internet.

use crate::routes;
use axum::Router;
use utoipa::{OpenApi, openapi};
use utoipa_swagger_ui::{Config, SwaggerUi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "MallBots kiosk API",
        version = "1",
        description = "For kiosks: browse stores, fill a basket, check out, follow the order until it is picked up.\n\n\
                       Every error is `application/problem+json` (RFC 9457) with a stable `code`. Money is in minor units, \
                       times are milliseconds since the Unix epoch. Send `traceparent` to make requests part of your trace; \
                       each answer carries its own.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "This gateway")),
    tags(
        (name = "stores", description = "What can be bought"),
        (name = "baskets", description = "Choosing and checking out"),
        (name = "orders", description = "Following, cancelling and paying an order")
    )
)]
struct Head;

/// The OpenAPI 3.1 document.
pub fn document() -> openapi::OpenApi {
    let (_, mut document) = routes::routes().split_for_parts();
    let (name, schema) = routes::problem_schema();
    document.components.get_or_insert_default().schemas.insert(name, schema);
    let mut whole = Head::openapi();
    whole.merge(document);
    whole
}

/// `/openapi.json` and `/docs`.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    // No validator: the page must not send the document anywhere.
    let config = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    Router::new().merge(SwaggerUi::new("/docs").url("/openapi.json", document()).config(config))
}
