-- Sent or settled days that a person asked to have judged anew (contract D27), with what names the configuration that the person
-- was shown. The next run takes them up; another configuration by then lets the question lapse.
CREATE TABLE asked_anew (
    day_id INTEGER PRIMARY KEY REFERENCES treatment_day (id),
    configuration TEXT NOT NULL
);
