"""How SQLite finds things: what a night asks must not read the whole history, whatever the planner knows of the tables."""

from datetime import UTC, datetime

import apsw
import pytest

from ptbridge.ledger import Ledger, Verdict
from ptbridge.ledger.accounts import _FATES, _HELD_FIRST
from ptbridge.ledger.answers import _AMBIGUOUS, _SUBMISSION
from ptbridge.ledger.restored import _SUSPECTS, _UNASKED
from ptbridge.ledger.visits import READ_AGAIN


@pytest.fixture
def ledger(tmp_path):
    with Ledger.open(tmp_path, now=lambda: datetime(2026, 3, 13, 1, tzinfo=UTC)) as opened:
        opened.begin_run("oak")
        yield opened


def plan(ledger, sql, *values):
    with apsw.Connection(str(ledger.folder / "ledger.sqlite")) as connection:
        return " / ".join(str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values))


def plans_of(ledger, ask):
    """The plan of every question that a call asks."""
    asked = []
    ledger._connection.exec_trace = lambda cursor, sql, values: asked.append((sql, values or ())) is None
    try:
        ask()
    finally:
        ledger._connection.exec_trace = None
    return [plan(ledger, sql, *values) for sql, values in asked]


def test_fates_ask_each_day_for_its_own_submissions(ledger):
    shown = plan(ledger, _FATES.format(scope="v.seen_run = ?1"), 1, "oak")
    assert "visit_by_run" in shown
    assert "submission_by_day" in shown and "submission_by_accepted_run" not in shown


def test_the_worklist_is_found_without_the_history(ledger):
    plans = plans_of(
        ledger, lambda: (ledger.accounts.held_days("oak"), ledger.days.mark_held("oak"), list(ledger.accounts.held("oak")))
    )
    assert ["treatment_day_held" in one for one in plans] == [True, True, True]
    assert "treatment_day_held" in plan(ledger, _HELD_FIRST, "oak", "[]", "", 5)


def test_what_is_read_again_on_a_new_day_is_found_without_the_history(ledger):
    shown = plan(ledger, READ_AGAIN, "oak")
    assert "treatment_day_held" in shown and "visit_quarantined" in shown and "SCAN" not in shown.replace("SCAN CONSTANT", "")


def hold(ledger, number, service_date, since):
    day_id = ledger.days.ensure("oak", f"key {number}", f"pt-{number}", service_date)
    row = ledger.days.get(day_id)
    assert row is not None
    ledger.days.record(row, Verdict(state="held", reason="DX01", body=b"%d" % number, visits_sha256=b"v"))
    ledger._connection.execute("UPDATE treatment_day SET held_since = ? WHERE id = ?", (since, day_id))


def test_what_was_held_newly_comes_first_and_never_more_than_asked(ledger):
    with ledger.transaction():
        hold(ledger, 1, "2026-03-02", "2026-03-03T01:00:00.000+00:00")
        hold(ledger, 2, "2026-03-01", "2026-03-03T01:00:00.000+00:00")
        hold(ledger, 3, "2026-03-11", "2026-03-13T01:00:00.000+00:00")
        hold(ledger, 4, None, "2026-03-13T01:00:00.000+00:00")
    found = [reference for reference, *_ in ledger.accounts.held_first("oak", "2026-03-13T01:00:00+00:00", 3)]
    assert found == ["pt-4", "pt-3", "pt-2"]
    ((_, reason, since, body),) = list(ledger.accounts.held_first("oak", "2026-03-13T01:00:00+00:00", 1))
    assert (reason, since, body) == ("DX01", "2026-03-13T01:00:00.000+00:00", b"4")
    assert (ledger.accounts.held_days("oak"), ledger.accounts.held_days("elm")) == ({"DX01": 4}, {})


def test_what_a_restore_asks_each_run_never_reads_all_that_was_sent(ledger):
    _, *parts = plan(ledger, _SUSPECTS, "oak").split("SEARCH b USING INDEX biller_had_unsettled")
    assert len(parts) == 2, "what waits, and what stands otherwise"
    assert "SCAN" not in "".join(parts) and all(" (clinic=?) / SEARCH " in part for part in parts)
    assert ["(reference=?)" in part for part in parts] == [True, True], "not each day of the clinic, for each"
    assert plan(ledger, _UNASKED, "oak", "2026-03-13").startswith("SEARCH s USING INDEX submission_open")


def test_what_waits_is_found_without_all_that_was_sent(ledger):
    plans = plans_of(ledger, lambda: (ledger.accounts.waiting("oak"), ledger.accounts.oldest("oak", 0)))
    assert [("submission_open" in one or "treatment_day_held" in one) for one in plans] == [True, True, True]
    (shown,) = plans_of(ledger, lambda: ledger.days.changing("oak"))
    assert "submission_open" in shown and "treatment_day_held" in shown and "SCAN" not in shown


def test_what_delivery_asks_reads_what_is_open_only(ledger):
    outbox = ledger.outbox("oak", "charge_api")
    due, next_due = plans_of(ledger, lambda: (outbox.due(now=0.0, limit=5), outbox.next_due_at()))
    assert "SEARCH s USING INDEX submission_open (clinic=? AND destination=? AND next_at<?)" in due
    assert "SEARCH e USING INDEX submission_by_day (day_id=? AND rowid<?)" in due and "TEMP B-TREE" not in due
    assert "submission_open" in next_due
    begun = plans_of(ledger, outbox.recover)
    assert any("submission_open (clinic=?)" in one for one in begun)


def test_news_finds_its_submission_by_reference_or_by_the_platforms_id(ledger):
    shown = plan(ledger, _SUBMISSION, "oak", "charge_api", "B1", "pt-1", "pt-2", "key")
    assert "submission_by_destination_id" in shown and "submission_by_reference" in shown
    assert "submission_by_reference" in plan(ledger, _AMBIGUOUS, "oak", "pt-1", "pt-2")
