-- What a team's builds keep in the store is asked whenever one more is asked for.
CREATE INDEX build_team ON build (team) WHERE team IS NOT NULL;
