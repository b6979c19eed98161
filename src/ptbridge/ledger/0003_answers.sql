-- What was said later about what was sent, and how far each day has come by it.

-- append-only: news from the platform, the clearinghouse, the payer, the remittance. `submission_id` NULL: about something
-- that this ledger did not send. `codes` is a JSON list of [system, code]; `text` is packed, a JSON list of the answer's text and
-- each code's: they may name a patient.
CREATE TABLE answer (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    destination TEXT NOT NULL,
    answer_key TEXT NOT NULL,
    submission_id INTEGER REFERENCES submission (id),
    reference TEXT,
    destination_id TEXT,
    stage TEXT NOT NULL,
    standing TEXT NOT NULL,
    line INTEGER,
    procedure TEXT,
    codes TEXT NOT NULL,
    charged_cents INTEGER,
    paid_cents INTEGER,
    adjusted_cents INTEGER,
    patient_cents INTEGER,
    payer_claim_number TEXT,
    said_at TEXT NOT NULL,
    text BLOB NOT NULL,
    received_at TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    UNIQUE (clinic, destination, answer_key)
);
CREATE INDEX answer_by_submission ON answer (submission_id);
CREATE INDEX answer_of_nothing ON answer (clinic, destination, destination_id) WHERE submission_id IS NULL;
CREATE TRIGGER answer_is_kept BEFORE UPDATE ON answer BEGIN SELECT RAISE(ABORT, 'answer is append-only'); END;
CREATE TRIGGER answer_stays BEFORE DELETE ON answer BEGIN SELECT RAISE(ABORT, 'answer is append-only'); END;

-- the newest word about what is live now; cleared when another submission becomes live
ALTER TABLE treatment_day ADD COLUMN stage TEXT;
ALTER TABLE treatment_day ADD COLUMN standing TEXT;
ALTER TABLE treatment_day ADD COLUMN payer_claim_number TEXT;
CREATE INDEX treatment_day_refused ON treatment_day (clinic, standing) WHERE standing IN ('rejected', 'denied');

-- the platform's id of what it stored is how most of its news names a charge
CREATE INDEX submission_by_destination_id ON submission (clinic, destination, destination_id) WHERE destination_id IS NOT NULL;
CREATE INDEX submission_by_reference ON submission (clinic, reference);
