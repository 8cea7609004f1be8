//! Products: what each change publishes, and what the catalogue says after it.

use super::*;

async fn reprice(desk: &Desk, product: &str, price: Option<common::Money>) -> Result<pb::Product, Status> {
    let api = api(desk);
    let (product_id, idempotency_key) = (product.to_owned(), String::new());
    let request = pb::ChangePriceRequest { product_id, price, idempotency_key };
    desk.drive(api.change_price(Request::new(request))).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn every_change_raises_the_version_and_the_catalogue_has_the_whole_product() {
    let desk = desk();
    let store = participating(&desk).await;
    let id = add(&desk, bread(&store)).await.unwrap().product_id;
    reprice(&desk, &id, euros(300)).await.unwrap();
    change_product(&desk, &id, "hide").await.unwrap();
    change_product(&desk, &id, "list").await.unwrap();
    let records = desk.published::<wire::CatalogueProduct>();
    let told: Vec<_> = records.iter().map(|r| (r.version, r.price.amount, r.listed)).collect();
    assert_eq!(told, [(1, 250, true), (2, 300, true), (3, 300, false), (4, 300, true)]);
    assert_eq!(desk.published::<wire::ProductPriceChanged>()[0].version, 2);
    assert_eq!(
        (desk.published::<wire::ProductHidden>()[0].version, desk.published::<wire::ProductListed>()[0].version),
        (3, 4)
    );
}

#[tokio::test]
async fn a_removed_product_is_deleted_from_the_catalogue_and_stays_removed() {
    let desk = desk();
    let store = participating(&desk).await;
    let id = add(&desk, bread(&store)).await.unwrap().product_id;
    let early = change_product(&desk, &id, "remove").await.unwrap_err();
    assert_eq!(grpc::code(&early), Some("stores.wrong_state"));
    change_product(&desk, &id, "hide").await.unwrap();
    change_product(&desk, &id, "remove").await.unwrap();
    assert_eq!(deleted(&desk), [id.as_str()]);
    for deed in ["list", "hide", "remove"] {
        assert!(change_product(&desk, &id, deed).await.unwrap_err().message().contains("removed"));
    }
    assert_eq!(grpc::code(&reprice(&desk, &id, euros(1)).await.unwrap_err()), Some("stores.wrong_state"));
}

#[tokio::test]
async fn wrong_fields_are_named_and_unknown_products_not_found() {
    let desk = desk();
    let store = participating(&desk).await;
    for (expected, request) in [
        ("store_id", pb::AddProductRequest { store_id: "7".into(), ..bread(&store) }),
        ("name", pb::AddProductRequest { name: "x".repeat(201), ..bread(&store) }),
        ("price", pb::AddProductRequest { price: None, ..bread(&store) }),
        ("price", pb::AddProductRequest { price: euros(-1), ..bread(&store) }),
        (
            "price",
            pb::AddProductRequest { price: Some(common::Money { amount: 1, currency: "eur".into() }), ..bread(&store) },
        ),
        ("volume_ml", pb::AddProductRequest { volume_ml: 0, ..bread(&store) }),
    ] {
        assert_eq!(field(&add(&desk, request).await.unwrap_err()), expected);
    }
    let unknown = change_product(&desk, &uuid::Uuid::from_u128(4).to_string(), "hide").await.unwrap_err();
    assert_eq!((unknown.code(), grpc::code(&unknown)), (Code::NotFound, Some("stores.unknown_product")));
}

#[tokio::test]
async fn a_store_lists_its_own_products_only() {
    let desk = desk();
    let (ours, theirs) = (participating(&desk).await, participating(&desk).await);
    let id = add(&desk, bread(&ours)).await.unwrap().product_id;
    add(&desk, bread(&theirs)).await.unwrap();
    let request = pb::ListProductsRequest { store_id: ours.clone(), page: None };
    let answer = api(&desk).list_products(Request::new(request)).await.unwrap().into_inner();
    assert_eq!(answer.products.iter().map(|p| &p.product_id).collect::<Vec<_>>(), [&id]);
    assert_eq!(answer.next_page_token, "");
    let nowhere = pb::ListProductsRequest { store_id: uuid::Uuid::from_u128(4).to_string(), page: None };
    let unknown = api(&desk).list_products(Request::new(nowhere)).await.unwrap_err();
    assert_eq!(grpc::code(&unknown), Some("stores.unknown_store"));
}
