-- Each start of a node's program; the newest is the node's own.
ALTER TABLE node ADD COLUMN instance TEXT NOT NULL DEFAULT '';

CREATE TABLE node_instance (
    node     TEXT   NOT NULL,
    instance TEXT   NOT NULL,
    since    BIGINT NOT NULL,
    PRIMARY KEY (node, instance)
);
