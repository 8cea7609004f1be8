-- Orders that wait to be approved have a rank, all others 0: an order enters this index once and leaves it once, its other
-- updates leave the page as they did.
CREATE INDEX order_waiting ON "order" (rank) WHERE rank > 0;
