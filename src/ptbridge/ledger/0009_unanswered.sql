-- How many of a submission's attempts said nothing about it: no connection, a refused credential, or a platform that turned
-- everybody away. They do not count as attempts that may run out; once the platform takes anything they are taken off. What
-- waits with one is found at once when a run begins.

ALTER TABLE submission ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX submission_unanswered ON submission (clinic, destination) WHERE open = 1 AND unanswered > 0;
