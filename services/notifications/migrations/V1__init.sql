-- Our copy of where customers are told about their orders: personal data, apart from everything else.
CREATE TABLE contact (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL,
    parent uuid,
    rank bigint NOT NULL DEFAULT 0,
    state json NOT NULL,
    streams json NOT NULL DEFAULT '[]',
    armed_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- What customers are told, once per order and cause.
CREATE TABLE notification (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL,
    parent uuid,
    rank bigint NOT NULL DEFAULT 0,
    state json NOT NULL,
    streams json NOT NULL DEFAULT '[]',
    armed_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- What an order's customer was told; a notification never changes its order.
CREATE INDEX notification_by_order ON notification (parent, id);
