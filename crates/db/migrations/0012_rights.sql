-- Who may what, and where.
CREATE TABLE team (
    name       TEXT   PRIMARY KEY,
    title      TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE team_member (
    team       TEXT   NOT NULL REFERENCES team (name),
    account_id BIGINT NOT NULL REFERENCES account (id),
    since      BIGINT NOT NULL,
    PRIMARY KEY (team, account_id)
);
CREATE INDEX team_member_account ON team_member (account_id);

CREATE TABLE given_right (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    -- One of the two.
    account_id BIGINT  REFERENCES account (id),
    team       TEXT    REFERENCES team (name),
    role       TEXT    NOT NULL,
    -- `platform:NAME`, `product:NAME`, `key:ID`; null for everywhere.
    thing      TEXT,
    given_by   TEXT    NOT NULL,
    given_at   BIGINT  NOT NULL
);
CREATE INDEX given_right_account ON given_right (account_id);
CREATE INDEX given_right_team ON given_right (team);

-- A person's token has the role `person` and may what its owner may, within its scopes (JSON).
ALTER TABLE token ADD COLUMN account_id BIGINT REFERENCES account (id);
ALTER TABLE token ADD COLUMN scopes TEXT NOT NULL DEFAULT '{}';
ALTER TABLE token ADD COLUMN expires_at BIGINT;
ALTER TABLE token ADD COLUMN used_at BIGINT;
CREATE INDEX token_account ON token (account_id);
UPDATE token SET role = 'contributor' WHERE role = 'packager';
