-- The nouns of the main line. Texts and integers only; times are microseconds since 1970.
-- Statuses are the words of `anima_types`; they change only together with a row of `event`.

CREATE TABLE token (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    -- SHA-256 of the secret: the secret itself is not kept.
    hash       TEXT    NOT NULL UNIQUE,
    created_at BIGINT  NOT NULL
);

CREATE TABLE signing_key (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE,
    algorithm   TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    fingerprint TEXT,
    public_key  TEXT,
    created_at  BIGINT  NOT NULL
);

CREATE TABLE product (
    name          TEXT    PRIMARY KEY,
    title         TEXT    NOT NULL,
    repositories  TEXT    NOT NULL,
    architectures TEXT    NOT NULL,
    automatic     BIGINT  NOT NULL,
    key_id        BIGINT  REFERENCES signing_key (id),
    created_at    BIGINT  NOT NULL
);

CREATE TABLE repository (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    product TEXT    NOT NULL REFERENCES product (name),
    path    TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    arch    TEXT,
    -- The number of the snapshot that users see; 0 before the first.
    current BIGINT  NOT NULL DEFAULT 0,
    UNIQUE (product, path)
);

CREATE TABLE build (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    status        TEXT    NOT NULL,
    owner         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    platforms     TEXT    NOT NULL,
    architectures TEXT    NOT NULL,
    summary       TEXT    NOT NULL,
    -- Pushes with this key join the build until that moment; null once it is closed.
    gather_key    TEXT,
    gather_until  BIGINT,
    created_at    BIGINT  NOT NULL,
    ended_at      BIGINT
);
CREATE INDEX build_status ON build (status);
CREATE INDEX build_gather ON build (gather_key) WHERE gather_key IS NOT NULL;

CREATE TABLE source (
    build_id  BIGINT NOT NULL REFERENCES build (id),
    package   TEXT   NOT NULL,
    reference TEXT   NOT NULL,
    commit_id TEXT   NOT NULL,
    PRIMARY KEY (build_id, package)
);
CREATE INDEX source_package ON source (package, build_id);

CREATE TABLE push (
    package   TEXT   NOT NULL,
    branch    TEXT   NOT NULL,
    commit_id TEXT   NOT NULL,
    subject   TEXT   NOT NULL,
    pusher    TEXT   NOT NULL,
    build_id  BIGINT NOT NULL REFERENCES build (id),
    at        BIGINT NOT NULL,
    PRIMARY KEY (package, branch, commit_id)
);

CREATE TABLE release_plan (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    status       TEXT    NOT NULL,
    product      TEXT    NOT NULL REFERENCES product (name),
    build_id     BIGINT  NOT NULL REFERENCES build (id),
    -- Lines of the plan (JSON), and the numbers of the snapshots that they were made from.
    plan         TEXT    NOT NULL,
    base         TEXT    NOT NULL,
    -- What the release system published (JSON), once it has.
    published    TEXT,
    summary      TEXT    NOT NULL,
    committed_by TEXT,
    created_at   BIGINT  NOT NULL,
    released_at  BIGINT
);
CREATE INDEX release_status ON release_plan (status);
CREATE INDEX release_build ON release_plan (build_id);

CREATE TABLE task (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    kind             TEXT    NOT NULL,
    status           TEXT    NOT NULL,
    build_id         BIGINT  REFERENCES build (id),
    release_id       BIGINT  REFERENCES release_plan (id),
    key_id           BIGINT  REFERENCES signing_key (id),
    -- What a sign task signs: 'key', 'packages', 'metadata'.
    subject          TEXT,
    package          TEXT,
    platform         TEXT,
    arch             TEXT,
    why              TEXT    NOT NULL,
    attempts         BIGINT  NOT NULL DEFAULT 0,
    lease_number     BIGINT  NOT NULL DEFAULT 0,
    lease_expires_at BIGINT,
    node             TEXT,
    created_at       BIGINT  NOT NULL,
    started_at       BIGINT,
    ended_at         BIGINT,
    phases           TEXT    NOT NULL DEFAULT '[]',
    failure          TEXT,
    result           TEXT,
    -- SHA-256 of the report that ended it, so that the same report is accepted again.
    report_hash      TEXT
);
CREATE INDEX task_ready ON task (status, kind, id);
CREATE INDEX task_build ON task (build_id);
CREATE INDEX task_release ON task (release_id);
CREATE INDEX task_key ON task (key_id);

CREATE TABLE task_dependency (
    task_id  BIGINT NOT NULL REFERENCES task (id),
    needs_id BIGINT NOT NULL REFERENCES task (id),
    PRIMARY KEY (task_id, needs_id)
);
CREATE INDEX task_dependency_needs ON task_dependency (needs_id);

CREATE TABLE lease (
    -- SHA-256 of the lease's secret.
    hash       TEXT   PRIMARY KEY,
    task_id    BIGINT NOT NULL REFERENCES task (id),
    number     BIGINT NOT NULL,
    node       TEXT   NOT NULL,
    granted_at BIGINT NOT NULL,
    UNIQUE (task_id, number)
);

CREATE TABLE node (
    name          TEXT   PRIMARY KEY,
    kinds         TEXT   NOT NULL,
    architectures TEXT   NOT NULL,
    slots         BIGINT NOT NULL,
    version       TEXT   NOT NULL,
    seen_at       BIGINT NOT NULL
);

CREATE TABLE artifact (
    sha256     TEXT   PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE task_artifact (
    task_id BIGINT NOT NULL REFERENCES task (id),
    sha256  TEXT   NOT NULL REFERENCES artifact (sha256),
    kind    TEXT   NOT NULL,
    name    TEXT   NOT NULL,
    PRIMARY KEY (task_id, sha256, name)
);
CREATE INDEX task_artifact_sha256 ON task_artifact (sha256);

-- What the header of a package says.
CREATE TABLE package (
    sha256        TEXT   PRIMARY KEY REFERENCES artifact (sha256),
    nevra         TEXT   NOT NULL,
    name          TEXT   NOT NULL,
    file_name     TEXT   NOT NULL,
    -- The name of the source package; a source package has its own.
    source        TEXT   NOT NULL,
    is_source     BIGINT NOT NULL,
    -- Its lines of repository metadata (JSON of anima_repodata::PackageXml).
    xml           TEXT   NOT NULL,
    header_sha256 TEXT   NOT NULL
);
CREATE INDEX package_source ON package (source, name);

-- The same package with a key's signature.
CREATE TABLE signed_package (
    sha256    TEXT   NOT NULL REFERENCES package (sha256),
    key_id    BIGINT NOT NULL REFERENCES signing_key (id),
    signed    TEXT   NOT NULL REFERENCES package (sha256),
    signed_at BIGINT NOT NULL,
    PRIMARY KEY (sha256, key_id)
);
CREATE INDEX signed_package_signed ON signed_package (signed);

CREATE TABLE snapshot (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    number        BIGINT NOT NULL,
    -- The snapshot that it was made from; 0 for none.
    base          BIGINT NOT NULL,
    release_id    BIGINT NOT NULL REFERENCES release_plan (id),
    package_count BIGINT NOT NULL,
    created_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, number)
);
CREATE INDEX snapshot_release ON snapshot (release_id);

-- A package is in the snapshots from `since` on, and no more from `until` on: a snapshot costs only what changed.
CREATE TABLE snapshot_package (
    repository_id BIGINT NOT NULL REFERENCES repository (id),
    sha256        TEXT   NOT NULL REFERENCES package (sha256),
    since         BIGINT NOT NULL,
    until         BIGINT,
    PRIMARY KEY (repository_id, sha256, since)
);
CREATE INDEX snapshot_package_sha256 ON snapshot_package (sha256);

CREATE TABLE snapshot_file (
    repository_id BIGINT NOT NULL,
    number        BIGINT NOT NULL,
    path          TEXT   NOT NULL,
    sha256        TEXT   NOT NULL REFERENCES artifact (sha256),
    PRIMARY KEY (repository_id, number, path),
    FOREIGN KEY (repository_id, number) REFERENCES snapshot (repository_id, number)
);

CREATE TABLE event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         BIGINT  NOT NULL,
    noun       TEXT    NOT NULL,
    verb       TEXT    NOT NULL,
    status     TEXT,
    actor      TEXT    NOT NULL,
    build_id   BIGINT,
    task_id    BIGINT,
    release_id BIGINT,
    message    TEXT    NOT NULL
);
CREATE INDEX event_build ON event (build_id, id);
