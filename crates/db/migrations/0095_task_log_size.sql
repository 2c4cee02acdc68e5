-- How long the log of a task's last attempt is that its node reported the end of: nothing more comes to it. Where there is nothing,
-- the store is asked.
ALTER TABLE task ADD COLUMN log_size_bytes BIGINT;
