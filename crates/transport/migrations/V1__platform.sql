-- The platform's tables, the same in every context's database.

CREATE TABLE fence (
    id uuid PRIMARY KEY, version bigint NOT NULL, status text NOT NULL, parent uuid, rank bigint NOT NULL DEFAULT 0,
    state json NOT NULL, streams json NOT NULL DEFAULT '[]', armed_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- How far each consumer has read each stream; parked counts its records in parking.
CREATE TABLE inbox (
    consumer text NOT NULL, stream text NOT NULL, last_seq bigint NOT NULL, parked int NOT NULL DEFAULT 0,
    PRIMARY KEY (consumer, stream)
) WITH (fillfactor = 70);

-- Two outbox tables: writers use one while the other is drained and truncated, so that no dead rows pile up.
CREATE SEQUENCE outbox_id;
CREATE TABLE outbox_0 (
    id bigint PRIMARY KEY DEFAULT nextval('outbox_id'), shard smallint NOT NULL, stream text NOT NULL, seq bigint NOT NULL,
    topic text NOT NULL, key text NOT NULL, headers bytea NOT NULL, payload bytea, created_ms bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE TABLE outbox_1 (LIKE outbox_0 INCLUDING ALL) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE TABLE outbox_current (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), current smallint NOT NULL);
INSERT INTO outbox_current (current) VALUES (0);

-- Which relay may send a shard, until when by this database's clock.
CREATE TABLE relay_lease (
    shard smallint PRIMARY KEY, owner uuid NOT NULL, epoch bigint NOT NULL, until timestamptz NOT NULL
);

-- One timer an aggregate: a lower bound of its next wake-up.
CREATE TABLE timer (kind text NOT NULL, id uuid NOT NULL, due_ms bigint NOT NULL, PRIMARY KEY (kind, id));
CREATE INDEX timer_due ON timer (due_ms);

CREATE TABLE parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, consumer text NOT NULL,
    stream text, source text, aggregate_type text, aggregate_id text, seq bigint, strict boolean NOT NULL,
    topic text NOT NULL, partition int NOT NULL, "offset" bigint NOT NULL, record jsonb NOT NULL,
    reason text NOT NULL, gap boolean NOT NULL, since_ms bigint NOT NULL,
    action text CHECK (action IN ('release', 'skip')), action_by text, action_reason text, action_at timestamptz
);
CREATE UNIQUE INDEX parked_position ON parked (consumer, stream, seq) WHERE stream IS NOT NULL;
CREATE UNIQUE INDEX parked_place ON parked (consumer, topic, partition, "offset");

-- What operators did to parked records; append-only.
CREATE TABLE parked_audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(),
    parked_id bigint NOT NULL, action text NOT NULL, by text NOT NULL, reason text NOT NULL, place text NOT NULL
);

CREATE TABLE idempotency (
    caller text NOT NULL, route text NOT NULL, key text NOT NULL, request_hash bigint NOT NULL, answer json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- The immutable history of aggregates that keep one (sagas).
CREATE TABLE journal (
    kind text NOT NULL, id uuid NOT NULL, version bigint NOT NULL, at_ms bigint NOT NULL, entries json NOT NULL,
    PRIMARY KEY (kind, id, version)
);
