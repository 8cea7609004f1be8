"""What a participant of the platform needs, whatever its business: fence, outbox and relay over SQLite, and the loop that
obeys commands.

The promises it keeps (ARCHITECTURE.md has them as I5, I7 and I10):
- a command's effect is carried out at most once per effect key (saga, step, direction, round); a repeat gets the first
  answer again, to the letter, with the attempt of the command that asks;
- an undo that comes before its do bars the do;
- state, fence and outgoing messages change in one transaction, so that a kill at any moment loses and doubles nothing;
- each stream (source, aggregate, topic) is numbered 1, 2, 3 … and sent in that order, perhaps more than once.

The store is one file, so one process at a time runs on it. With a database server in its place, several could share it.
"""

import json
import secrets
import sqlite3
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

TABLES = """
CREATE TABLE IF NOT EXISTS fence (
    saga_id TEXT, effect TEXT, question TEXT, outcome TEXT, name TEXT, value BLOB, PRIMARY KEY (saga_id, effect));
CREATE TABLE IF NOT EXISTS stream (subject TEXT, topic TEXT, last_seq INTEGER, PRIMARY KEY (subject, topic));
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, key TEXT, headers TEXT, value BLOB);
CREATE TABLE IF NOT EXISTS parked (
    topic TEXT, part INTEGER, offset INTEGER, reason TEXT, value BLOB, PRIMARY KEY (topic, part, offset));
"""
BATCH = 100
SAGA_HEADERS = ("saga_id", "saga_type", "saga_step", "saga_direction", "saga_round", "saga_attempt", "reply_to")


@dataclass
class Reply:
    """A command's successful answer: the record's short name and its body."""
    name: str
    body: dict = field(default_factory=dict)


@dataclass
class Refusal:
    """A business "no": a normal answer, with a stable code and a sentence a person can read."""
    code: str
    message: str
    retryable: bool = False


@dataclass
class Ask:
    """What has to be asked outside before the command can be answered; kept in the fence until it is, as JSON."""
    question: dict


@dataclass
class Command:
    name: str
    key: str
    headers: dict
    body: dict

    @property
    def effect(self):
        return self.effect_of(self.headers["saga_direction"])

    def effect_of(self, direction):
        return f"{self.headers['saga_step']}/{direction}/{self.headers['saga_round']}"

    @property
    def effect_key(self):
        return f"{self.headers['saga_id']}/{self.effect}"

    @property
    def is_undo(self):
        return self.headers["saga_direction"] == "undo"


class Codec:
    """Avro in Confluent's wire format, with the schemas that the registry has under the records' full names."""

    def __init__(self, registry_url):
        self.registry = SchemaRegistryClient({"url": registry_url})
        naming = {"subject.name.strategy": record_subject_name_strategy}
        self.deserialize = AvroDeserializer(self.registry, conf=naming)
        self.conf = {**naming, "auto.register.schemas": False, "use.latest.version": True}
        self.serializers = {}

    def encode(self, topic, name, body):
        if name not in self.serializers:
            schema = self.registry.get_latest_version(name).schema
            self.serializers[name] = AvroSerializer(self.registry, schema, conf=self.conf)
        return self.serializers[name](body, SerializationContext(topic, MessageField.VALUE))

    def fetch_schema(self, value):
        """Learns the schema that a value was written with. A registry that cannot be asked is an error, which ends the
        process before anything was taken; one that knows no such schema is not: the value will not decode."""
        if value and value[0] == 0:
            try:
                self.registry.get_schema(int.from_bytes(value[1:5], "big"))
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise

    def decode(self, topic, value):
        return self.deserialize(value, SerializationContext(topic, MessageField.VALUE))


class Unit:
    """One transaction: what a handler reads and writes, and what it says to the world."""

    def __init__(self, db, codec, context, headers=None, effect_key=""):
        self.db, self.codec, self.context = db, codec, context
        self.headers, self.effect_key = headers or {}, effect_key

    def run(self, sql, *values):
        return self.db.execute(sql, values)

    def one(self, sql, *values):
        return self.db.execute(sql, values).fetchone()

    def emit(self, kind, key, name, body):
        """Publishes an event of the aggregate (`kind`, `key`)."""
        name, topic = f"mallbots.{self.context}.{name}", f"mallbots.{self.context}.events"
        self.send(f"{kind}/{key}", topic, key, name, self.codec.encode(topic, name, body))

    def send(self, subject, topic, key, name, value, more=None):
        """Puts a record into the outbox, with the next number of its stream."""
        seq, = self.one("INSERT INTO stream VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET last_seq = last_seq + 1 "
                        "RETURNING last_seq", subject, topic)
        headers = {
            "ce_specversion": "1.0",
            "ce_id": uuid7(),
            "ce_type": name,
            "ce_source": f"/mallbots/{self.context}",
            "ce_subject": subject,
            "ce_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "ce_sequence": str(seq),
            "content-type": "application/avro",
            **{name: self.headers[name] for name in ("traceparent", "correlation_id") if name in self.headers},
            **({"causation_id": self.headers["ce_id"]} if "ce_id" in self.headers else {}),
            **(more or {}),
        }
        self.run("INSERT INTO outbox (topic, key, headers, value) VALUES (?, ?, ?, ?)",
                 topic, key, json.dumps(headers), value)


class Participant:
    """`commands` has two functions for each short name: `first(unit, body)` gives a Reply, a Refusal or an Ask;
    `then(unit, body, heard)` gives a Reply or a Refusal once `ask(key, question)` was answered, outside any transaction
    and as often as it takes under the same key."""

    def __init__(self, context, commands, ask, tables, settings, codec=None):
        self.context, self.commands, self.ask, self.settings = context, commands, ask, settings
        self.topic = f"mallbots.{context}.commands"
        self.codec = codec or Codec(settings["registry"])
        # Transactions are begun by hand, see `transaction`.
        self.db = sqlite3.connect(settings["store"], isolation_level=None, check_same_thread=False)
        self.db.row_factory = sqlite3.Row
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES + tables)
        self.lock, self.unsent, self.stopping = threading.RLock(), threading.Event(), threading.Event()
        self.unsent.set()

    @contextmanager
    def transaction(self, headers=None, effect_key=""):
        with self.lock:
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield Unit(self.db, self.codec, self.context, headers, effect_key)
                self.db.execute("COMMIT")
            except BaseException:
                self.db.execute("ROLLBACK")
                raise
        self.unsent.set()

    # --- commands ---

    def obey(self):
        """Carries out commands until `stopping` is set. Offsets are committed after the work."""
        consumer = Consumer({
            "bootstrap.servers": self.settings["kafka"],
            "group.id": f"{self.settings['prefix']}{self.context}",
            # A restarted process takes its partitions back at once instead of waiting for its predecessor's session.
            "group.instance.id": f"{self.context}-1",
            "session.timeout.ms": 6000,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "check.crcs": True,
            "fetch.wait.max.ms": 50,
        })
        consumer.subscribe([self.settings["prefix"] + self.topic], on_assign=self.rewind)
        while not self.stopping.is_set():
            records = consumer.consume(BATCH, timeout=0.1)
            for record in records:
                if record.error():
                    raise KafkaException(record.error())
                self.take(record)
            if records:
                consumer.commit(asynchronous=False)
        consumer.close()

    def rewind(self, consumer, partitions):
        """Goes back by the number of records that was asked for: everything here must bear to be read again."""
        if back := self.settings["rewind"]:
            partitions = consumer.committed(partitions, timeout=10)
            for place in partitions:
                place.offset = max(place.offset - back, 0)
                print(f"reads partition {place.partition} again from {place.offset}", flush=True)
        consumer.assign(partitions)

    def take(self, record):
        """Obeys one record. What cannot be understood is set aside with the reason and holds nothing else up."""
        self.codec.fetch_schema(record.value())
        try:
            command = self.read(record)
        except Exception as why:  # whatever a stranger's bytes make the decoder say
            print(f"parked offset {record.offset()} of partition {record.partition()}: {why!r}", flush=True)
            with self.transaction() as unit:
                unit.run("INSERT OR IGNORE INTO parked VALUES (?, ?, ?, ?, ?)",
                         self.topic, record.partition(), record.offset(), repr(why), record.value())
            return
        question = self.begin(command)
        if question is not None:
            heard = self.ask(command.effect_key, question)
            with self.transaction(command.headers, command.effect_key) as unit:
                self.answer(unit, command, self.commands[command.name][1](unit, command.body, heard))

    def read(self, record):
        headers = {name: value.decode() for name, value in record.headers() or []}
        for name in ("ce_id", "ce_type", *SAGA_HEADERS):
            if not headers.get(name):
                raise ValueError(f"header {name} is missing")
        if headers["saga_direction"] not in ("do", "undo"):
            raise ValueError(f"direction {headers['saga_direction']}")
        name = headers["ce_type"].removeprefix(f"mallbots.{self.context}.")
        if name not in self.commands:
            raise ValueError(f"{headers['ce_type']} is not a command of this context")
        body = self.codec.decode(record.topic(), record.value())
        if body is None:
            raise ValueError("a command without a value")
        return Command(name, record.key().decode(), headers, body)

    def begin(self, command):
        """The fence. Answers the question that must be asked outside, if there is one."""
        saga_id = command.headers["saga_id"]
        find = "SELECT * FROM fence WHERE saga_id = ? AND effect = ?"
        with self.transaction(command.headers, command.effect_key) as unit:
            known = unit.one(find, saga_id, command.effect)
            if known and known["outcome"]:
                print(f"answers {command.effect_key} again", flush=True)
                self.reply(unit, command, known["outcome"], known["name"], known["value"])
                return None
            if known:  # we died between asking and hearing: the same key makes asking again harmless
                print(f"asks for {command.effect_key} again", flush=True)
                return json.loads(known["question"])
            barred = not command.is_undo and unit.one(find, saga_id, command.effect_of("undo"))
            unit.run("INSERT INTO fence (saga_id, effect) VALUES (?, ?)", saga_id, command.effect)
            if barred:
                result = Refusal("platform.barred", f"`{command.headers['saga_step']}` was undone before it arrived, "
                                 "so it is not carried out any more")
            else:
                result = self.commands[command.name][0](unit, command.body)
            if isinstance(result, Ask):
                unit.run("UPDATE fence SET question = ? WHERE saga_id = ? AND effect = ?",
                         json.dumps(result.question), saga_id, command.effect)
                return result.question
            self.answer(unit, command, result)
        return None

    def answer(self, unit, command, result):
        """Answers a command for the first time, and keeps the answer."""
        at = (command.headers["saga_id"], command.effect)
        reply_to = command.headers["reply_to"]
        if isinstance(result, Refusal):
            outcome, name = "refused", "mallbots.Refused"
            value = self.codec.encode(reply_to, name, vars(result))
        else:
            outcome, name = "ok", f"mallbots.{self.context}.{result.name}"
            value = self.codec.encode(reply_to, name, result.body)
        if outcome == "refused" and command.is_undo:
            # Not kept, so that the undo can be tried again.
            unit.run("DELETE FROM fence WHERE saga_id = ? AND effect = ?", *at)
        else:
            unit.run("UPDATE fence SET outcome = ?, name = ?, value = ? WHERE saga_id = ? AND effect = ?",
                     outcome, name, value, *at)
        self.reply(unit, command, outcome, name, value)

    def reply(self, unit, command, outcome, name, value):
        echoed = {name: command.headers[name] for name in SAGA_HEADERS}
        unit.send(f"fence/{command.headers['saga_id']}", command.headers["reply_to"], command.key, name, value,
                  {**echoed, "outcome": outcome})

    # --- the relay ---

    def relay(self):
        """Sends the outbox, oldest first, until `stopping` is set."""
        producer = Producer({
            "bootstrap.servers": self.settings["kafka"],
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "partitioner": "murmur2_random",
            # Tried until the broker has it: a message that was given up could be overtaken by the next of its stream.
            "message.timeout.ms": 0,
        })
        while not self.stopping.is_set():
            if not self.relay_once(producer):
                self.unsent.wait(timeout=1)
                self.unsent.clear()

    def relay_once(self, producer):
        """Sends up to a batch and removes what the broker has; answers how many."""
        with self.lock:
            rows = self.db.execute("SELECT * FROM outbox ORDER BY id LIMIT ?", (BATCH,)).fetchall()
        failures = []
        for row in rows:
            producer.produce(self.settings["prefix"] + row["topic"], row["value"], row["key"],
                             headers=list(json.loads(row["headers"]).items()),
                             on_delivery=lambda error, _: error and failures.append(error))
        producer.flush()
        if failures:
            raise KafkaException(failures[0])
        with self.lock:
            self.db.executemany("DELETE FROM outbox WHERE id = ?", [(row["id"],) for row in rows])
        return len(rows)


def uuid7():
    ms = time.time_ns() // 1_000_000
    bits = ms << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))
