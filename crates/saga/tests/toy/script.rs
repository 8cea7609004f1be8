//! What the world answers to the toy saga when all goes well, for the harness.

use super::*;

pub fn script() -> Script {
    Script::new()
        .answer::<HoldSeat>(SeatHeld { seat: 12 })
        .answer::<FreeSeat>(SeatFreed {})
        .answer::<ReserveBag>(BagReserved {})
        .answer::<ReleaseBag>(BagReleased {})
        .answer::<BookMeal>(MealBooked {})
        .answer::<CancelMeal>(MealCancelled {})
        .answer::<Pay>(Paid { amount: 100 })
        .answer::<SendTicket>(TicketSent {})
        .answer::<CloseTrip>(TripClosed {})
        .event(PassportChecked { trip: 7, valid: true })
        .event(MealChosen { trip: 7 })
}
