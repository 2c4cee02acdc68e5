-- Builds that are mass rebuilds: how they are held in bounds.
CREATE TABLE rebuild (
    build_id   BIGINT PRIMARY KEY REFERENCES build (id),
    -- 1 where nothing is begun until somebody resumes it.
    is_paused  BIGINT NOT NULL,
    -- Tasks that are ready or leased at once, at most; null for no bound.
    task_limit BIGINT
);
