-- The team that a build is for: shares of the queue are the teams', and within a team its people's.
ALTER TABLE build ADD COLUMN team TEXT;
