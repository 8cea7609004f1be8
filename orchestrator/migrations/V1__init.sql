-- One row a saga: its progress by step name. `parent` is the order it is about, which never changes.
CREATE TABLE saga (
    id uuid PRIMARY KEY, version bigint NOT NULL, status text NOT NULL, parent uuid, rank bigint NOT NULL DEFAULT 0,
    state jsonb NOT NULL, streams jsonb NOT NULL DEFAULT '[]', armed_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX saga_order ON saga (parent);
