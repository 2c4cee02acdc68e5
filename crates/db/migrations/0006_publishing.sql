-- How the files of a snapshot's metadata are laid out, so that the next one can be made of their pieces.
ALTER TABLE snapshot ADD COLUMN layout TEXT;
-- How a repository's metadata is packed.
ALTER TABLE repository ADD COLUMN compression TEXT NOT NULL DEFAULT 'gzip';

-- Metadata beside that of the packages: advisories, groups, modules, product certificates. The next snapshot has it.
CREATE TABLE repository_attachment (
    repository_id   BIGINT NOT NULL REFERENCES repository (id),
    kind            TEXT   NOT NULL,
    path            TEXT   NOT NULL,
    sha256          TEXT   NOT NULL REFERENCES artifact (sha256),
    size_bytes      BIGINT NOT NULL,
    open_sha256     TEXT   NOT NULL,
    open_size_bytes BIGINT NOT NULL,
    changed_at      BIGINT NOT NULL,
    PRIMARY KEY (repository_id, kind)
);

-- A client asks for one file among all that a repository ever had.
CREATE INDEX package_file_name ON package (file_name);
CREATE INDEX package_nevra ON package (nevra);
CREATE INDEX snapshot_file_path ON snapshot_file (repository_id, path);
