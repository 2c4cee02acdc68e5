-- People who sign in. Times are microseconds since 1970.
CREATE TABLE account (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    title        TEXT    NOT NULL,
    is_disabled  BIGINT  NOT NULL DEFAULT 0,
    -- argon2id in the PHC string format; null for who does not sign in with a password.
    password     TEXT,
    created_at   BIGINT  NOT NULL,
    signed_in_at BIGINT
);

CREATE TABLE session (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- SHA-256 of the cookie's secret: the secret itself is not kept.
    hash       TEXT    NOT NULL UNIQUE,
    account_id BIGINT  NOT NULL REFERENCES account (id),
    address    TEXT,
    agent      TEXT,
    created_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL
);
CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_seen ON session (seen_at);
