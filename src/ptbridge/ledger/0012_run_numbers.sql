-- The highest run number that was ever used here when a backup was restored, by the ledger that was put aside, the reports and
-- the logs: runs are numbered on from it, so that no two have one number and no report takes another's place.
ALTER TABLE restored ADD COLUMN last_run INTEGER NOT NULL DEFAULT 0;
