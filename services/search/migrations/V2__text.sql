-- JSON that is only written and read whole: as text it is not parsed again at each save.
ALTER TABLE order_view ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE store_name ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
