-- How a build differs from others: its flavors, the builds that are linked to it (JSON of anima_types::build::Options); and when
-- somebody deleted what it made.
ALTER TABLE build ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE build ADD COLUMN deleted_at BIGINT;
