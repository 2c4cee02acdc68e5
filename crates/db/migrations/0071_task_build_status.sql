-- How the tasks of a build stand, without a look at each.
CREATE INDEX task_build_status ON task (build_id, status, kind);
DROP INDEX task_build;
