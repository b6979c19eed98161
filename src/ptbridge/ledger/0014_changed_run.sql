-- In which run a visit changed last is in the history, with the moment; nothing ever read it here.
ALTER TABLE visit DROP COLUMN changed_run;
