-- Lists of tasks by status: those that wait in the order of the queue, however many there are.
CREATE INDEX task_order ON task (status, queued_for, id);
