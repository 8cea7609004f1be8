//! What becomes of sagas, for screens, search and alarms. Participants never act upon these.

use crate::{ids::SagaId, registry::messages, topics};
use serde::{Deserialize, Serialize};

messages! {
    pub(crate) const EVENTS;
    Event "orchestrator" topics::ORCHESTRATOR_EVENTS:
    SagaStarted,
    SagaCompensating,
    SagaCancelTooLate,
    SagaCompleted,
    SagaCompensated,
    SagaStuck,
}

/// A saga began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaStarted {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
}

/// The saga is being undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCompensating {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
    pub code: String,
    pub reason: String,
}

/// Somebody asked to cancel after the pivot; the saga goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCancelTooLate {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
    pub reason: String,
}

/// Every step was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCompleted {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
}

/// Every step that was carried out was undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaCompensated {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
    pub code: String,
    pub reason: String,
}

/// The saga cannot go on without an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SagaStuck {
    pub saga_id: SagaId,
    pub saga_type: String,
    /// What the saga is about; unique within its type.
    pub business_key: String,
    pub step: String,
    pub reason: String,
}
