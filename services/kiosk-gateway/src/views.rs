//! What kiosks see: the API's own types, so that the services' wire may change without breaking a kiosk.

use schemas::{
    grpc::{common, orders, payments, stores},
    lines, money,
};
use serde::Serialize;
use utoipa::ToSchema;

/// An amount of money; never a float.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Money {
    /// Minor units, for example cents.
    #[schema(example = 1299)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
}

/// A place on the mall's grid; the depot is its origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Location {
    /// Floor, 0 at the ground.
    pub level: i32,
    /// Metres.
    pub x: i32,
    /// Metres.
    pub y: i32,
}

/// A store that takes orders.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Store {
    #[schema(format = Uuid)]
    pub store_id: String,
    pub name: String,
    pub location: Option<Location>,
}

/// One page of stores, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StorePage {
    pub stores: Vec<Store>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A product that can be ordered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Product {
    #[schema(format = Uuid)]
    pub product_id: String,
    #[schema(format = Uuid)]
    pub store_id: String,
    pub name: String,
    /// Of one piece, now; the price is fixed at checkout.
    pub price: Option<Money>,
    /// Of one piece, in millilitres.
    pub volume_ml: i32,
}

/// One page of a store's products, oldest first. May hold fewer than were asked for, even none, and not be the last:
/// products that cannot be ordered are left out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProductPage {
    pub products: Vec<Product>,
    /// Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// One product of a basket or an order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Line {
    #[schema(format = Uuid)]
    pub product_id: String,
    #[schema(format = Uuid)]
    pub store_id: String,
    pub name: String,
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: u32,
    /// Of one piece.
    pub price: Option<Money>,
    /// Of one piece, in millilitres.
    pub volume_ml: i32,
}

/// Some pieces of one product.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LineCount {
    #[schema(format = Uuid)]
    pub product_id: String,
    #[schema(minimum = 1, maximum = 999)]
    pub quantity: u32,
}

/// What a customer has chosen so far.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Basket {
    #[schema(format = Uuid)]
    pub basket_id: String,
    /// `open`, `checked_out`, `cancelled` or `abandoned`.
    #[schema(example = "open")]
    pub status: String,
    /// With the prices of now.
    pub lines: Vec<Line>,
    /// Absent while the basket is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Money>,
}

/// An order. It has its basket's id.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Order {
    #[schema(format = Uuid)]
    pub order_id: String,
    /// `pending`, `approved`, `shopping`, `ready`, `completed`, `rejected`, `cancelling`, `cancelled`, `returning` or
    /// `refunded`.
    #[schema(example = "approved")]
    pub status: String,
    pub lines: Vec<Line>,
    /// From `ready` on, of what was collected.
    pub total: Option<Money>,
    /// Of all lines together, in millilitres.
    pub volume_ml: i32,
    pub pay_on_arrival: bool,
    /// Number of the bay where the items wait; absent before `ready`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bay: Option<i32>,
    /// What was not found; known from `ready` on.
    pub missing: Vec<LineCount>,
    /// Why it was rejected or cancelled, as a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub placed_at_ms: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at_ms: i64,
}

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Payment {
    #[schema(format = Uuid)]
    pub order_id: String,
    /// `authorizing`, `authorized`, `declined`, `voiding`, `voided`, `capturing`, `captured`, `refunding`, `refunded` or
    /// `expired`.
    #[schema(example = "authorized")]
    pub status: String,
    /// What is held.
    pub amount: Option<Money>,
    /// Whether the customer confirmed the payment.
    pub confirmed: bool,
}

fn filled<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn all<A, B: From<A>>(items: Vec<A>) -> Vec<B> {
    items.into_iter().map(B::from).collect()
}

impl From<common::Money> for Money {
    fn from(m: common::Money) -> Self {
        Self { amount: m.amount, currency: m.currency }
    }
}

impl From<money::Money> for Money {
    fn from(m: money::Money) -> Self {
        Self { amount: m.amount, currency: m.currency.to_string() }
    }
}

impl From<common::LineCount> for LineCount {
    fn from(l: common::LineCount) -> Self {
        Self { product_id: l.product_id, quantity: l.quantity }
    }
}

impl From<lines::LineCount> for LineCount {
    fn from(l: lines::LineCount) -> Self {
        common::LineCount::from(l).into()
    }
}

impl From<common::OrderLine> for Line {
    fn from(l: common::OrderLine) -> Self {
        Self {
            product_id: l.product_id,
            store_id: l.store_id,
            name: l.name,
            quantity: l.quantity,
            price: l.price.map(Into::into),
            volume_ml: l.volume_ml,
        }
    }
}

impl From<common::Location> for Location {
    fn from(l: common::Location) -> Self {
        Self { level: l.level, x: l.x, y: l.y }
    }
}

impl From<stores::Store> for Store {
    fn from(s: stores::Store) -> Self {
        Self { store_id: s.store_id, name: s.name, location: s.location.map(Into::into) }
    }
}

impl From<stores::ListStoresResponse> for StorePage {
    fn from(page: stores::ListStoresResponse) -> Self {
        Self { stores: all(page.stores), next_page_token: filled(page.next_page_token) }
    }
}

impl From<stores::Product> for Product {
    fn from(p: stores::Product) -> Self {
        Self {
            product_id: p.product_id,
            store_id: p.store_id,
            name: p.name,
            price: p.price.map(Into::into),
            volume_ml: p.volume_ml,
        }
    }
}

impl From<stores::ListProductsResponse> for ProductPage {
    fn from(page: stores::ListProductsResponse) -> Self {
        let offered = page.products.into_iter().filter(|p| p.status == "listed").collect();
        Self { products: all(offered), next_page_token: filled(page.next_page_token) }
    }
}

impl From<orders::Basket> for Basket {
    fn from(b: orders::Basket) -> Self {
        Self { basket_id: b.basket_id, status: b.status, lines: all(b.lines), total: b.total.map(Into::into) }
    }
}

impl From<orders::Order> for Order {
    fn from(o: orders::Order) -> Self {
        Self {
            order_id: o.order_id,
            status: o.status,
            lines: all(o.lines),
            total: o.total.map(Into::into),
            volume_ml: o.volume_ml,
            pay_on_arrival: o.pay_on_arrival,
            bay: filled(o.bay),
            missing: all(o.missing),
            code: filled(o.code),
            reason: filled(o.reason),
            placed_at_ms: o.placed_at_ms,
            updated_at_ms: o.updated_at_ms,
        }
    }
}

impl From<payments::Payment> for Payment {
    fn from(p: payments::Payment) -> Self {
        Self { order_id: p.order_id, status: p.status, amount: p.amount.map(Into::into), confirmed: p.taken }
    }
}
