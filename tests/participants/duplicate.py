"""Sends records of a topic once more, verbatim: what a relay or a producer does that was killed at the wrong moment."""

import argparse
import os

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

PATIENCE_S = 10


def records(consumer, topic):
    """Every record that is there now."""
    left = {}
    for partition in consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions:
        low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=PATIENCE_S)
        if high > low:
            left[partition] = high
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in left])
    while left:
        record = consumer.poll(PATIENCE_S)
        if record is None or record.error():
            raise SystemExit(f"{topic} cannot be read: {record and record.error()}")
        if record.offset() < left.get(record.partition(), 0):
            yield record
        if record.offset() + 1 >= left.get(record.partition(), 0):
            left.pop(record.partition(), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic", help="without the prefix, for example mallbots.payments.commands")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth record")
    options, env = parser.parse_args(), os.environ
    servers, prefix = env["MALLBOTS_KAFKA"], env.get("MALLBOTS_TOPIC_PREFIX", "")
    consumer = Consumer({"bootstrap.servers": servers, "group.id": f"{prefix}duplicate", "enable.auto.commit": False})
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "partitioner": "murmur2_random"})
    again = list(records(consumer, prefix + options.topic))[:: options.every]
    for record in again:
        producer.produce(record.topic(), record.value(), record.key(), headers=record.headers())
    if producer.flush(PATIENCE_S):
        raise SystemExit("the broker did not take all of them")
    print(len(again))


if __name__ == "__main__":
    main()
