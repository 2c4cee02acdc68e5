-- What a release changes of the metadata that repositories have beside that of their packages (JSON).
ALTER TABLE release_plan ADD COLUMN attachments TEXT NOT NULL DEFAULT '[]';
