-- The newest event of a build when it was last moved on: only one with newer ones has to be looked at. With 0 every open build is
-- looked at once.
ALTER TABLE build ADD COLUMN advanced_event BIGINT NOT NULL DEFAULT 0;
