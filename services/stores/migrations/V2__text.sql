-- JSON that is only written and read whole: as text it is not parsed again at each save.
ALTER TABLE store ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE product ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
