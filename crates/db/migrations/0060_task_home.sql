-- The node that built the same package for the same target last, found when the task becomes ready: it has its layers still.
ALTER TABLE task ADD COLUMN home TEXT;
