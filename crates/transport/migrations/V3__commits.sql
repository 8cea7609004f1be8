-- The outcome of a batch, for whoever did not hear the answer to its COMMIT: each batch writes its number to the row of its
-- lane, in its own transaction. One row for each batch that was ever under way at once in a process; swept after a month.
CREATE TABLE commits (
    lane uuid PRIMARY KEY,
    number bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 20);
