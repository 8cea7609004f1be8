//! Baskets and checkout: what is published, what is refused, and that a refusal leaves nothing behind.

use super::*;
use crate::domain::{Basket, BasketStatus, Contact};

#[tokio::test]
async fn a_checkout_makes_one_order_of_the_baskets_id_and_tells_of_it_in_order() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    let order = check_out(&desk, basket).await.unwrap();
    assert_eq!((order.status, order.total, order.volume_ml), (OrderStatus::Pending, eur(800), 4_500));
    let event = desk.published::<wire::OrderPlaced>().pop().unwrap();
    assert_eq!((event.order_id, event.total, event.lines), (basket.into(), eur(800), order.lines));
    assert_eq!((event.payment_token.as_str(), event.pay_on_arrival), ("tok_ok", true));
    assert_eq!(desk.published::<wire::BasketCheckedOut>(), [wire::BasketCheckedOut { basket_id: basket }]);
    assert_eq!(desk.published::<wire::CustomerContactGiven>()[0].phone, PHONE);
    assert_eq!(desk.get::<Contact>(basket.into()).await.unwrap().phone.expose(), PHONE);
}

#[tokio::test]
async fn a_second_checkout_is_refused_and_makes_no_second_order() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    check_out(&desk, basket).await.unwrap();
    assert_eq!(code(check_out(&desk, basket).await), "orders.wrong_state");
    assert_eq!(desk.published::<wire::OrderPlaced>().len(), 1);
}

#[tokio::test]
async fn the_price_is_the_catalogues_at_checkout_and_fixed_from_then_on() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    tell_product(&desk, product(bread(), "Bread", 300, 2)).await;
    assert_eq!(check_out(&desk, basket).await.unwrap().total, eur(900));
    tell_product(&desk, product(bread(), "Bread", 999, 3)).await;
    assert_eq!(order(&desk, basket.into()).await.total, eur(900));
}

#[tokio::test]
async fn each_refusal_of_a_checkout_has_its_code_and_leaves_nothing_behind() {
    for (expected, product_gone, listed, participating) in [
        ("orders.product_removed", true, true, true),
        ("orders.product_unavailable", false, false, true),
        ("orders.store_not_participating", false, true, false),
    ] {
        let desk = desk().await;
        let basket = basket(&desk).await;
        tell_product(&desk, CatalogueProduct { listed, ..product(bread(), "Bread", 250, 2) }).await;
        tell_store(&desk, participating, 2).await;
        if product_gone {
            desk.tombstone::<schemas::stores::CatalogueProduct>("product", bread().into()).await;
        }
        assert_eq!(code(check_out(&desk, basket).await), expected);
        nothing_was_ordered(&desk, basket).await;
    }
}

#[tokio::test]
async fn an_empty_basket_is_refused() {
    let desk = desk().await;
    let basket = desk.call(handlers::create_basket).await.unwrap().id;
    assert_eq!(code(check_out(&desk, basket).await), "orders.basket_empty");
    nothing_was_ordered(&desk, basket).await;
}

async fn nothing_was_ordered(desk: &Desk, basket: BasketId) {
    assert_eq!(desk.get::<Basket>(basket.into()).await.unwrap().status, BasketStatus::Open);
    assert_eq!(desk.get::<Order>(basket.into()).await, None);
    assert_eq!(desk.get::<Contact>(basket.into()).await, None);
    assert!(desk.published::<wire::OrderPlaced>().is_empty());
    assert!(desk.published::<wire::CustomerContactGiven>().is_empty());
}

#[tokio::test]
async fn a_product_that_the_catalogue_does_not_know_cannot_be_put_in() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    assert_eq!(code(put(&desk, basket, Uuid::from_u128(99).into(), 1).await), "orders.unknown_product");
    assert_eq!(code(put(&desk, Uuid::from_u128(98).into(), bread(), 1).await), "orders.unknown_basket");
}

#[tokio::test]
async fn one_basket_holds_one_currency() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    let dollars = Money::new(1, Currency::parse("USD").unwrap());
    let id = Uuid::from_u128(0xd).into();
    tell_product(&desk, CatalogueProduct { price: dollars, ..product(id, "Pin", 1, 1) }).await;
    assert_eq!(code(put(&desk, basket, id, 1).await), "orders.mixed_currencies");
}

#[tokio::test]
async fn quantities_are_summed_and_told_absolutely() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    let view = put(&desk, basket, bread(), 3).await.unwrap();
    assert_eq!(view.total(), Some(eur(5 * 250 + 300)));
    let last = desk.published::<wire::BasketItemPut>().into_iter().rfind(|e| e.product_id == bread()).unwrap();
    assert_eq!(last.quantity, pieces(5));
}

#[tokio::test]
async fn removing_twice_is_removing_once() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    for _ in 0..2 {
        let view = desk.call(move |orders, unit| handlers::remove_item(orders, unit, basket, bread())).await.unwrap();
        assert_eq!(view.total(), Some(eur(300)));
    }
    assert_eq!(desk.published::<wire::BasketItemRemoved>().len(), 1);
}

#[tokio::test]
async fn a_basket_that_nobody_touches_is_abandoned_and_a_touch_puts_that_off() {
    let desk = desk().await;
    let basket = basket(&desk).await;
    desk.pass(IDLE_MS - 1).await;
    put(&desk, basket, roses(), 1).await.unwrap();
    desk.pass(IDLE_MS - 1).await;
    assert_eq!(desk.get::<Basket>(basket.into()).await.unwrap().status, BasketStatus::Open);
    desk.pass(1_000).await;
    assert_eq!(desk.get::<Basket>(basket.into()).await.unwrap().status, BasketStatus::Abandoned);
    assert_eq!(desk.published::<wire::BasketAbandoned>(), [wire::BasketAbandoned { basket_id: basket }]);
    assert_eq!(code(check_out(&desk, basket).await), "orders.wrong_state");
}

#[tokio::test]
async fn a_basket_that_was_checked_out_or_cancelled_is_never_abandoned() {
    let desk = desk().await;
    let (ordered, dropped) = (basket(&desk).await, basket(&desk).await);
    check_out(&desk, ordered).await.unwrap();
    desk.call(move |_, unit| handlers::cancel_basket(unit, dropped)).await.unwrap();
    desk.pass(2 * IDLE_MS).await;
    assert!(desk.published::<wire::BasketAbandoned>().is_empty());
}

#[tokio::test]
async fn i11_a_checkout_does_not_show_phone_or_token() {
    let (phone, payment_token) = (Phone::parse(PHONE).unwrap(), "tok_secret".to_owned());
    let basket_id = Uuid::from_u128(1).into();
    let shown = Checkout { basket_id, phone, payment_token, pay_on_arrival: false, customer_ref: String::new() };
    let shown = format!("{shown:?}");
    assert!(!shown.contains("170") && !shown.contains("secret"), "{shown}");
}
