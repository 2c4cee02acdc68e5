-- How busy a node was: one row each five minutes, as it was first heard of in them. Old rows go.
CREATE TABLE node_load (
    node            TEXT   NOT NULL,
    -- When the five minutes began.
    at              BIGINT NOT NULL,
    -- How many tasks it had, and how many it takes at once.
    working         BIGINT NOT NULL,
    slots           BIGINT NOT NULL,
    -- What its machine had, where it asked for work then: who works on all that it can says only that it lives.
    load_percent    BIGINT,
    free_memory_mib BIGINT,
    free_disk_mib   BIGINT,
    PRIMARY KEY (node, at)
);
CREATE INDEX node_load_at ON node_load (at);
