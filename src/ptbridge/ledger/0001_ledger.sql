-- The ledger. Tables marked append-only refuse UPDATE and DELETE by trigger: what was received, judged, sent and answered stays.
-- Text times are ISO 8601 UTC; real times are Unix seconds. Bodies are zlib-packed; money is integer cents.

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    summary TEXT
);

-- append-only: payloads exactly as received
CREATE TABLE source_record (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    source TEXT NOT NULL,
    record_key TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    media_type TEXT NOT NULL,
    version TEXT NOT NULL,
    received_at TEXT NOT NULL,
    payload BLOB NOT NULL
);

-- one row a visit at its source: where it stands now; `state` is read, quarantined or gone
CREATE TABLE visit (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    source TEXT NOT NULL,
    visit_id TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    record_id INTEGER NOT NULL REFERENCES source_record (id),
    record_sha256 BLOB NOT NULL,
    content_sha256 BLOB,
    version_id INTEGER REFERENCES visit_version (id),
    day_id INTEGER REFERENCES treatment_day (id),
    left_day_id INTEGER REFERENCES treatment_day (id),
    lines INTEGER NOT NULL DEFAULT 0,
    excluded_lines INTEGER NOT NULL DEFAULT 0,
    excluded_rule TEXT,
    first_seen_at TEXT NOT NULL,
    seen_run INTEGER NOT NULL,
    changed_run INTEGER NOT NULL,
    UNIQUE (clinic, source, visit_id)
);
CREATE INDEX visit_by_day ON visit (day_id);
CREATE INDEX visit_by_run ON visit (seen_run);
CREATE INDEX visit_quarantined ON visit (clinic) WHERE state = 'quarantined';

-- append-only: each normalized content of a visit
CREATE TABLE visit_version (
    id INTEGER PRIMARY KEY,
    visit INTEGER NOT NULL REFERENCES visit (id),
    record_id INTEGER NOT NULL REFERENCES source_record (id),
    content_sha256 BLOB NOT NULL,
    body BLOB NOT NULL
);

-- one row a treatment day: `state` is open, held, excluded, queued, sent or voided; `dirty` asks for a new judgement
CREATE TABLE treatment_day (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    day_key TEXT NOT NULL,
    reference TEXT NOT NULL UNIQUE,
    service_date TEXT,
    discipline TEXT,
    payer TEXT,
    state TEXT NOT NULL DEFAULT 'open',
    dirty INTEGER NOT NULL DEFAULT 1,
    reason TEXT,
    held_since TEXT,
    version_id INTEGER REFERENCES day_version (id),
    revision INTEGER NOT NULL DEFAULT 0,
    live_sha256 BLOB,
    live_id TEXT,
    live_units INTEGER NOT NULL DEFAULT 0,
    live_cents INTEGER NOT NULL DEFAULT 0,
    lines INTEGER NOT NULL DEFAULT 0,
    units INTEGER NOT NULL DEFAULT 0,
    amount_cents INTEGER NOT NULL DEFAULT 0,
    UNIQUE (clinic, day_key)
);
CREATE INDEX treatment_day_dirty ON treatment_day (clinic) WHERE dirty = 1;
CREATE INDEX treatment_day_waiting ON treatment_day (clinic, state) WHERE state IN ('held', 'queued', 'open');
CREATE INDEX treatment_day_by_date ON treatment_day (clinic, service_date);

-- append-only: each judgement of a treatment day (charges, exclusions, findings, reasons)
CREATE TABLE day_version (
    id INTEGER PRIMARY KEY,
    day_id INTEGER NOT NULL REFERENCES treatment_day (id),
    run_id INTEGER NOT NULL,
    judged_at TEXT NOT NULL,
    content_sha256 BLOB NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX day_version_by_day ON day_version (day_id);

-- key and bytes never change once written; `state` is queued, sending, in-doubt, accepted, held or replaced
CREATE TABLE submission (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    destination TEXT NOT NULL,
    day_id INTEGER NOT NULL REFERENCES treatment_day (id),
    key TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL,
    order_key TEXT NOT NULL,
    revision INTEGER NOT NULL,
    frequency TEXT NOT NULL,
    content_sha256 BLOB NOT NULL,
    body BLOB NOT NULL,
    media_type TEXT NOT NULL,
    service_date TEXT NOT NULL,
    lines INTEGER NOT NULL,
    units INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    attempts INTEGER NOT NULL DEFAULT 0,
    queued_at REAL NOT NULL,
    next_at REAL NOT NULL,
    first_attempt_at REAL,
    last_attempt_at REAL,
    accepted_run INTEGER,
    destination_id TEXT,
    hold_reason TEXT
);
CREATE INDEX submission_waiting ON submission (clinic, destination, next_at) WHERE state IN ('queued', 'in-doubt');
CREATE INDEX submission_sending ON submission (clinic) WHERE state = 'sending';
CREATE INDEX submission_open_order ON submission (clinic, order_key, id) WHERE state IN ('queued', 'sending', 'in-doubt');
CREATE INDEX submission_by_day ON submission (day_id);
CREATE INDEX submission_by_accepted_run ON submission (accepted_run) WHERE accepted_run IS NOT NULL;
CREATE TRIGGER submission_bytes_stay BEFORE UPDATE OF key, body, reference, frequency, revision ON submission
BEGIN SELECT RAISE(ABORT, 'a stored submission keeps its key and bytes'); END;
CREATE TRIGGER submission_stays BEFORE DELETE ON submission
BEGIN SELECT RAISE(ABORT, 'submissions are never deleted'); END;

-- append-only: every answer, word for word
CREATE TABLE acknowledgement (
    id INTEGER PRIMARY KEY,
    submission_id INTEGER NOT NULL REFERENCES submission (id),
    attempt INTEGER NOT NULL,
    at TEXT NOT NULL,
    disposition TEXT NOT NULL,
    native_code TEXT NOT NULL,
    native_text TEXT NOT NULL,
    destination_id TEXT
);
CREATE INDEX acknowledgement_by_submission ON acknowledgement (submission_id);

-- append-only: what a person decided, and about which content
CREATE TABLE decision (
    id INTEGER PRIMARY KEY,
    day_id INTEGER NOT NULL REFERENCES treatment_day (id),
    kind TEXT NOT NULL,
    content_sha256 BLOB,
    codes TEXT NOT NULL,
    reason TEXT NOT NULL,
    actor TEXT NOT NULL,
    at TEXT NOT NULL
);
CREATE INDEX decision_by_day ON decision (day_id);

-- append-only: every change of state; ids and machine-readable words, no patient data
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    run_id INTEGER,
    clinic TEXT NOT NULL,
    entity TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    event TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    actor TEXT NOT NULL DEFAULT 'ptbridge'
);
CREATE INDEX history_by_entity ON history (entity, entity_id);

CREATE TABLE cursor (
    clinic TEXT NOT NULL,
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (clinic, source, name)
) WITHOUT ROWID;

-- per clinic: what the last judgement of held days was made with (configuration and civil day)
CREATE TABLE standing (
    clinic TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER source_record_is_kept BEFORE UPDATE ON source_record BEGIN SELECT RAISE(ABORT, 'source_record is append-only'); END;
CREATE TRIGGER source_record_stays BEFORE DELETE ON source_record BEGIN SELECT RAISE(ABORT, 'source_record is append-only'); END;
CREATE TRIGGER visit_version_is_kept BEFORE UPDATE ON visit_version BEGIN SELECT RAISE(ABORT, 'visit_version is append-only'); END;
CREATE TRIGGER visit_version_stays BEFORE DELETE ON visit_version BEGIN SELECT RAISE(ABORT, 'visit_version is append-only'); END;
CREATE TRIGGER day_version_is_kept BEFORE UPDATE ON day_version BEGIN SELECT RAISE(ABORT, 'day_version is append-only'); END;
CREATE TRIGGER day_version_stays BEFORE DELETE ON day_version BEGIN SELECT RAISE(ABORT, 'day_version is append-only'); END;
CREATE TRIGGER acknowledgement_is_kept BEFORE UPDATE ON acknowledgement BEGIN SELECT RAISE(ABORT, 'acknowledgement is append-only'); END;
CREATE TRIGGER acknowledgement_stays BEFORE DELETE ON acknowledgement BEGIN SELECT RAISE(ABORT, 'acknowledgement is append-only'); END;
CREATE TRIGGER decision_is_kept BEFORE UPDATE ON decision BEGIN SELECT RAISE(ABORT, 'decision is append-only'); END;
CREATE TRIGGER decision_stays BEFORE DELETE ON decision BEGIN SELECT RAISE(ABORT, 'decision is append-only'); END;
CREATE TRIGGER history_is_kept BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_stays BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
