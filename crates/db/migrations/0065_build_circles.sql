-- Packages of a build that wait for one another, and the way out that was taken (JSON list of anima_types::build::Circle).
ALTER TABLE build ADD COLUMN circles TEXT NOT NULL DEFAULT '[]';
