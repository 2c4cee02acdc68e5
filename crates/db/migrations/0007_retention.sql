-- Which snapshots of a repository stay (JSON; null: all), and why somebody wants one to stay whatever the rule says.
ALTER TABLE repository ADD COLUMN keep TEXT;
ALTER TABLE snapshot ADD COLUMN pin TEXT;

-- What names an artifact is asked for each one that may go.
CREATE INDEX snapshot_file_sha256 ON snapshot_file (sha256);
CREATE INDEX repository_attachment_sha256 ON repository_attachment (sha256);
