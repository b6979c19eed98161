-- The inbox: every HL7 v2 message as it came, in order of arrival. Nothing in it is changed or deleted.
-- `state`: taken (the connector reads it), ignored (recorded and counted, with the reason) or damaged (quarantined, with the reason).

CREATE TABLE message (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    clinic TEXT NOT NULL,
    received_at TEXT NOT NULL,
    origin TEXT NOT NULL,
    sender TEXT NOT NULL,
    facility TEXT NOT NULL,
    control_id TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    remarks TEXT NOT NULL,
    raw BLOB NOT NULL,
    answer BLOB NOT NULL
);
-- same sender, same control id, same bytes: the same message (contract D7)
CREATE UNIQUE INDEX message_identity ON message (clinic, sender, facility, control_id, sha256);
CREATE INDEX message_by_clinic ON message (clinic, seq);

-- which visit, account, patient and day a message is about: where to look, not what to believe
CREATE TABLE about (
    clinic TEXT NOT NULL,
    path TEXT NOT NULL,
    value TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES message (seq),
    PRIMARY KEY (clinic, path, value, seq)
) WITHOUT ROWID;
CREATE INDEX about_by_message ON about (seq);

-- a message without its bytes, with all that it is about
CREATE VIEW entry AS
SELECT m.seq, m.clinic, m.received_at, m.kind, m.state, m.reason,
    (SELECT json_group_array(json_array(k.path, k.value)) FROM about k WHERE k.seq = m.seq) AS keys
FROM message m;

CREATE TRIGGER message_is_kept BEFORE UPDATE ON message BEGIN SELECT RAISE(ABORT, 'message is append-only'); END;
CREATE TRIGGER message_stays BEFORE DELETE ON message BEGIN SELECT RAISE(ABORT, 'message is append-only'); END;
