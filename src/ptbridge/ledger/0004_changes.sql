-- What a correction is of: the judgement behind each submission, and the name of the live charge at the biller.

-- the judgement that a submission was made from: what a person is shown as "before"
ALTER TABLE submission ADD COLUMN version_id INTEGER REFERENCES day_version (id);
UPDATE submission SET version_id =
    (SELECT max(w.id) FROM day_version w WHERE w.day_id = submission.day_id AND w.run_id <= submission.run_id);
-- once accepted, this void ends its reference: what is billed after it has one of its own
ALTER TABLE submission ADD COLUMN closes_reference INTEGER NOT NULL DEFAULT 0;
-- once accepted, the day is judged again, because a new original follows
ALTER TABLE submission ADD COLUMN judge_after INTEGER NOT NULL DEFAULT 0;
-- until then (Unix seconds) it waits in the clinic's hold window; NULL: there is none
ALTER TABLE submission ADD COLUMN window_until REAL;
-- a person had the biller do it: no byte was sent by us
ALTER TABLE submission ADD COLUMN by_hand INTEGER NOT NULL DEFAULT 0;

-- `generation` counts the references that a void has ended; `live_reference` and `live_frequency` are those of what is live
ALTER TABLE treatment_day ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE treatment_day ADD COLUMN live_reference TEXT;
ALTER TABLE treatment_day ADD COLUMN live_frequency TEXT;
UPDATE treatment_day SET live_reference = reference, live_frequency =
    (SELECT s.frequency FROM submission s WHERE s.day_id = treatment_day.id AND s.state = 'accepted' ORDER BY s.id DESC LIMIT 1)
    WHERE live_sha256 IS NOT NULL;

-- a visit that moved is found from the day that it left, whose charge may still bill it
CREATE INDEX visit_by_left_day ON visit (left_day_id) WHERE left_day_id IS NOT NULL;
