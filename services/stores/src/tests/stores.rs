//! Stores: what each change publishes, and what closing takes with it.

use super::*;

#[tokio::test]
async fn a_store_takes_part_after_it_asked_and_staff_agreed_and_everybody_is_told() {
    let desk = desk();
    let id = participating(&desk).await;
    let created = desk.published::<wire::StoreCreated>().pop().unwrap();
    assert_eq!((created.store_id.to_string(), created.name.as_str()), (id, "Bakery"));
    assert_eq!(desk.published::<wire::ParticipationRequested>().len(), 1);
    assert_eq!(desk.published::<wire::ParticipationApproved>().len(), 1);
    let records = desk.published::<wire::CatalogueStore>();
    let told: Vec<_> = records.iter().map(|r| (r.version, r.participating)).collect();
    assert_eq!(told, [(1, false), (2, false), (3, true)]);
}

#[tokio::test]
async fn a_denied_store_is_a_draft_with_the_reason_and_may_ask_again() {
    let desk = desk();
    let id = create(&desk, bakery("")).await.unwrap().store_id;
    change(&desk, &id, "request").await.unwrap();
    let denied = change(&desk, &id, "deny").await.unwrap();
    assert_eq!((denied.status.as_str(), denied.reason.as_str()), ("draft", "works"));
    assert_eq!(desk.published::<wire::ParticipationDenied>()[0].reason, "works");
    assert!(change(&desk, &id, "request").await.is_ok());
}

#[tokio::test]
async fn a_suspended_store_sells_nothing_until_it_is_resumed() {
    let desk = desk();
    let id = participating(&desk).await;
    change(&desk, &id, "suspend").await.unwrap();
    change(&desk, &id, "resume").await.unwrap();
    let records = desk.published::<wire::CatalogueStore>();
    assert_eq!(records.iter().skip(3).map(|r| r.participating).collect::<Vec<_>>(), [false, true]);
    assert_eq!((desk.published::<wire::StoreSuspended>().len(), desk.published::<wire::StoreResumed>().len()), (1, 1));
}

#[tokio::test]
async fn a_closed_store_and_all_its_products_leave_the_catalogue() {
    let desk = desk();
    let id = participating(&desk).await;
    let listed = add(&desk, bread(&id)).await.unwrap().product_id;
    let hidden = add(&desk, bread(&id)).await.unwrap().product_id;
    change_product(&desk, &hidden, "hide").await.unwrap();
    change(&desk, &id, "suspend").await.unwrap();
    assert_eq!(change(&desk, &id, "close").await.unwrap().status, "closed");
    let mut gone = vec![id.clone(), listed, hidden];
    gone.sort();
    assert_eq!(deleted(&desk), gone);
    assert_eq!(desk.published::<wire::ProductRemoved>().len(), 2);
    assert_eq!(desk.published::<wire::StoreClosed>().len(), 1);
    assert_eq!(grpc::code(&add(&desk, bread(&id)).await.unwrap_err()), Some("stores.wrong_state"));
}

#[tokio::test]
async fn a_change_that_is_not_listed_publishes_nothing() {
    let desk = desk();
    let id = create(&desk, bakery("")).await.unwrap().store_id;
    for deed in ["approve", "deny", "suspend", "resume", "close"] {
        let status = change(&desk, &id, deed).await.unwrap_err();
        assert_eq!((status.code(), grpc::code(&status)), (Code::FailedPrecondition, Some("stores.wrong_state")));
        assert!(status.message().contains("draft"), "{}", status.message());
    }
    assert_eq!(desk.published::<wire::CatalogueStore>().len(), 1);
}

#[tokio::test]
async fn the_same_key_creates_one_store() {
    let desk = desk();
    let first = create(&desk, bakery("k")).await.unwrap();
    assert_eq!(create(&desk, bakery("k")).await.unwrap(), first);
    let other = pb::CreateStoreRequest { name: "Florist".into(), ..bakery("k") };
    assert_eq!(grpc::code(&create(&desk, other).await.unwrap_err()), Some("platform.idempotency_key_reused"));
    assert_eq!(desk.published::<wire::StoreCreated>().len(), 1);
}

#[tokio::test]
async fn wrong_fields_are_named_and_unknown_stores_not_found() {
    let desk = desk();
    let nameless = create(&desk, pb::CreateStoreRequest { name: " ".into(), ..bakery("") }).await.unwrap_err();
    let nowhere = create(&desk, pb::CreateStoreRequest { location: None, ..bakery("") }).await.unwrap_err();
    let long_key = create(&desk, bakery(&"k".repeat(256))).await.unwrap_err();
    assert_eq!([field(&nameless), field(&nowhere), field(&long_key)], ["name", "location", "idempotency_key"]);
    assert_eq!(field(&change(&desk, "7", "request").await.unwrap_err()), "store_id");
    let unknown = change(&desk, &uuid::Uuid::from_u128(4).to_string(), "request").await.unwrap_err();
    assert_eq!((unknown.code(), grpc::code(&unknown)), (Code::NotFound, Some("stores.unknown_store")));
}

#[tokio::test]
async fn stores_are_listed_by_state_page_by_page() {
    let desk = desk();
    participating(&desk).await;
    let mut drafts = Vec::new();
    for _ in 0..3 {
        drafts.push(create(&desk, bakery("")).await.unwrap().store_id);
    }
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = Some(common::Page { page_size: 2, page_token: token });
        let request = pb::ListStoresRequest { status: "draft".into(), page };
        let answer = api(&desk).list_stores(Request::new(request)).await.unwrap().into_inner();
        found.extend(answer.stores.into_iter().map(|s| s.store_id));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    drafts.sort_by(|a, b| b.cmp(a));
    assert_eq!(found, drafts);
}
