-- Orders that wait to be approved have a rank, all others 0: an order enters this index once and leaves it once, its other
-- updates leave the page as they did. Orders are not changed while this walks over all of them, a second for some millions;
-- those that wait at that moment are counted from their next change on.
CREATE INDEX order_waiting ON "order" (rank) WHERE rank > 0;
