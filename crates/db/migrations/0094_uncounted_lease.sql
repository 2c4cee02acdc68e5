-- That a lease was no attempt: what ended it was neither its task's fault nor its node's.
ALTER TABLE lease ADD COLUMN is_uncounted BIGINT NOT NULL DEFAULT 0;
