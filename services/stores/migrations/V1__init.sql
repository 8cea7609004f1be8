-- Stores and their products, one row an aggregate.
CREATE TABLE store (
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

CREATE TABLE product (
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

-- The products of one store; a product never changes its store, so updates stay cheap.
CREATE INDEX product_by_store ON product (parent, id);
