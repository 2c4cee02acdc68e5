-- What a node took last, for its page.

CREATE INDEX task_node ON task (node, started_at);
