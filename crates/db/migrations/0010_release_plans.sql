-- What a release carries (JSON): a build, or something else. Its build may be missing from now on.
ALTER TABLE release_plan ADD COLUMN content TEXT NOT NULL DEFAULT '{}';
ALTER TABLE release_plan ADD COLUMN carried_build BIGINT REFERENCES build (id);
UPDATE release_plan SET carried_build = build_id, content = '{"build":' || build_id || '}';
DROP INDEX release_build;
ALTER TABLE release_plan DROP COLUMN build_id;
ALTER TABLE release_plan RENAME COLUMN carried_build TO build_id;
CREATE INDEX release_build ON release_plan (build_id);
-- What goes without a successor, and what goes nowhere; what people changed, and who said that it is good (JSON).
ALTER TABLE release_plan ADD COLUMN removals TEXT NOT NULL DEFAULT '[]';
ALTER TABLE release_plan ADD COLUMN left_out TEXT NOT NULL DEFAULT '[]';
ALTER TABLE release_plan ADD COLUMN edits TEXT NOT NULL DEFAULT '[]';
ALTER TABLE release_plan ADD COLUMN approvals TEXT NOT NULL DEFAULT '[]';
ALTER TABLE release_plan ADD COLUMN scheduled_at BIGINT;
-- Whose a product is, what it stands on, and what it may hold (JSON).
ALTER TABLE product ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
