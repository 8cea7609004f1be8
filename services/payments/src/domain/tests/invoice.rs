//! Invoices: over what was taken and collected, once, credited once.

use super::*;

fn line(price: i64, quantity: i32) -> OrderLine {
    OrderLine {
        product_id: Uuid::from_u128(3).into(),
        store_id: Uuid::from_u128(4).into(),
        name: "Tea".into(),
        quantity: Quantity::try_from(quantity).unwrap(),
        price: eur(price),
        volume_ml: 10,
    }
}

fn invoice() -> Invoice {
    Invoice::issue(&captured(), vec![line(30, 2), line(20, 1)], eur(80), T0).unwrap()
}

#[test]
fn an_invoice_is_over_what_was_taken_and_collected() {
    assert_eq!(invoice().status, InvoiceStatus::Paid);
    let code = |p: Payment, lines, total| Invoice::issue(&p, lines, eur(total), T0).unwrap_err().code;
    assert_eq!(code(captured(), vec![line(30, 2)], 60), "payments.invoice_differs");
    assert_eq!(code(captured(), vec![line(30, 2)], 80), "payments.invoice_differs");
    assert_eq!(code(captured(), vec![line(i64::MAX, 2)], 80), "payments.bad_amount");
    for payment in each_state().into_iter().filter(|p| p.state.name() != "captured") {
        assert_eq!(code(payment, vec![line(80, 1)], 80), "payments.wrong_state");
    }
}

#[test]
fn an_invoice_is_issued_once_and_credited_once() {
    assert_eq!(invoice().issued_before(eur(80)), Ok(invoice().invoice_id));
    assert_eq!(invoice().issued_before(eur(81)).unwrap_err().code, "payments.invoice_differs");
    let credited = invoice().credit().unwrap();
    assert_eq!(credited.issued_before(eur(80)).unwrap_err().code, "payments.wrong_state");
    assert_eq!(credited.credit(), None);
}
