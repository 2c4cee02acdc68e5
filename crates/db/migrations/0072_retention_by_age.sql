-- When a task's logs were dropped; nothing while they are there.
ALTER TABLE task ADD COLUMN logs_dropped_at BIGINT;
CREATE INDEX task_logs ON task (ended_at) WHERE logs_dropped_at IS NULL;
-- An event that a message to a webhook is of stays.
CREATE INDEX webhook_delivery_event ON webhook_delivery (event_id);
