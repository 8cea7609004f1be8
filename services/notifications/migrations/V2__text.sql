-- JSON that is only written and read whole: as text it is not parsed again at each save.
ALTER TABLE contact ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE notification ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
