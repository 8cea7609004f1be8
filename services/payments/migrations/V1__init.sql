CREATE TABLE payment (
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

CREATE TABLE invoice (
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
