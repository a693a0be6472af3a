-- What becomes of a job once all that it requires ended as required: 0 it is queued, 1 it waits for a
-- person, 2 it has ended well. Until now it was 1 or 0 for whether it waits for a person.
ALTER TABLE jobs RENAME COLUMN needs_approval TO readiness;
