-- Entries of a history stand together under what caused them (`journal.rs`), instead of each naming its cause anew.
UPDATE journal SET entries = (
    SELECT json_agg(json_build_object(
        'trace_id', e->'trace_id', 'caused_by', e->'caused_by', 'entries', json_build_array(e->'entry')
    ) ORDER BY n)
    FROM json_array_elements(entries) WITH ORDINALITY AS u(e, n)
) WHERE entries->0->'entry' IS NOT NULL;
