//! The gRPC API of orders. Wire values are checked and turned into the domain's here, and nowhere deeper.

mod wire;

use crate::{
    Orders,
    domain::{Basket, CatalogueProduct, Order, OrderStatus, unknown},
    handlers::{self, BasketView},
};
use schemas::{
    grpc::orders::{self as pb, orders_server},
    quantity::Quantity,
};
use service_kit::grpc::{self, invalid};
use tonic::{Request, Response, Status};
use transport::{CallError, Shell, ports};
use uuid::Uuid;
use wire::{basket_id, keyed, next_token, order_id, page, product_id, text};

/// Answers from the shell it holds.
pub struct Api<S: ports::Store> {
    pub shell: Shell<Orders, S>,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl<S: ports::Store> orders_server::Orders for Api<S> {
    async fn create_basket(&self, request: Request<pb::CreateBasketRequest>) -> Answer<pb::Basket> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, "CreateBasket"), &input.idempotency_key, input)?.new_work();
        basket_answer(self.shell.call(call, handlers::create_basket).await)
    }

    async fn put_item(&self, request: Request<pb::PutItemRequest>) -> Answer<pb::Basket> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, "PutItem"), &input.idempotency_key, input)?;
        let (basket, product) = (basket_id(&input.basket_id)?, product_id(&input.product_id)?);
        let quantity = Quantity::try_from(input.quantity).map_err(|e| invalid("quantity", e.to_string()))?;
        let put =
            self.shell.call(call, move |orders, unit| handlers::put_item(orders, unit, basket, product, quantity));
        basket_answer(put.await)
    }

    async fn remove_item(&self, request: Request<pb::RemoveItemRequest>) -> Answer<pb::Basket> {
        let call = grpc::call(&request, "RemoveItem");
        let (basket, product) = (basket_id(&request.get_ref().basket_id)?, product_id(&request.get_ref().product_id)?);
        let removed = self.shell.call(call, move |orders, unit| handlers::remove_item(orders, unit, basket, product));
        basket_answer(removed.await)
    }

    async fn cancel_basket(&self, request: Request<pb::CancelBasketRequest>) -> Answer<pb::Basket> {
        let call = grpc::call(&request, "CancelBasket");
        let basket = basket_id(&request.get_ref().basket_id)?;
        basket_answer(self.shell.call(call, move |_, unit| handlers::cancel_basket(unit, basket)).await)
    }

    async fn get_basket(&self, request: Request<pb::GetBasketRequest>) -> Answer<pb::Basket> {
        let id = basket_id(&request.get_ref().basket_id)?;
        let basket = self.shell.get::<Basket>(id.into()).await.map_err(wire::status)?;
        let basket = basket.ok_or_else(|| wire::status(CallError::Refused(unknown("basket", id))))?;
        let products = self.products(&basket).await.map_err(wire::status)?;
        Ok(Response::new(wire::basket(handlers::view(id, basket, &products))))
    }

    async fn checkout(&self, request: Request<pb::CheckoutRequest>) -> Answer<pb::Order> {
        let input = request.get_ref();
        if input.idempotency_key.is_empty() {
            return Err(invalid("idempotency_key", "give a key that names this checkout, 1 to 255 characters"));
        }
        let call = keyed(grpc::call(&request, "Checkout"), &input.idempotency_key, input)?.new_work();
        let checkout = wire::checkout(input)?;
        let id = checkout.basket_id;
        let call = call.order(id);
        let placed = self.shell.call(call, move |_, unit| handlers::checkout(unit, &checkout)).await;
        order_answer(placed.map(|order| (id.into(), order)))
    }

    async fn get_order(&self, request: Request<pb::GetOrderRequest>) -> Answer<pb::Order> {
        let id = order_id(&request.get_ref().order_id)?;
        let found = self.shell.get::<Order>(id.into()).await;
        let known = |order: Option<Order>| order.ok_or_else(|| CallError::Refused(unknown("order", id)));
        order_answer(found.and_then(known).map(|order| (id.into(), order)))
    }

    async fn list_orders(&self, request: Request<pb::ListOrdersRequest>) -> Answer<pb::ListOrdersResponse> {
        let input = request.into_inner();
        let query = ports::Query { status: order_status(&input.status)?, ..page(input.page)? };
        let found = self.shell.list::<Order>(&query).await.map_err(wire::status)?;
        let next_page_token = next_token(&query, &found);
        Ok(Response::new(pb::ListOrdersResponse {
            orders: found.into_iter().map(wire::order).collect(),
            next_page_token,
        }))
    }

    async fn cancel_order(&self, request: Request<pb::CancelOrderRequest>) -> Answer<pb::CancelOrderResponse> {
        let (call, input) = (grpc::call(&request, "CancelOrder"), request.get_ref());
        let id = order_id(&input.order_id)?;
        let (reason, by) = (text("reason", &input.reason)?, text("by", &input.by)?);
        let asked =
            self.shell.call(call.order(id), move |_, unit| handlers::cancel_order(unit, id, &reason, &by)).await;
        asked.map(|()| Response::new(pb::CancelOrderResponse {})).map_err(wire::status)
    }

    async fn request_return(&self, request: Request<pb::RequestReturnRequest>) -> Answer<pb::RequestReturnResponse> {
        let input = request.get_ref();
        let call = keyed(grpc::call(&request, "RequestReturn"), &input.idempotency_key, input)?;
        let id = order_id(&input.order_id)?;
        let (reason, by) = (text("reason", &input.reason)?, text("by", &input.by)?);
        let call = call.order(id).new_work();
        let asked = self.shell.call(call, move |_, unit| handlers::request_return(unit, id, &reason, &by)).await;
        asked
            .map(|return_id| Response::new(pb::RequestReturnResponse { return_id: return_id.to_string() }))
            .map_err(wire::status)
    }
}

impl<S: ports::Store> Api<S> {
    /// What our copy of the catalogue has of the basket's items, in their order.
    async fn products(&self, basket: &Basket) -> Result<Vec<Option<CatalogueProduct>>, CallError> {
        let mut products = Vec::with_capacity(basket.items.len());
        for item in &basket.items {
            products.push(self.shell.get::<CatalogueProduct>(item.product_id.into()).await?);
        }
        Ok(products)
    }
}

fn basket_answer(result: Result<BasketView, CallError>) -> Answer<pb::Basket> {
    result.map(|view| Response::new(wire::basket(view))).map_err(wire::status)
}

fn order_answer(result: Result<(Uuid, Order), CallError>) -> Answer<pb::Order> {
    result.map(|found| Response::new(wire::order(found))).map_err(wire::status)
}

fn order_status(status: &str) -> Result<Option<String>, Status> {
    let known = status.is_empty() || OrderStatus::ALL.iter().any(|s| s.as_str() == status);
    let names = OrderStatus::ALL.map(OrderStatus::as_str).join(", ");
    let unknown = || invalid("status", format!("give one of {names}, or nothing for all"));
    known.then(|| wire::wanted(status)).ok_or_else(unknown)
}
