-- The auditor looks at what has not ended, every few seconds: without this it would walk over everything that has.
CREATE INDEX saga_status ON saga (status, id);
