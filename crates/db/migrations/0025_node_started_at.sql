-- When the process behind a node's name was started, as it says itself; 0 for one that does not say it.

ALTER TABLE node ADD COLUMN instance_started_at BIGINT NOT NULL DEFAULT 0;
