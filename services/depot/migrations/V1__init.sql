-- How many bays there are of each volume: one row.
CREATE TABLE bay_summary (
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

-- Shopping lists; a list has the id of its order. The rank of one that waits is when it was planned, of all others 0: so the
-- index is touched, and updates leave the page, only when a list begins or ends to wait.
CREATE TABLE shopping_list (
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

-- Who waits longest is served first.
CREATE INDEX shopping_list_rank ON shopping_list (rank, id);

-- Bays; the rank of a free one is its volume in millilitres, of others 0.
CREATE TABLE bay (
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

-- The smallest free bay that is large enough.
CREATE INDEX bay_rank ON bay (rank, id);

-- Robots: a small table, whose rows change all the time; no index but the key.
CREATE TABLE bot (
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

-- Our copy of store names and places, fed by the catalogue topic.
CREATE TABLE store_place (
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
