-- Since when a task has its status, so that its age there can be told.
ALTER TABLE task ADD COLUMN status_since BIGINT NOT NULL DEFAULT 0;
UPDATE task SET status_since = COALESCE(ended_at, started_at, created_at);
