-- A ledger that was restored from a backup may have forgotten what was sent after the backup was made: nothing leaves before the
-- biller was asked (contract D25).

CREATE TABLE restored (
    id INTEGER PRIMARY KEY,
    backup_made_at TEXT NOT NULL,
    restored_at TEXT NOT NULL
);

-- per clinic: when the biller was asked after a restore, and whether it could tell (`asked` 0: it cannot be asked)
CREATE TABLE restored_clinic (
    restored_id INTEGER NOT NULL REFERENCES restored (id),
    clinic TEXT NOT NULL,
    compared_at TEXT NOT NULL,
    asked INTEGER NOT NULL,
    PRIMARY KEY (restored_id, clinic)
) WITHOUT ROWID;

-- what the biller had then: `settled` once the ledger knows it too
CREATE TABLE biller_had (
    clinic TEXT NOT NULL,
    reference TEXT NOT NULL,
    units INTEGER NOT NULL,
    amount_cents INTEGER NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (clinic, reference)
) WITHOUT ROWID;
CREATE INDEX biller_had_unsettled ON biller_had (clinic) WHERE settled = 0;
