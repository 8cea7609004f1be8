"""A complete payments service in Python: the example of a participant that is not written on the platform's own crates.

It takes the place of `mallbots payments`: obeys the commands of mallbots.payments.commands, asks the payment provider,
publishes mallbots.payments.events, and serves what others ask of payments by gRPC (schemas/proto/payments.proto),
the ledger that `mallctl verify` reads among it.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent import futures
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from participant import Ask, Participant, Refusal, Reply

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "schemas" / "proto"))
pb, services = grpc.protos_and_services("payments.proto")
common = grpc.protos("common.proto")

TABLES = """
CREATE TABLE IF NOT EXISTS payment (
    order_id TEXT PRIMARY KEY, status TEXT, amount INTEGER, currency TEXT, provider_ref TEXT DEFAULT '',
    captured INTEGER, refunded INTEGER, taken_by TEXT, code TEXT DEFAULT '', reason TEXT DEFAULT '',
    updated_at_ms INTEGER, version INTEGER DEFAULT 1);
CREATE TABLE IF NOT EXISTS invoice (
    order_id TEXT PRIMARY KEY, status TEXT, lines TEXT, total INTEGER, currency TEXT, issued_at_ms INTEGER);
CREATE TABLE IF NOT EXISTS ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT, order_id TEXT, operation TEXT, effect_key TEXT, amount INTEGER, currency TEXT,
    provider_ref TEXT, at_ms INTEGER);
"""
LIMIT = 1_000_000
ANSWER_WITHIN_S = 3
LONGEST_PAUSE_S = 5


# --- the payment ---

def payment_of(unit, order_id):
    return unit.one("SELECT * FROM payment WHERE order_id = ?", order_id)


def change(unit, order_id, **columns):
    columns["updated_at_ms"] = now_ms()
    names = ", ".join(f"{name} = ?" for name in columns)
    unit.run(f"UPDATE payment SET {names}, version = version + 1 WHERE order_id = ?", *columns.values(), order_id)


def note(unit, order_id, operation, amount):
    """What took effect at the provider, for the ledger."""
    payment = payment_of(unit, order_id)
    unit.run("INSERT INTO ledger (order_id, operation, effect_key, amount, currency, provider_ref, at_ms) "
             "VALUES (?, ?, ?, ?, ?, ?, ?)", order_id, operation, unit.effect_key if operation != "expire" else "",
             amount, payment["currency"], payment["provider_ref"], now_ms())


def emit(unit, order_id, name, **more):
    unit.emit("payment", order_id, name, {"payment_id": order_id, "order_id": order_id, **more})


def wrong_state(what, state, to):
    return Refusal("payments.wrong_state", f"the {what} is {state} and cannot become {to}")


def unknown():
    return Refusal("payments.unknown_payment", "no payment was asked for under this order")


# --- the commands: what is done at once, and what once the provider has answered ---

def authorize(unit, c):
    order_id, amount = c["order_id"], c["amount"]
    if payment := payment_of(unit, order_id):
        return wrong_state("payment", payment["status"], "authorizing")
    if amount["amount"] > LIMIT:
        return Refusal("payments.limit_exceeded", f"{amount['amount']} is above this customer's limit of {LIMIT}")
    unit.run("INSERT INTO payment (order_id, status, amount, currency) VALUES (?, 'authorizing', ?, ?)",
             order_id, amount["amount"], amount["currency"])
    hold = {"reference": order_id, "amount": amount["amount"], "currency": amount["currency"], "token": c["token"]}
    return Ask({"path": "/v1/holds", "body": hold})


def authorized(unit, c, heard):
    order_id, amount = c["order_id"], c["amount"]
    if no := heard.get("error"):
        refusal = Refusal("payments.declined", f"the payment was declined: {no['message']}", no["retryable"])
        change(unit, order_id, status="declined", code=refusal.code, reason=refusal.message)
        emit(unit, order_id, "PaymentDeclined", code=refusal.code, reason=refusal.message)
        return refusal
    change(unit, order_id, status="authorized", provider_ref=heard["provider_ref"])
    note(unit, order_id, "authorize", amount["amount"])
    emit(unit, order_id, "PaymentAuthorized", amount=amount)
    return Reply("PaymentHeld", {"provider_ref": heard["provider_ref"], "amount": amount})


def void(unit, c):
    payment = payment_of(unit, c["order_id"])
    if payment is None or payment["status"] in ("declined", "voided", "expired"):
        return Reply("PaymentReleased", {"done": True})
    if payment["status"] != "authorized":
        return Refusal("payments.already_captured", "the money was taken already; it can only be refunded")
    change(unit, c["order_id"], status="voiding")
    return Ask(on_hold(payment, "void", payment["amount"]))


def voided(unit, c, heard):
    order_id = c["order_id"]
    if no := heard.get("error"):
        # Nothing we could say would be true: a person must look at it. The saga tries again, then is stuck and visible.
        change(unit, order_id, status="authorized")
        return Refusal("payments.void_refused", f"the provider does not give the hold free: {no['message']}")
    change(unit, order_id, status="voided")
    note(unit, order_id, "void", payment_of(unit, order_id)["amount"])
    emit(unit, order_id, "PaymentVoided")
    return Reply("PaymentReleased", {"done": True})


def capture(unit, c):
    order_id, amount = c["order_id"], c["amount"]
    payment = payment_of(unit, order_id)
    if payment is None:
        return unknown()
    if payment["status"] == "expired":
        return Refusal("payments.hold_expired", "the money was held for too long and has been given free")
    if payment["status"] != "authorized":
        return wrong_state("payment", payment["status"], "capturing")
    if amount["currency"] != payment["currency"] or amount["amount"] > payment["amount"]:
        return Refusal("payments.exceeds_hold", f"{amount['amount']} cannot be taken, {payment['amount']} is held")
    change(unit, order_id, status="capturing")
    return Ask(on_hold(payment, "capture", amount["amount"]))


def captured(unit, c, heard):
    order_id, amount = c["order_id"], c["amount"]
    if no := heard.get("error"):
        if no["code"] == "hold_expired":
            change(unit, order_id, status="expired")
            note(unit, order_id, "expire", payment_of(unit, order_id)["amount"])
            emit(unit, order_id, "PaymentExpired")
            return Refusal("payments.hold_expired", "the money was held for too long and has been given free")
        change(unit, order_id, status="authorized")
        return Refusal("payments.capture_refused", f"the money was not handed over: {no['message']}", no["retryable"])
    change(unit, order_id, status="captured", captured=amount["amount"])
    note(unit, order_id, "capture", amount["amount"])
    emit(unit, order_id, "PaymentCaptured", amount=amount)
    return Reply("PaymentCollected", {"amount": amount})


def refund(unit, c):
    payment = payment_of(unit, c["order_id"])
    if payment is None:
        return unknown()
    if payment["status"] != "captured":
        return wrong_state("payment", payment["status"], "refunding")
    if c["amount"]["amount"] != payment["captured"]:
        return Refusal("payments.refund_differs", f"only whole orders are refunded, and {payment['captured']} was taken")
    change(unit, c["order_id"], status="refunding")
    return Ask(on_hold(payment, "refund", payment["captured"]))


def refunded(unit, c, heard):
    order_id, amount = c["order_id"], c["amount"]
    if no := heard.get("error"):
        change(unit, order_id, status="captured")
        return Refusal("payments.refund_refused", f"the money was not given back: {no['message']}", no["retryable"])
    change(unit, order_id, status="refunded", refunded=amount["amount"])
    note(unit, order_id, "refund", amount["amount"])
    emit(unit, order_id, "PaymentRefunded", amount=amount)
    if unit.run("UPDATE invoice SET status = 'credited' WHERE order_id = ? AND status = 'paid'", order_id).rowcount:
        credited = {"invoice_id": order_id, "order_id": order_id, "total": amount}
        unit.emit("invoice", order_id, "InvoiceCredited", credited)
    return Reply("RefundDone", {"amount": amount})


def issue_invoice(unit, c):
    """The invoice has its order's id: one invoice an order."""
    order_id, total = c["order_id"], c["total"]
    payment = payment_of(unit, order_id)
    if payment is None:
        return unknown()
    if payment["status"] != "captured":
        return wrong_state("payment", payment["status"], "invoiced")
    of_lines = sum(line["quantity"] * line["price"]["amount"] for line in c["lines"])
    if not total["amount"] == payment["captured"] == of_lines:
        return Refusal("payments.invoice_differs", f"an invoice over {total['amount']} does not fit {payment['captured']}")
    if unit.one("SELECT 1 FROM invoice WHERE order_id = ?", order_id) is None:
        unit.run("INSERT INTO invoice VALUES (?, 'paid', ?, ?, ?, ?)",
                 order_id, json.dumps(c["lines"]), total["amount"], total["currency"], now_ms())
        unit.emit("invoice", order_id, "InvoiceIssued", {"invoice_id": order_id, "order_id": order_id, "total": total})
    return Reply("InvoiceReady", {"invoice_id": order_id})


COMMANDS = {
    "AuthorizePayment": (authorize, authorized),
    "VoidPayment": (void, voided),
    "CapturePayment": (capture, captured),
    "RefundPayment": (refund, refunded),
    "IssueInvoice": (issue_invoice, None),
}


# --- the payment provider ---

def on_hold(payment, operation, amount):
    return {"path": f"/v1/holds/{payment['provider_ref']}/{operation}", "body": {"amount": amount}}


def acquirer(url):
    """Asks until there is an answer that decides. No answer, or 500, means that it may have acted: the same idempotency
    key makes it act once and answer alike."""

    def ask(key, question):
        pause = 0.1
        while True:
            request = urllib.request.Request(
                url + question["path"], json.dumps(question["body"]).encode(),
                {"Content-Type": "application/json", "Idempotency-Key": key})
            try:
                with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code == 402:
                    return json.load(error)
                why = f"status {error.code}"
            except OSError as error:
                why = str(error)
            print(f"no answer to {key} ({why}), asks again", flush=True)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    return ask


# --- what others ask by gRPC ---

class Api(services.PaymentsServicer):
    def __init__(self, participant):
        self.participant = participant

    def GetPayment(self, request, context):
        with self.participant.transaction() as unit:
            payment = payment_of(unit, request.order_id)
        if payment is None:
            refuse(context, grpc.StatusCode.NOT_FOUND, Refusal("payments.unknown_payment", "there is no such payment"))
        return shown(payment)

    def TakePayment(self, request, context):
        """The customer, or staff for them, confirms the payment: what fulfilment waits for. A repeat changes nothing."""
        trace = {name: value for name, value in context.invocation_metadata() if name == "traceparent"}
        with self.participant.transaction({**trace, "correlation_id": request.order_id}) as unit:
            payment, refusal = payment_of(unit, request.order_id), None
            if payment is None:
                refusal = unknown()
            elif payment["taken_by"] is None:
                if payment["status"] in ("authorized", "capturing", "captured"):
                    change(unit, request.order_id, taken_by=request.by)
                    emit(unit, request.order_id, "PaymentTaken", by=request.by)
                else:
                    refusal = Refusal("payments.not_authorized", f"no money is held: the payment is {payment['status']}")
            payment = payment_of(unit, request.order_id)
        if refusal:
            refuse(context, grpc.StatusCode.FAILED_PRECONDITION, refusal)
        return shown(payment)

    def ListLedger(self, request, context):
        with self.participant.transaction() as unit:
            rows = unit.run("SELECT * FROM ledger WHERE ? IN ('', order_id) ORDER BY order_id, id",
                            request.order_id).fetchall()
        for row in rows:
            yield pb.LedgerEntry(
                order_id=row["order_id"], operation=row["operation"], effect_key=row["effect_key"],
                amount=money(row["amount"], row["currency"]), provider_ref=row["provider_ref"], at_ms=row["at_ms"])


def refuse(context, status, refusal):
    context.set_trailing_metadata((("mallbots-code", refusal.code),))
    context.abort(status, refusal.message)


def money(amount, currency):
    return common.Money(amount=amount, currency=currency)


def shown(payment):
    money_of = {name: money(payment[name], payment["currency"]) for name in ("amount", "captured", "refunded")
                if payment[name] is not None}
    return pb.Payment(
        payment_id=payment["order_id"], order_id=payment["order_id"], status=payment["status"], **money_of,
        provider_ref=payment["provider_ref"], taken=payment["taken_by"] is not None, code=payment["code"],
        reason=payment["reason"], updated_at_ms=payment["updated_at_ms"] or 0, version=payment["version"])


def now_ms():
    return time.time_ns() // 1_000_000


# --- the process ---

def arguments():
    parser = argparse.ArgumentParser(
        description="Payments of the mall, in Python. Servers and addresses are named by MALLBOTS_KAFKA, "
        "MALLBOTS_REGISTRY, MALLBOTS_TOPIC_PREFIX, MALLBOTS_PAYMENTS_LISTEN and MALLBOTS_PAYMENTS_ACQUIRER_URL.",
        epilog="Example: payments.py --store payments.db (and, beside it, `mallbots all --without payments`)")
    parser.add_argument("--store", required=True, help="the file that holds state, fences and outbox")
    parser.add_argument("--rewind", type=int, default=0, metavar="N",
                        help="first read the last N commands of each partition again: changes nothing but the answers sent")
    return parser.parse_args()


def serve(participant, listen):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    services.add_PaymentsServicer_to_server(Api(participant), server)
    healthy = health.HealthServicer()
    healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(listen)
    server.start()
    return server


def main():
    options, env = arguments(), os.environ
    settings = {"kafka": env["MALLBOTS_KAFKA"], "registry": env["MALLBOTS_REGISTRY"], "store": options.store,
                "prefix": env.get("MALLBOTS_TOPIC_PREFIX", ""), "rewind": options.rewind}
    ask = acquirer(env.get("MALLBOTS_PAYMENTS_ACQUIRER_URL", "http://127.0.0.1:8200"))
    participant = Participant("payments", COMMANDS, ask, TABLES, settings)
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: participant.stopping.set())
    server = serve(participant, env.get("MALLBOTS_PAYMENTS_LISTEN", "127.0.0.1:7103"))
    relay = threading.Thread(target=run_or_end, args=(participant.relay,))
    relay.start()
    participant.obey()
    relay.join()
    server.stop(grace=1).wait()


def run_or_end(work):
    """A relay that cannot go on ends the process: whoever supervises it starts it again."""
    try:
        work()
    except BaseException as error:
        print(f"the relay cannot go on: {error!r}", flush=True)
        os._exit(1)


if __name__ == "__main__":
    main()
