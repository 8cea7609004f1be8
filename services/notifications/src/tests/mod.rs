//! The context on the production shell, with the ports in memory and a sender that tests look into.

use crate::{
    Notifications,
    api::Api,
    domain::{Cause, MAX_ATTEMPTS, Notification, Status},
    sender::{SendError, Sender, Sms, Worker},
};
use schemas::{
    grpc::notifications::{self as pb, notifications_server::Notifications as _},
    ids::OrderId,
    money::{Currency, Money},
    orders as wire,
};
use std::sync::{Arc, Mutex};
use testkit::{MemoryShell, memory_shell};
use tonic::Request;
use transport::{
    Shell, ShellConfig,
    memory::MemoryStore,
    timers::{Always, Timers},
};
use uuid::Uuid;

const PHONE: &str = "+4917012345678";
/// Longer than any pause between two attempts.
const LONG_MS: i64 = 700_000;

/// Remembers what it was given; fails as long as it is told to.
#[derive(Clone, Default)]
struct Phones {
    sent: Arc<Mutex<Vec<Sms>>>,
    failing: Arc<Mutex<bool>>,
}

impl Sender for Phones {
    async fn send(&self, sms: &Sms) -> Result<(), SendError> {
        if *self.failing.lock().unwrap() {
            return Err(SendError("the provider is away".into()));
        }
        self.sent.lock().unwrap().push(sms.clone());
        Ok(())
    }
}

struct Desk {
    memory: MemoryShell<Notifications>,
    worker: Worker<Phones, MemoryStore>,
    phones: Phones,
}

fn order() -> OrderId {
    Uuid::from_u128(1 << 100).into()
}

impl Desk {
    async fn new() -> Self {
        let (memory, phones) = (memory_shell(Notifications), Phones::default());
        let worker = Worker::new(memory.shell.clone(), phones.clone()).unwrap();
        Self { memory, worker, phones }
    }

    async fn with_contact() -> Self {
        let desk = Self::new().await;
        let contact = wire::CustomerContactGiven { order_id: order(), phone: PHONE.into() };
        desk.memory.event("order", order().into(), contact).await;
        desk
    }

    async fn ready(&self) {
        let total = Money::new(1_234, Currency::EUR);
        let event = wire::OrderReady { order_id: order(), total, bay: 12, missing: vec![] };
        self.memory.event("order", order().into(), event).await;
    }

    /// Lets the worker take what waits for it, which must be something.
    async fn work(&mut self) {
        assert_ne!(self.memory.drive(self.worker.run_once()).await, 0);
    }

    async fn notification(&self, cause: Cause) -> Option<Notification> {
        self.memory.get(Notification::id(order(), cause).into()).await
    }

    fn texts(&self) -> Vec<String> {
        self.phones.sent.lock().unwrap().iter().map(|sms| sms.text.clone()).collect()
    }
}

#[tokio::test]
async fn a_customer_is_told_that_the_order_is_ready_and_it_is_marked_sent() {
    let mut desk = Desk::with_contact().await;
    desk.ready().await;
    desk.work().await;
    assert!(desk.texts()[0].contains("bay 12") && desk.texts()[0].contains("12.34 EUR"));
    assert_eq!(desk.phones.sent.lock().unwrap()[0].phone, PHONE);
    assert_eq!(desk.notification(Cause::Ready).await.unwrap().status, Status::Sent);
}

#[tokio::test]
async fn each_cause_is_told_once_however_often_it_happens() {
    let mut desk = Desk::with_contact().await;
    desk.ready().await;
    desk.ready().await;
    let (reason, total) = ("too slow".to_owned(), Money::new(1, Currency::EUR));
    let (order_id, id) = (order(), order().into());
    desk.memory.event("order", id, wire::OrderCancelled { order_id, reason: reason.clone() }).await;
    desk.memory.event("order", id, wire::OrderRejected { order_id, code: "c".into(), reason }).await;
    desk.memory.event("order", id, wire::OrderRefunded { order_id, total }).await;
    desk.work().await;
    desk.memory.pass(LONG_MS).await;
    assert_eq!(desk.texts().len(), Cause::ALL.len());
    for cause in Cause::ALL {
        assert_eq!(desk.notification(cause).await.unwrap().status, Status::Sent);
    }
}

#[tokio::test]
async fn what_a_provider_does_not_take_is_tried_again_until_it_does() {
    let mut desk = Desk::with_contact().await;
    *desk.phones.failing.lock().unwrap() = true;
    desk.ready().await;
    desk.work().await;
    assert_eq!(desk.notification(Cause::Ready).await.unwrap().status, Status::Waiting);
    *desk.phones.failing.lock().unwrap() = false;
    desk.memory.pass(LONG_MS).await;
    desk.work().await;
    assert_eq!(desk.notification(Cause::Ready).await.unwrap().status, Status::Sent);
    assert_eq!(desk.texts().len(), 1);
}

#[tokio::test]
async fn what_a_dead_process_had_in_hand_is_handed_over_by_the_next_one() {
    let dead = Desk::with_contact().await;
    dead.ready().await;
    let codec = dead.memory.shell.codec().clone();
    let shell = Shell::new(Notifications, dead.memory.store.clone(), codec, ShellConfig::default());
    let mut worker = Worker::new(shell.clone(), dead.phones.clone()).unwrap();
    dead.memory.store.clock().step(LONG_MS);
    assert_eq!(Timers::new(shell.clone(), Always).run_once().await.unwrap(), 1);
    shell.run_ready().await;
    // The worker asks the shell to mark what it sent, so both run.
    tokio::select! {
        taken = worker.run_once() => assert_eq!(taken, 1),
        () = shell.run() => unreachable!("a shell runs until it is dropped"),
    }
    assert_eq!(dead.texts().len(), 1);
    let notification = dead.notification(Cause::Ready).await.unwrap();
    assert_eq!((notification.status, notification.attempts), (Status::Sent, 2));
}

#[tokio::test]
async fn without_a_contact_it_is_given_up_after_the_budget() {
    let desk = Desk::new().await;
    desk.ready().await;
    for _ in 0..=MAX_ATTEMPTS {
        desk.memory.pass(LONG_MS).await;
    }
    let given_up = desk.notification(Cause::Ready).await.unwrap();
    assert_eq!((given_up.status, given_up.attempts), (Status::Failed, MAX_ATTEMPTS));
    assert!(desk.texts().is_empty());
}

#[tokio::test]
async fn i11_the_list_tells_the_words_and_never_the_number() {
    let desk = Desk::with_contact().await;
    desk.ready().await;
    let api = Api { shell: desk.memory.shell.clone() };
    let list = async |order_id: String| {
        let request = pb::ListNotificationsRequest { order_id, page: None };
        api.list_notifications(Request::new(request)).await.map(tonic::Response::into_inner)
    };
    let found = list(order().to_string()).await.unwrap();
    assert_eq!((found.notifications.len(), found.notifications[0].kind.as_str()), (1, "ready"));
    assert!(!format!("{found:?}").contains("170123"));
    assert!(list(Uuid::from_u128(4).to_string()).await.unwrap().notifications.is_empty());
    assert_eq!(service_kit::grpc::code(&list("7".into()).await.unwrap_err()), Some("platform.invalid_argument"));
}
