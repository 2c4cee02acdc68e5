-- The order in which ready tasks are given out: the lowest `queued_for` first.
ALTER TABLE build ADD COLUMN priority TEXT NOT NULL DEFAULT 'normal';
ALTER TABLE task ADD COLUMN queued_for BIGINT NOT NULL DEFAULT 0;
-- How long it is expected to take, where that is known, and how long with the longest chain of those that wait for it.
ALTER TABLE task ADD COLUMN estimate_secs BIGINT;
ALTER TABLE task ADD COLUMN chain_secs BIGINT NOT NULL DEFAULT 0;

UPDATE task SET queued_for = created_at;

DROP INDEX task_ready;
CREATE INDEX task_queue ON task (status, kind, arch, queued_for, id);
CREATE INDEX task_package ON task (package, kind, status);
