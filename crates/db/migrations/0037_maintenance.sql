-- One row while no task is given out, so that the whole can be stopped or updated.
CREATE TABLE maintenance (
    id     BIGINT PRIMARY KEY CHECK (id = 1),
    since  BIGINT NOT NULL,
    actor  TEXT   NOT NULL,
    reason TEXT
);
