-- Messages are taken for one webhook at a time.
CREATE INDEX webhook_delivery_turn ON webhook_delivery (webhook_id, status, next_at);
