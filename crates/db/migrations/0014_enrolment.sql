-- Codes with which a node gets its token, once.
CREATE TABLE enrolment (
    -- SHA-256 of the code.
    hash       TEXT   PRIMARY KEY,
    node       TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    expires_at BIGINT NOT NULL
);
-- A token that is good for one node only.
ALTER TABLE token ADD COLUMN is_of_node BIGINT NOT NULL DEFAULT 0;
