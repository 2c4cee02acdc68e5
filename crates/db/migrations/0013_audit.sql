-- Through what somebody did something (`token:7`, `session:3`), from where, and by which request.
ALTER TABLE event ADD COLUMN via TEXT;
ALTER TABLE event ADD COLUMN address TEXT;
ALTER TABLE event ADD COLUMN request TEXT;
CREATE INDEX event_audit ON event (id) WHERE via IS NOT NULL;
