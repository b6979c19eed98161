-- What each change of state must rewrite is made small.
--
-- A submission's bytes are written once and its state three times: apart from each other, a change of state rewrites a row of
-- 300 bytes and not one of kilobytes. `open` is 1 until there is a final answer (queued, sending, in doubt), so that the one
-- index of what waits is left alone when a submission starts. Of treatment days only those that are held are indexed by state:
-- those on their way are found by what is open. (Foreign keys are off while a schema is brought up.)

DROP INDEX treatment_day_waiting;
CREATE INDEX treatment_day_held ON treatment_day (clinic) WHERE state = 'held';

CREATE TABLE submission_body (
    submission_id INTEGER PRIMARY KEY REFERENCES submission (id),
    body BLOB NOT NULL
);
INSERT INTO submission_body SELECT id, body FROM submission ORDER BY id;

-- key and bytes never change once written; `state` is queued, sending, in-doubt, accepted, held or replaced
CREATE TABLE submission_now (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    destination TEXT NOT NULL,
    day_id INTEGER NOT NULL REFERENCES treatment_day (id),
    version_id INTEGER REFERENCES day_version (id),
    key TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    order_key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    frequency TEXT NOT NULL,
    content_sha256 BLOB NOT NULL,
    media_type TEXT NOT NULL,
    service_date TEXT NOT NULL,
    lines INTEGER NOT NULL,
    units INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    queued_at REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    open INTEGER NOT NULL DEFAULT 1 CHECK (open = (state IN ('queued', 'sending', 'in-doubt'))),
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL,
    first_attempt_at REAL,
    last_attempt_at REAL,
    accepted_run INTEGER,
    destination_id TEXT,
    hold_reason TEXT,
    closes_reference INTEGER NOT NULL DEFAULT 0, -- this and the next three: see 0004_changes.sql
    judge_after INTEGER NOT NULL DEFAULT 0,
    window_until REAL,
    by_hand INTEGER NOT NULL DEFAULT 0,
    purged_at TEXT
);
INSERT INTO submission_now
    SELECT id, clinic, destination, day_id, version_id, key, reference, order_key, revision, frequency, content_sha256,
           media_type, service_date, lines, units, amount_cents, run_id, queued_at, state,
           state IN ('queued', 'sending', 'in-doubt'), attempts, next_at, first_attempt_at, last_attempt_at, accepted_run,
           destination_id, hold_reason, closes_reference, judge_after, window_until, by_hand, purged_at
    FROM submission ORDER BY id;
DROP TABLE submission;
ALTER TABLE submission_now RENAME TO submission;
CREATE INDEX submission_open ON submission (clinic, destination, next_at) WHERE open = 1;
CREATE INDEX submission_held ON submission (clinic, destination) WHERE state = 'held';
CREATE INDEX submission_by_day ON submission (day_id);
CREATE INDEX submission_by_accepted_run ON submission (accepted_run) WHERE accepted_run IS NOT NULL;
CREATE INDEX submission_by_destination_id ON submission (destination_id) WHERE destination_id IS NOT NULL;
CREATE INDEX submission_by_reference ON submission (reference);
CREATE TRIGGER submission_key_stays BEFORE UPDATE OF key, reference, frequency, revision ON submission
BEGIN SELECT RAISE(ABORT, 'a stored submission keeps its key and bytes'); END;
CREATE TRIGGER submission_stays BEFORE DELETE ON submission
BEGIN SELECT RAISE(ABORT, 'submissions are never deleted'); END;
CREATE TRIGGER submission_body_is_kept BEFORE UPDATE ON submission_body
BEGIN SELECT RAISE(ABORT, 'a stored submission keeps its key and bytes'); END;
CREATE TRIGGER submission_body_stays BEFORE DELETE ON submission_body
BEGIN SELECT RAISE(ABORT, 'submissions are never deleted'); END;
