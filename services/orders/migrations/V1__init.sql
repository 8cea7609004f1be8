-- Baskets, open or ended.
CREATE TABLE basket (
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

-- Orders; an order has the id of its basket. The name is a reserved word of SQL: always quoted.
CREATE TABLE "order" (
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

-- Where a customer is told about an order: personal data, apart from everything else.
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

-- Our copy of the products, fed by the catalogue topic.
CREATE TABLE catalogue_product (
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

-- Our copy of the stores, fed by the catalogue topic.
CREATE TABLE catalogue_store (
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
