-- What the gates of a release found (JSON), why it went on all the same, and how strict a product is (JSON).
ALTER TABLE release_plan ADD COLUMN gates TEXT NOT NULL DEFAULT '[]';
ALTER TABLE release_plan ADD COLUMN reason TEXT;
ALTER TABLE product ADD COLUMN gates TEXT NOT NULL DEFAULT '{}';
