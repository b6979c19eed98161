"""How SQLite finds things: what a night asks must not read the whole history, whatever the planner knows of the tables."""

from datetime import UTC, datetime

import apsw
import pytest

from ptbridge.ledger import Ledger, Verdict
from ptbridge.ledger.accounts import _FATES, _HELD_FIRST, WAITING
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


def test_fates_ask_each_day_for_its_own_submissions(ledger):
    shown = plan(ledger, _FATES.format(scope="v.seen_run = ?1"), 1, "oak")
    assert "visit_by_run" in shown
    assert "submission_by_day" in shown and "submission_by_accepted_run" not in shown


def test_the_worklist_is_found_without_the_history(ledger):
    shown = plan(ledger, f"SELECT count(*) FROM treatment_day d WHERE d.clinic = ? AND d.state = 'held' AND {WAITING}", "oak")
    assert "treatment_day_waiting" in shown
    assert "treatment_day_waiting" in plan(ledger, _HELD_FIRST, "oak", "", 5)
    update = "UPDATE treatment_day SET dirty = 1 WHERE clinic = ? AND state = 'held' AND state IN ('held', 'queued', 'open')"
    assert "treatment_day_waiting" in plan(ledger, update, "oak")


def test_what_is_read_again_on_a_new_day_is_found_without_the_history(ledger):
    shown = plan(ledger, READ_AGAIN, "oak")
    assert (
        "treatment_day_waiting" in shown and "visit_quarantined" in shown and "SCAN" not in shown.replace("SCAN CONSTANT", "")
    )


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
    assert (ledger.accounts.held_days("oak"), ledger.accounts.held_days("elm")) == (4, 0)


def test_what_a_restore_asks_each_run_never_reads_all_that_was_sent(ledger):
    _, *parts = plan(ledger, _SUSPECTS, "oak").split("SEARCH b USING INDEX biller_had_unsettled")
    assert len(parts) == 2, "what waits, and what stands otherwise"
    assert "SCAN" not in "".join(parts) and all(" (clinic=?) / SEARCH " in part for part in parts)
    assert plan(ledger, _UNASKED, "oak", "2026-03-13").startswith("SEARCH s USING INDEX submission_open_order")


def test_what_waits_is_found_without_all_that_was_sent(ledger):
    asked = []
    ledger._connection.exec_trace = lambda cursor, sql, values: asked.append(sql) is None
    ledger.accounts.waiting("oak")
    ledger.accounts.oldest("oak")
    ledger._connection.exec_trace = None
    plans = [plan(ledger, sql, "oak") for sql in asked]
    assert [("submission_open_order" in one or "treatment_day_waiting" in one) for one in plans] == [True, True, True]
