-- Whether a snapshot still names a layout is asked for each artifact that may be dropped.

CREATE INDEX snapshot_layout ON snapshot (layout);
