-- From here on headers are packed in another form (`message::Headers`): what an earlier version left unsent, it must send itself.
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM outbox_0) OR EXISTS (SELECT 1 FROM outbox_1) THEN
        RAISE EXCEPTION 'the outbox holds messages of an earlier version: run that version''s relay until it is empty, then migrate again';
    END IF;
END $$;
