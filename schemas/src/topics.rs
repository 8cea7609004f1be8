//! Names of all topics. Partitions and retention are in `infra/kafka/topics.yaml`; a test proves that both agree.

pub const STORES_EVENTS: &str = "mallbots.stores.events";
/// Compacted: the last state of each store and product.
pub const STORES_CATALOGUE: &str = "mallbots.stores.catalogue";
pub const ORDERS_EVENTS: &str = "mallbots.orders.events";
pub const ORDERS_COMMANDS: &str = "mallbots.orders.commands";
pub const PAYMENTS_EVENTS: &str = "mallbots.payments.events";
pub const PAYMENTS_COMMANDS: &str = "mallbots.payments.commands";
pub const DEPOT_EVENTS: &str = "mallbots.depot.events";
pub const DEPOT_COMMANDS: &str = "mallbots.depot.commands";
pub const ORCHESTRATOR_EVENTS: &str = "mallbots.orchestrator.events";
/// Replies and refusals of all participants.
pub const ORCHESTRATOR_REPLIES: &str = "mallbots.orchestrator.replies";

/// Every topic of the platform.
pub const ALL: &[&str] = &[
    STORES_EVENTS,
    STORES_CATALOGUE,
    ORDERS_EVENTS,
    ORDERS_COMMANDS,
    PAYMENTS_EVENTS,
    PAYMENTS_COMMANDS,
    DEPOT_EVENTS,
    DEPOT_COMMANDS,
    ORCHESTRATOR_EVENTS,
    ORCHESTRATOR_REPLIES,
];
