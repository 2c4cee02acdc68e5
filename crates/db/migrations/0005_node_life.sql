-- How a node is, as it said last, and that it takes no more tasks, with who wanted it and why (both JSON).
ALTER TABLE node ADD COLUMN condition TEXT NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN drain TEXT;
