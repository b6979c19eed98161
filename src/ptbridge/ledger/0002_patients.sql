-- What is known about a patient beyond one day: whose day it is, what each day bills, authorizations, opening amounts.
-- `patient_key` is the SHA-256 of clinic and patient id. `patient_key_of` and `unpacked` are ptbridge's (ledger/database.py):
-- they bring up what an older ledger already has.

ALTER TABLE treatment_day ADD COLUMN patient_key TEXT;
ALTER TABLE treatment_day ADD COLUMN visit_types TEXT NOT NULL DEFAULT '';
ALTER TABLE treatment_day ADD COLUMN authorization_number TEXT;
UPDATE treatment_day SET patient_key = patient_key_of(clinic, day_key);
CREATE INDEX treatment_day_by_patient ON treatment_day (clinic, patient_key, service_date);

-- days are judged in the order of their service dates, so that running totals are those of the day
DROP INDEX treatment_day_dirty;
CREATE INDEX treatment_day_dirty ON treatment_day (clinic, service_date, id) WHERE dirty = 1;

-- what a judged day bills (or would, while it is held): replaced with each judgement, kept while a void is on its way
CREATE TABLE billed_line (
    day_id INTEGER NOT NULL REFERENCES treatment_day (id),
    place INTEGER NOT NULL,
    procedure TEXT NOT NULL,
    modifiers TEXT NOT NULL,
    units INTEGER NOT NULL,
    amount_cents INTEGER,
    allowed_cents INTEGER,
    started_at TEXT,
    ended_at TEXT,
    PRIMARY KEY (day_id, place)
) WITHOUT ROWID;
INSERT INTO billed_line (day_id, place, procedure, modifiers, units, amount_cents)
    SELECT d.id, line.key, json_extract(line.value, '$.procedure'),
           coalesce((SELECT group_concat(word.value, ' ') FROM json_each(line.value, '$.modifiers') word), ''),
           json_extract(line.value, '$.units'), json_extract(line.value, '$.amount_cents')
    FROM treatment_day d JOIN day_version w ON w.id = d.version_id, json_each(unpacked(w.body), '$.lines') line
    WHERE d.state IN ('held', 'queued', 'sent');
UPDATE treatment_day SET visit_types = coalesce((
    SELECT group_concat(DISTINCT json_extract(one.value, '$.type'))
    FROM day_version w, json_each(unpacked(w.body), '$.visits') one WHERE w.id = treatment_day.version_id), '')
    WHERE version_id IS NOT NULL;

-- a payer's leave to treat; empty text: not said. `counts` is visits, units, days or cents
CREATE TABLE authorization (
    id INTEGER PRIMARY KEY,
    clinic TEXT NOT NULL,
    patient_key TEXT NOT NULL,
    number TEXT NOT NULL,
    payer TEXT NOT NULL,
    discipline TEXT NOT NULL,
    counts TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    codes TEXT NOT NULL,
    valid_from TEXT,
    valid_to TEXT,
    source TEXT NOT NULL,
    UNIQUE (clinic, patient_key, number, discipline, codes)
);

-- Medicare therapy dollars used at every clinic, this one included, by a date: from an eligibility answer
CREATE TABLE threshold_opening (
    clinic TEXT NOT NULL,
    patient_key TEXT NOT NULL,
    year INTEGER NOT NULL,
    kx_group TEXT NOT NULL,
    amount_cents INTEGER NOT NULL,
    as_of TEXT NOT NULL,
    source TEXT NOT NULL,
    PRIMARY KEY (clinic, patient_key, year, kx_group)
) WITHOUT ROWID;
