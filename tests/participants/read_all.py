"""Reads every topic of the platform from its beginning, with nothing but the stock Kafka client of Python and its registry
deserializer, and counts what is there. Ends with 1 when a record cannot be read or its headers are not what crates/message/src/headers.rs lists.
"""

import argparse
import json
import os
import re
import sys
import uuid
from collections import Counter

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType
from confluent_kafka.schema_registry import SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

PATIENCE_S = 30
SHOWN = 20
SAGA_HEADERS = ("saga_id", "saga_type", "saga_step", "saga_direction", "saga_round", "saga_attempt")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Reader:
    def __init__(self, kafka, registry, prefix):
        self.prefix = prefix
        self.admin = AdminClient({"bootstrap.servers": kafka})
        # Partitions are assigned by hand and no offset is committed: the group's name is never used.
        self.consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"{prefix}read-all",
                                  "enable.auto.commit": False, "check.crcs": True})
        self.registry = SchemaRegistryClient({"url": registry})
        self.deserialize = AvroDeserializer(
            self.registry, conf={"subject.name.strategy": record_subject_name_strategy})
        self.counts, self.streams, self.broken = Counter(), set(), []

    def topics(self):
        known = self.consumer.list_topics(timeout=PATIENCE_S).topics
        return {name: topic.partitions for name, topic in sorted(known.items())
                if name.startswith(self.prefix + "mallbots.")}

    def compacted(self, topics):
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in topics]
        configs = self.admin.describe_configs(resources)
        return {r.name for r, config in configs.items() if "compact" in config.result()["cleanup.policy"].value}

    def read(self):
        """Every record that is there when it begins."""
        topics = self.topics()
        compacted = self.compacted(topics)
        left = {}
        for name, partitions in topics.items():
            for partition in partitions:
                low, high = self.consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=PATIENCE_S)
                if high > low:
                    left[(name, partition)] = high
        self.consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for name, partition in left])
        while left:
            record = self.consumer.poll(PATIENCE_S)
            if record is None:
                sys.exit(f"nothing more came for {PATIENCE_S} s, and these are not at their end: {sorted(left)}")
            if record.error():
                sys.exit(f"Kafka: {record.error()}")
            place = (record.topic(), record.partition())
            if place in left and record.offset() < left[place]:
                self.see(record, record.topic() in compacted)
            if place in left and record.offset() + 1 >= left[place]:
                del left[place]
        return topics

    def see(self, record, compacted):
        topic = record.topic().removeprefix(self.prefix)
        try:
            headers = checked(dict(record.headers() or []), topic, record.key())
            self.check_value(record, headers["ce_type"], compacted)
        except Exception as why:  # whatever makes a record unreadable is what this program is to find
            self.broken.append(f"{topic}[{record.partition()}]@{record.offset()}: {why!r}")
            return
        kind = headers["ce_type"] if record.value() is not None else f"{headers['ce_type']} (deleted)"
        self.counts[(topic, kind)] += 1
        self.streams.add((headers["ce_source"], headers["ce_subject"], topic))

    def check_value(self, record, name, compacted):
        value = record.value()
        if value is None:
            if not compacted:
                raise ValueError("no value, on a topic that is not compacted")
            return
        body = self.deserialize(value, SerializationContext(record.topic(), MessageField.VALUE))
        if not isinstance(body, dict):
            raise ValueError(f"the value is {body!r}, not a record")
        schema = json.loads(self.registry.get_schema(int.from_bytes(value[1:5], "big")).schema_str)
        written = f"{schema['namespace']}.{schema['name']}"
        if written != name:
            raise ValueError(f"ce_type is {name}, the value is {written}")


def checked(raw, topic, key):
    """The headers as text; an error names what is missing or malformed (CloudEvents 1.0, Kafka binding, binary mode)."""
    headers = {name: value.decode() for name, value in raw.items()}
    uuid.UUID(headers["ce_id"])
    if not key:
        raise ValueError("no key")
    if headers["ce_specversion"] != "1.0" or headers["content-type"] != "application/avro":
        raise ValueError("not a CloudEvent 1.0 in Avro")
    if not re.fullmatch(r"/mallbots/[a-z-]+", headers["ce_source"]) or "/" not in headers["ce_subject"]:
        raise ValueError(f"source {headers['ce_source']}, subject {headers['ce_subject']}")
    if not TIME.fullmatch(headers["ce_time"]) or int(headers["ce_sequence"]) < 1:
        raise ValueError(f"time {headers['ce_time']}, sequence {headers['ce_sequence']}")
    if "traceparent" in headers and not re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", headers["traceparent"]):
        raise ValueError(f"traceparent {headers['traceparent']}")
    if topic.endswith((".commands", ".replies")):
        missing = [name for name in SAGA_HEADERS if not headers.get(name)]
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
    if topic.endswith(".replies") and headers.get("outcome") not in ("ok", "refused"):
        raise ValueError(f"outcome {headers.get('outcome')}")
    return headers


def main():
    parser = argparse.ArgumentParser(
        description="Reads every topic of the platform and counts its records by type. Servers are named by MALLBOTS_KAFKA, "
        "MALLBOTS_REGISTRY and MALLBOTS_TOPIC_PREFIX.",
        epilog="Exit codes: 0 every record was read, 1 one could not be.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options, env = parser.parse_args(), os.environ
    reader = Reader(env["MALLBOTS_KAFKA"], env["MALLBOTS_REGISTRY"], env.get("MALLBOTS_TOPIC_PREFIX", ""))
    topics = [name.removeprefix(reader.prefix) for name in reader.read()]
    rows = [(topic, kind, count) for (topic, kind), count in sorted(reader.counts.items())]
    if options.json:
        counts = {topic: {kind: count for t, kind, count in rows if t == topic} for topic in topics}
        print(json.dumps({"topics": counts, "streams": len(reader.streams), "broken": reader.broken}))
    else:
        for topic, kind, count in rows:
            print(f"{topic:32} {kind:52} {count:>8}")
        print(f"{len(topics)} topics, {sum(reader.counts.values())} records, {len(reader.streams)} streams")
    for line in reader.broken[:SHOWN]:
        print(f"cannot be read: {line}", file=sys.stderr)
    sys.exit(1 if reader.broken else 0)


if __name__ == "__main__":
    main()
