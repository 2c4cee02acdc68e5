-- Leases that are over are found without a look at those that are not.
CREATE INDEX task_lease ON task (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
