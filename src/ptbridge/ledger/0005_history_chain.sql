-- Each row of the history gets the digest of itself and all before it (`chained` is ptbridge's, ledger/chain.py).

ALTER TABLE history RENAME TO history_before;

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
    actor TEXT NOT NULL DEFAULT 'ptbridge',
    digest BLOB NOT NULL
);
INSERT INTO history (seq, at, run_id, clinic, entity, entity_id, event, detail, actor, digest)
    SELECT seq, at, run_id, clinic, entity, entity_id, event, detail, actor,
           chained(seq, at, run_id, clinic, entity, entity_id, event, detail, actor)
    FROM history_before ORDER BY seq;
DROP TABLE history_before;
CREATE INDEX history_by_entity ON history (entity, entity_id);
CREATE TRIGGER history_is_kept BEFORE UPDATE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER history_stays BEFORE DELETE ON history BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;

-- where the history ends: a cut-off end does not fit it
CREATE TABLE history_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL
);
INSERT INTO history_head
    SELECT 1, coalesce(max(seq), 0), coalesce((SELECT digest FROM history ORDER BY seq DESC LIMIT 1), zeroblob(32)) FROM history;
