-- JSON that is only written and read whole: as text it is not parsed again at each save.
ALTER TABLE bay_summary ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE shopping_list ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE bay ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE bot ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE store_place ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
