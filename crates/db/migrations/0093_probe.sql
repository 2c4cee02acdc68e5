-- One row that is written to see whether the database takes what is written.
CREATE TABLE probe (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    written_at BIGINT NOT NULL
);
