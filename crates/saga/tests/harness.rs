//! The toy saga passes the harness that every saga passes.

mod toy;

use saga::harness::{Script, check};
use toy::*;

fn script() -> Script {
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

#[test]
fn every_scenario_of_the_toy_saga_ends_with_a_clean_slate() {
    assert!(check(&trip(), &asked(), &script()) > 100);
}

#[test]
fn so_does_every_scenario_in_which_one_wait_is_passed_by() {
    assert!(check(&trip(), &TripAsked { no_meal: true, ..asked() }, &script()) > 100);
}
