//! The gRPC API of notifications: what customers were told. The phone number is nobody's business here.

use crate::{Notifications, domain::Notification};
use schemas::{
    grpc::notifications::{self as pb, notifications_server},
    ids::OrderId,
};
use service_kit::grpc::{self, invalid};
use tonic::{Request, Response, Status};
use transport::{Shell, ports};
use uuid::Uuid;

/// Answers from the shell it holds.
pub struct Api<S: ports::Store> {
    pub shell: Shell<Notifications, S>,
}

#[tonic::async_trait]
impl<S: ports::Store> notifications_server::Notifications for Api<S> {
    async fn list_notifications(
        &self,
        request: Request<pb::ListNotificationsRequest>,
    ) -> Result<Response<pb::ListNotificationsResponse>, Status> {
        let query = query(request.into_inner())?;
        let found = self.shell.list::<Notification>(&query).await.map_err(grpc::status)?;
        let last = found.last().filter(|_| found.len() >= query.limit);
        let next_page_token = last.map(|(id, _)| id.to_string()).unwrap_or_default();
        let notifications = found.into_iter().map(notification).collect();
        Ok(Response::new(pb::ListNotificationsResponse { notifications, next_page_token }))
    }
}

fn query(input: pb::ListNotificationsRequest) -> Result<ports::Query, Status> {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let order = given(&input.order_id).map(|id| OrderId::parse(&id)).transpose();
    let order = order.map_err(|e| invalid("order_id", e.to_string()))?;
    let page = input.page.unwrap_or_default();
    let before = given(&page.page_token).map(|token| token.parse::<Uuid>()).transpose();
    let before = before.map_err(|_| invalid("page.page_token", "give the token of the page before, unchanged"))?;
    Ok(ports::Query { parent: order.map(Into::into), before, limit: page.limit() as usize, ..ports::Query::default() })
}

fn notification((id, notification): (Uuid, Notification)) -> pb::Notification {
    pb::Notification {
        notification_id: id.to_string(),
        order_id: notification.order_id.to_string(),
        kind: notification.cause.as_str().to_owned(),
        status: notification.status.as_str().to_owned(),
        text: notification.text,
        created_at_ms: notification.created_at_ms,
        sent_at_ms: notification.sent_at_ms.unwrap_or_default(),
    }
}
