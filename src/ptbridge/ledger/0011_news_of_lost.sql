-- News that names a submission by a key that this ledger never made: a ledger that a restore replaced made it. It counts once the
-- same submission is made again, or where the day was taken over as the biller has it; until then it says nothing of another.
ALTER TABLE answer ADD COLUMN submission_key TEXT;
CREATE INDEX answer_of_lost ON answer (clinic, destination, submission_key) WHERE submission_key IS NOT NULL;
