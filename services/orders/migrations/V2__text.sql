-- JSON that is only written and read whole: as text it is not parsed again at each save.
ALTER TABLE basket ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE "order" ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE contact ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE catalogue_product ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
ALTER TABLE catalogue_store ALTER COLUMN state TYPE text, ALTER COLUMN streams TYPE text, ALTER COLUMN streams SET DEFAULT '[]';
