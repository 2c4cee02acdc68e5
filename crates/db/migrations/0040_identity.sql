-- Who somebody is at an OpenID provider. Times are microseconds since 1970.
CREATE TABLE identity (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id   BIGINT  NOT NULL REFERENCES account (id),
    issuer       TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    -- Teams and rights that the account has because the provider says so, as JSON: what people gave is not taken away again.
    granted      TEXT    NOT NULL,
    linked_at    BIGINT  NOT NULL,
    signed_in_at BIGINT,
    UNIQUE (issuer, subject)
);
CREATE INDEX identity_account ON identity (account_id);

-- Sign-ins that are under way at the provider.
CREATE TABLE sign_in_flow (
    -- SHA-256 of the state that the browser comes back with.
    hash       TEXT   PRIMARY KEY,
    -- SHA-256 of the cookie of the browser that began it.
    browser    TEXT   NOT NULL,
    nonce      TEXT   NOT NULL,
    verifier   TEXT   NOT NULL,
    return_to  TEXT   NOT NULL,
    -- The account to which the identity is to be linked; null for a sign-in.
    account_id BIGINT,
    begun_at   BIGINT NOT NULL
);
CREATE INDEX sign_in_flow_begun ON sign_in_flow (begun_at);

-- Command lines that wait for a person's word in a browser.
CREATE TABLE device_sign_in (
    -- SHA-256 of what the command line fetches its token with, and of what the person types.
    hash       TEXT   PRIMARY KEY,
    code       TEXT   NOT NULL UNIQUE,
    label      TEXT   NOT NULL,
    address    TEXT,
    begun_at   BIGINT NOT NULL,
    -- The person's word: null while there is none.
    account_id BIGINT,
    is_refused BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX device_sign_in_begun ON device_sign_in (begun_at);
