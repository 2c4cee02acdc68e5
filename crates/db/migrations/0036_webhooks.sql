-- Addresses that are told of events, and each message to one of them.
CREATE TABLE webhook (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    url        TEXT    NOT NULL,
    -- Signing needs it, so it is not kept as a hash.
    secret     TEXT    NOT NULL,
    events     TEXT    NOT NULL,
    -- Why it is told of nothing; NULL: it is.
    why        TEXT,
    -- Messages are made for the events after this one.
    seen_event BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    created_at BIGINT  NOT NULL
);

CREATE TABLE webhook_delivery (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id BIGINT  NOT NULL REFERENCES webhook (id),
    event_id   BIGINT  NOT NULL REFERENCES event (id),
    status     TEXT    NOT NULL,
    attempts   BIGINT  NOT NULL DEFAULT 0,
    -- When it is sent; while it is being sent, when it is sent again if nothing more is heard of that.
    next_at    BIGINT  NOT NULL,
    answer     TEXT,
    created_at BIGINT  NOT NULL,
    ended_at   BIGINT,
    UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (status, next_at);
