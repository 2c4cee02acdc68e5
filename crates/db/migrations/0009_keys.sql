-- A key's life: where it stands, what was asked besides, what it may sign, and when it ends.
ALTER TABLE signing_key ADD COLUMN status TEXT NOT NULL DEFAULT 'asked';
ALTER TABLE signing_key ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
ALTER TABLE signing_key ADD COLUMN policy TEXT NOT NULL DEFAULT '{}';
ALTER TABLE signing_key ADD COLUMN file_key TEXT;
ALTER TABLE signing_key ADD COLUMN expires_at BIGINT;
-- The smallest number of days before its end that people were told of.
ALTER TABLE signing_key ADD COLUMN warned_days BIGINT;
ALTER TABLE signing_key ADD COLUMN ended_at BIGINT;
ALTER TABLE signing_key ADD COLUMN reason TEXT;
UPDATE signing_key SET status = 'active' WHERE fingerprint IS NOT NULL;

-- The keys that a product has and had: what was signed with the old ones is still to be verified.
CREATE TABLE product_key (
    product TEXT   NOT NULL REFERENCES product (name),
    key_id  BIGINT NOT NULL REFERENCES signing_key (id),
    since   BIGINT NOT NULL,
    PRIMARY KEY (product, key_id)
);
CREATE INDEX product_key_key ON product_key (key_id);
INSERT INTO product_key (product, key_id, since) SELECT name, key_id, created_at FROM product WHERE key_id IS NOT NULL;

-- All signatures that came, which `anima key audit` compares with the Sign Server's journal.
CREATE TABLE signature (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    key_id       BIGINT  NOT NULL REFERENCES signing_key (id),
    task_id      BIGINT  NOT NULL REFERENCES task (id),
    artifact     TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    form         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    bytes_sha256 TEXT    NOT NULL,
    signed_at    BIGINT  NOT NULL,
    UNIQUE (key_id, artifact, form)
);
CREATE INDEX signature_key ON signature (key_id, id);
-- Packages that were signed before this table was: by their headers.
INSERT INTO signature (key_id, task_id, artifact, kind, form, name, bytes_sha256, signed_at)
SELECT signed_package.key_id, MIN(task_artifact.task_id), signed_package.sha256, 'rpm', 'rpm_header', MIN(package.nevra),
       MIN(package.header_sha256), MIN(signed_package.signed_at)
FROM signed_package
JOIN package ON package.sha256 = signed_package.sha256
JOIN task_artifact ON task_artifact.sha256 = signed_package.sha256
GROUP BY signed_package.key_id, signed_package.sha256;

-- A file that a person wants signed, by the task that does it.
CREATE TABLE sign_file (
    task_id  BIGINT PRIMARY KEY REFERENCES task (id),
    product  TEXT   NOT NULL REFERENCES product (name),
    name     TEXT   NOT NULL,
    kind     TEXT   NOT NULL,
    form     TEXT   NOT NULL,
    sha256   TEXT   NOT NULL REFERENCES artifact (sha256),
    asked_by TEXT   NOT NULL
);

-- Who approves that a sign task signs, where the key's policy wants that.
CREATE TABLE sign_approval (
    task_id BIGINT NOT NULL REFERENCES task (id),
    who     TEXT   NOT NULL,
    reason  TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (task_id, who)
);

-- What SHA-256 remembers of a package's header and payload, and the digest of both, for signatures over both.
CREATE TABLE package_state (
    sha256 TEXT PRIMARY KEY REFERENCES package (sha256),
    state  TEXT NOT NULL,
    digest TEXT NOT NULL
);
