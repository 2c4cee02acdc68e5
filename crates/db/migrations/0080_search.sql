-- Builds are found by who asked for them and by their commits.
CREATE INDEX build_owner ON build (owner, id);
CREATE INDEX source_commit ON source (commit_id);
