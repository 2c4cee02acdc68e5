-- When a lease was over, by which event of its task, and why: what became of each attempt.
ALTER TABLE lease ADD COLUMN ended_at BIGINT;
ALTER TABLE lease ADD COLUMN ending TEXT;
ALTER TABLE lease ADD COLUMN why TEXT;
