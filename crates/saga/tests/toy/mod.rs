// The toy saga of this crate's tests: a trip. A seat is held; a bag is reserved once the passport was checked, while a
// meal is booked beside it; paying is the pivot; the ticket is sent.

use message::{Command, Event, Message, Refusal, Reply};
use saga::{Cause, RetryPolicy, Saga, branch, call, started, wait_for};
use serde::{Deserialize, Serialize};

macro_rules! messages {
    ($($name:ident { $($field:ident: $type:ty),* } on $topic:literal as $kind:ident $(-> $reply:ident)?;)*) => {$(
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub struct $name { $(pub $field: $type),* }
        impl Message for $name {
            const NAME: &'static str = concat!("mallbots.toy.", stringify!($name));
            const TOPIC: &'static str = $topic;
        }
        impl $kind for $name { $(type Reply = $reply;)? }
    )*};
}

messages! {
    TripAsked { trip: u32, price: i64, no_meal: bool } on "toy.events" as Event;
    CancelAsked { trip: u32, reason: String, by: String } on "toy.events" as Event;
    PassportChecked { trip: u32, valid: bool } on "toy.events" as Event;
    MealChosen { trip: u32 } on "toy.events" as Event;
    CloseTrip { trip: u32, code: String, cancelled: bool } on "toy.commands" as Command -> TripClosed;
    TripClosed {} on "replies" as Reply;
    HoldSeat { trip: u32 } on "toy.commands" as Command -> SeatHeld;
    SeatHeld { seat: u32 } on "replies" as Reply;
    FreeSeat { trip: u32 } on "toy.commands" as Command -> SeatFreed;
    SeatFreed {} on "replies" as Reply;
    ReserveBag { trip: u32 } on "toy.commands" as Command -> BagReserved;
    BagReserved {} on "replies" as Reply;
    ReleaseBag { trip: u32 } on "toy.commands" as Command -> BagReleased;
    BagReleased {} on "replies" as Reply;
    BookMeal { trip: u32 } on "toy.commands" as Command -> MealBooked;
    MealBooked {} on "replies" as Reply;
    CancelMeal { trip: u32 } on "toy.commands" as Command -> MealCancelled;
    MealCancelled {} on "replies" as Reply;
    Pay { trip: u32, amount: i64 } on "toy.commands" as Command -> Paid;
    Paid { amount: i64 } on "replies" as Reply;
    SendTicket { trip: u32, seat: u32 } on "toy.commands" as Command -> TicketSent;
    TicketSent {} on "replies" as Reply;
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    pub trip: u32,
    pub price: i64,
    pub no_meal: bool,
    pub seat: u32,
    pub valid: bool,
    pub paid: i64,
}

pub fn trip() -> Saga<Trip> {
    Saga::named("trip", 1)
        .starts_on(trip_of)
        .key(|t: &Trip| format!("trip-{}", t.trip))
        .signal("cancel", |e: &CancelAsked| (format!("trip-{}", e.trip), e.reason.clone(), e.by.clone()))
        .step(started("trip-asked").undo(close_trip))
        .step(call(hold_seat).keep(seat).retry(RETRY).undo(free_seat))
        .together([
            branch()
                .step(wait_for("passport-checked", passport_of).keep(passport).fails_when(not_valid).deadline_s(600))
                .step(call(reserve_bag).sends(2).undo(release_bag).undo_retry(UNDO_RETRY)),
            branch()
                .step(wait_for("meal-chosen", meal_of).unless(no_meal).deadline_s(1800))
                .step(call(book_meal).undo(cancel_meal)),
        ])
        .pivot(call(pay).keep(paid).retry(RETRY).sends(3))
        .step(call(send_ticket).sends(4))
        .build()
}

pub const RETRY: RetryPolicy = RetryPolicy::Fixed { ms: 1_000, budget: 2 };
pub const UNDO_RETRY: RetryPolicy = RetryPolicy::Exponential { base_ms: 100, max_ms: 5_000, budget: 3 };

pub fn asked() -> TripAsked {
    TripAsked { trip: 7, price: 100, no_meal: false }
}

pub fn trip_of(e: &TripAsked) -> Trip {
    Trip { trip: e.trip, price: e.price, no_meal: e.no_meal, seat: 0, valid: false, paid: 0 }
}

pub fn close_trip(t: &Trip, cause: &Cause) -> CloseTrip {
    CloseTrip { trip: t.trip, code: cause.code.clone(), cancelled: cause.is_cancellation() }
}

pub fn hold_seat(t: &Trip) -> HoldSeat {
    HoldSeat { trip: t.trip }
}

pub fn seat(t: &mut Trip, reply: SeatHeld) {
    t.seat = reply.seat;
}

pub fn free_seat(t: &Trip) -> FreeSeat {
    FreeSeat { trip: t.trip }
}

pub fn passport_of(e: &PassportChecked) -> String {
    format!("trip-{}", e.trip)
}

pub fn passport(t: &mut Trip, e: PassportChecked) {
    t.valid = e.valid;
}

pub fn not_valid(t: &Trip) -> Option<Refusal> {
    (!t.valid).then(|| Refusal::new("toy.passport_not_valid", "the passport is not valid"))
}

pub fn reserve_bag(t: &Trip) -> ReserveBag {
    ReserveBag { trip: t.trip }
}

pub fn release_bag(t: &Trip) -> ReleaseBag {
    ReleaseBag { trip: t.trip }
}

pub fn meal_of(e: &MealChosen) -> String {
    format!("trip-{}", e.trip)
}

pub fn no_meal(t: &Trip) -> bool {
    t.no_meal
}

pub fn book_meal(t: &Trip) -> BookMeal {
    BookMeal { trip: t.trip }
}

pub fn cancel_meal(t: &Trip) -> CancelMeal {
    CancelMeal { trip: t.trip }
}

pub fn pay(t: &Trip) -> Pay {
    Pay { trip: t.trip, amount: t.price }
}

pub fn paid(t: &mut Trip, reply: Paid) {
    t.paid = reply.amount;
}

pub fn send_ticket(t: &Trip) -> SendTicket {
    SendTicket { trip: t.trip, seat: t.seat }
}
