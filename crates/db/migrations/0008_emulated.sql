-- Architectures that a node emulates, and whether a task's last lease was on a node that emulates its architecture.

ALTER TABLE node ADD COLUMN emulated TEXT NOT NULL DEFAULT '[]';
ALTER TABLE task ADD COLUMN is_emulated BIGINT NOT NULL DEFAULT 0;
