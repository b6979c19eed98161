-- When `ptbridge purge` emptied a row (ISO 8601 UTC), NULL: it is as it was stored (ledger/purge.py, docs/security.md). What names
-- a row, its digest, its counts, units and cents stay; a treatment day has the time of its first purge.

ALTER TABLE treatment_day ADD COLUMN purged_at TEXT;
ALTER TABLE source_record ADD COLUMN purged_at TEXT;
ALTER TABLE visit_version ADD COLUMN purged_at TEXT;
ALTER TABLE day_version ADD COLUMN purged_at TEXT;
ALTER TABLE submission ADD COLUMN purged_at TEXT;
