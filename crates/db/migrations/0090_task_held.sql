-- Tasks that could begin and are held back: by the bounds of their own build (1), or until it is the turn of this team.
ALTER TABLE task ADD COLUMN is_held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE task ADD COLUMN held_team TEXT;
-- 1 once `queued_for` is a place in the queue, and not the moment when the task was made.
ALTER TABLE task ADD COLUMN is_placed BIGINT NOT NULL DEFAULT 0;
UPDATE task SET is_placed = 1 WHERE status IN ('ready', 'leased');
CREATE INDEX task_held ON task (build_id, chain_secs DESC, id) WHERE is_held = 1;
CREATE INDEX task_held_team ON task (held_team, queued_for, id) WHERE held_team IS NOT NULL;
CREATE INDEX task_held_team_build ON task (build_id) WHERE held_team IS NOT NULL;
-- Which tasks are held is found by a look at every open build.
UPDATE build SET advanced_event = 0 WHERE status IN ('sources', 'building', 'testing', 'signing');
