-- The outbox holds packs of messages (`postgres/pack.rs`): what an earlier version left unsent, it must send itself.
-- Whoever is writing is waited for, so that the look sees what it leaves.
LOCK TABLE outbox_0, outbox_1 IN ACCESS EXCLUSIVE MODE;
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM outbox_0) OR EXISTS (SELECT 1 FROM outbox_1) THEN
        RAISE EXCEPTION 'the outbox holds messages of an earlier version: run that version''s relay until it is empty, then migrate again';
    END IF;
END $$;
DROP TABLE outbox_0, outbox_1;
-- A full pack takes about a page: kept in the row, not in a second table.
CREATE TABLE outbox_0 (
    id bigint PRIMARY KEY DEFAULT nextval('outbox_id'), shard smallint NOT NULL, messages int NOT NULL,
    created_ms bigint NOT NULL, pack bytea NOT NULL, sagas uuid[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, toast_tuple_target = 8160);
ALTER TABLE outbox_0 ALTER COLUMN pack SET STORAGE MAIN;
CREATE TABLE outbox_1 (LIKE outbox_0 INCLUDING ALL)
    WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, toast_tuple_target = 8160);
