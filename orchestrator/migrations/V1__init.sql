-- One row a saga: its progress by step name. `parent` is the order it is about, which never changes. The state is some
-- kilobytes and changes with every step: kept in the row, uncompressed, instead of in a second table.
CREATE TABLE saga (
    id uuid PRIMARY KEY, version bigint NOT NULL, status text NOT NULL, parent uuid, rank bigint NOT NULL DEFAULT 0,
    state json NOT NULL, streams json NOT NULL DEFAULT '[]', armed_ms bigint,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, toast_tuple_target = 8160);
ALTER TABLE saga ALTER COLUMN state SET STORAGE MAIN;
CREATE INDEX saga_order ON saga (parent);
