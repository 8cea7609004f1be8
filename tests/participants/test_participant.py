"""The promises of participant.py, one test each: without Kafka, with a codec that writes JSON."""

import json
import sqlite3
import unittest
import uuid

from participant import Ask, Participant, Refusal, Reply

SAGA = str(uuid.UUID(int=1))


class JsonCodec:
    def fetch_schema(self, value):
        pass

    def encode(self, topic, name, body):
        return json.dumps(body).encode()

    def decode(self, topic, value):
        return json.loads(value)


class Record:
    """A consumed record, as far as participants look."""

    def __init__(self, headers, value):
        self.headers_, self.value_ = headers, value

    def headers(self):
        return [(name, value.encode()) for name, value in self.headers_.items()]

    def value(self):
        return self.value_

    def key(self):
        return b"order"

    def topic(self):
        return "mallbots.toy.commands"

    def partition(self):
        return 0

    def offset(self):
        return 7


def command(name, direction="do", round=1, attempt=1, **body):
    headers = {
        "ce_id": str(uuid.uuid4()), "ce_type": f"mallbots.toy.{name}", "saga_id": SAGA, "saga_type": "toy",
        "saga_step": "hold", "saga_direction": direction, "saga_round": str(round), "saga_attempt": str(attempt),
        "reply_to": "replies"}
    return Record(headers, json.dumps(body).encode())


class Killed(BaseException):
    """The process ends here."""


class Promises(unittest.TestCase):
    def setUp(self):
        self.asked, self.heard, self.undo = [], {"ok": True}, Reply("Undone")
        self.participant = self.fresh(":memory:")

    def fresh(self, store):
        commands = {"Do": (lambda unit, body: Ask({"what": body["what"]}), self.then),
                    "Undo": (lambda unit, body: self.undo, None)}
        settings = {"registry": "", "kafka": "", "prefix": "", "store": store, "rewind": 0}
        return Participant("toy", commands, self.ask, "", settings, JsonCodec())

    def then(self, unit, body, heard):
        unit.emit("thing", "1", "Held", {})
        return Reply("Done", heard)

    def ask(self, key, question):
        self.asked.append((key, question))
        if self.heard is None:
            raise Killed
        return self.heard

    def sent(self, topic="replies"):
        rows = self.participant.db.execute("SELECT headers, value FROM outbox WHERE topic = ? ORDER BY id", (topic,))
        return [(json.loads(headers), json.loads(value)) for headers, value in rows]

    def outcomes(self):
        return [(h["ce_type"].split(".")[-1], h["outcome"], h["saga_attempt"]) for h, _ in self.sent()]

    def test_a_repeated_do_acts_once_and_gets_the_first_answer_with_its_own_attempt(self):
        for attempt in (1, 2):
            self.heard = {"attempt": attempt}
            self.participant.take(command("Do", attempt=attempt, what="x"))
        self.assertEqual(self.outcomes(), [("Done", "ok", "1"), ("Done", "ok", "2")])
        self.assertEqual([body for _, body in self.sent()], [{"attempt": 1}] * 2)
        self.assertEqual((len(self.asked), len(self.sent("mallbots.toy.events"))), (1, 1))

    def test_an_undo_before_its_do_bars_the_do(self):
        self.participant.take(command("Undo", direction="undo"))
        self.participant.take(command("Do", what="x"))
        self.participant.take(command("Do", what="x", attempt=2))
        self.assertEqual(self.outcomes(), [("Undone", "ok", "1"), ("Refused", "refused", "1"), ("Refused", "refused", "2")])
        self.assertEqual(self.sent()[1][1]["code"], "platform.barred")
        self.assertEqual(self.asked, [])

    def test_another_round_is_another_effect(self):
        for round in (1, 2):
            self.participant.take(command("Do", round=round, what="x"))
        self.assertEqual(len(self.asked), 2)

    def test_a_refused_undo_can_be_tried_again(self):
        self.undo = Refusal("toy.busy", "not now")
        self.participant.take(command("Undo", direction="undo"))
        self.undo = Reply("Undone")
        self.participant.take(command("Undo", direction="undo", attempt=2))
        self.assertEqual(self.outcomes(), [("Refused", "refused", "1"), ("Undone", "ok", "2")])

    def test_who_dies_between_asking_and_hearing_asks_again_under_the_same_key(self):
        self.heard = None
        with self.assertRaises(Killed):
            self.participant.take(command("Do", what="x"))
        self.assertEqual(self.outcomes(), [])
        self.heard = {}
        self.participant.take(command("Do", what="x"))
        self.assertEqual(self.asked, [(f"{SAGA}/hold/do/1", {"what": "x"})] * 2)
        self.assertEqual(self.outcomes(), [("Done", "ok", "1")])

    def test_what_cannot_be_understood_is_set_aside_and_holds_nothing_up(self):
        for record in (Record({}, b"{}"), command("Strange"), Record(dict(command("Do").headers_), b"rubbish")):
            record.offset = lambda at=len(self.participant.db.execute("SELECT * FROM parked").fetchall()): at
            self.participant.take(record)
        self.assertEqual(len(self.participant.db.execute("SELECT * FROM parked").fetchall()), 3)
        self.participant.take(command("Do", what="x"))
        self.assertEqual(len(self.outcomes()), 1)

    def test_a_stream_is_numbered_without_gaps_also_over_a_transaction_that_failed(self):
        self.participant.take(command("Do", what="x"))
        with self.assertRaises(sqlite3.Error), self.participant.transaction() as unit:
            unit.emit("thing", "1", "Held", {})
            unit.run("SELECT nonsense")
        self.participant.take(command("Do", round=2, what="x"))
        numbers = [(h["ce_subject"], h["ce_sequence"]) for h, _ in self.sent("mallbots.toy.events")]
        self.assertEqual(numbers, [("thing/1", "1"), ("thing/1", "2")])


if __name__ == "__main__":
    unittest.main()
