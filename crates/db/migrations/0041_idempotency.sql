-- Requests that were sent with a key, so that they are done once however often they come. Times are microseconds since 1970.
CREATE TABLE idempotency (
    -- SHA-256 of who asked and of the key.
    hash     TEXT   PRIMARY KEY,
    -- SHA-256 of what was asked.
    request  TEXT   NOT NULL,
    -- The answer's status; null while it is being done.
    status   BIGINT,
    -- The answer, sealed with the key, which is not kept: it may have a secret in it.
    answer   TEXT,
    begun_at BIGINT NOT NULL
);
CREATE INDEX idempotency_begun ON idempotency (begun_at);
