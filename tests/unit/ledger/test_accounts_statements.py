"""Parts of the statements of `accounts` that, broken by hand, once passed every other test.

Each test puts the counterpart beside it that must not be counted: another clinic, another day, another run.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import apsw
import pytest

from ptbridge.model import Disposition, Fate, Frequency, Stage, Standing

CLINIC, OTHER, SOURCE = "riverside", "lakeside", "fhir_r4"
TABLES = ("visit", "treatment_day", "submission", "source_record")


def theirs(book: Any, *names: str) -> None:
    """Give these visits, with their days and submissions, to another clinic of the same ledger."""
    for name in names:
        of_day = "(SELECT day_id FROM visit WHERE visit_id = ?2)"
        book.connection.execute(f"UPDATE submission SET clinic = ?1 WHERE day_id = {of_day}", (OTHER, name))
        book.connection.execute(f"UPDATE treatment_day SET clinic = ?1 WHERE id = {of_day}", (OTHER, name))
        book.connection.execute("UPDATE visit SET clinic = ?1 WHERE visit_id = ?2", (OTHER, name))


def hold(book: Any, name: str, reason: str = "DX01", on: int = 20, **page: Any) -> int:
    day: int = book.visit(name, on=on)
    book.judge(day, "held", reason, page)
    return day


def later(book: Any, **more: float) -> None:
    book.now += timedelta(**more)


# ---------------------------------------------------------------- fates


def test_each_visit_of_the_clinic_has_one_fate_by_what_it_is_before_what_its_day_is(book) -> None:
    for name in ("held", "out", "sent", "void", "waits", "deleted", "cancelled", "theirs"):
        book.visit(name, lines=2)
    day = {
        name: book.ledger.days.named(name)[0].id for name in ("held", "out", "sent", "void", "waits", "deleted", "cancelled")
    }
    book.judge(day["held"], "held", "DX01")
    book.judge(day["out"], "excluded")
    for name in ("sent", "void", "deleted", "cancelled"):
        book.send(day[name])
        book.answer()
    book.judge(day["void"], "voided", gone=True)
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, SOURCE, "deleted")
    book.connection.execute("UPDATE visit SET excluded_rule = 'NB01', excluded_lines = 1 WHERE visit_id = 'cancelled'")
    book.send(day["waits"])
    book.unreadable("unread")
    book.visit("unread-now")
    book.unreadable("unread-now")
    theirs(book, "theirs")
    visits, lines = book.ledger.accounts.fates(CLINIC, book.run)
    assert visits == {Fate.QUARANTINED: 2, Fate.EXCLUDED: 4, Fate.HELD: 1, Fate.SENT: 1, Fate.QUEUED: 1}
    assert lines == {Fate.EXCLUDED: 8, Fate.HELD: 2, Fate.SENT: 2, Fate.QUEUED: 2}
    assert book.ledger.accounts.fates(OTHER, book.run)[0].total() == 1


def test_a_visit_is_sent_in_the_run_in_which_its_own_day_was(book) -> None:
    book.sent("e1")
    book.ledger.begin_run(CLINIC)
    second = book.sent("e2")
    visits, _ = book.ledger.accounts.fates(CLINIC, book.ledger.history.run_id, everything=True)
    assert visits == {Fate.UNCHANGED: 1, Fate.SENT: 1} and second


# ---------------------------------------------------------------- what a run sent, and what is live


def test_a_run_sent_what_was_accepted_in_it_a_void_for_nothing(book) -> None:
    accounts, day = book.ledger.accounts, book.sent("e1")
    second = book.ledger.begin_run(CLINIC)
    assert accounts.sent_in(second) == {"submissions": 0, "units": 0, "amount_cents": 0}
    book.send(day, b"2", Frequency.VOID)
    book.answer()
    assert accounts.sent_in(book.run) == {"submissions": 1, "units": 2, "amount_cents": 9000}
    assert accounts.sent_in(second) == {"submissions": 1, "units": 0, "amount_cents": 0}


def test_what_is_live_is_counted_as_the_biller_has_it_under_the_reference_that_it_knows(book) -> None:
    accounts = book.ledger.accounts
    first, last, waits = book.sent("e1", on=3), book.sent("e2", on=9), book.visit("e3", on=5)
    book.sent("e4", on=4)
    theirs(book, "e4")
    book.connection.execute("UPDATE treatment_day SET live_reference = 'pt-second' WHERE id = ?", (last,))
    book.connection.execute("UPDATE treatment_day SET live_reference = NULL WHERE id = ?", (first,))
    book.connection.execute("UPDATE treatment_day SET units = 99, amount_cents = 99")
    here = {book.row(first).reference: (2, 9000), "pt-second": (2, 9000)}
    assert dict(accounts.live(CLINIC)) == dict(accounts.live(CLINIC, ("2026-11-03", "2026-11-09"))) == here
    assert list(dict(accounts.live(CLINIC, ("2026-11-04", "2026-11-09")))) == ["pt-second"]
    assert list(dict(accounts.live(CLINIC, ("2026-11-03", "2026-11-08")))) == [book.row(first).reference]
    assert accounts.live_dates(CLINIC) == ("2026-11-03", "2026-11-09") and accounts.live_dates(OTHER) == ("2026-11-04",) * 2
    book.judge(waits, "held", "DX01")
    later_run = book.ledger.begin_run(CLINIC)
    book.sent("e5", on=11)
    book.sent("e6", on=12)
    assert accounts.live_dates(CLINIC, later_run) == ("2026-11-11", "2026-11-12"), "the earlier run's are none of it"
    assert accounts.live_dates(CLINIC, book.run) == ("2026-11-03", "2026-11-09")


def test_the_dates_of_what_is_live_are_not_those_of_what_waits(book) -> None:
    book.visit("e1", on=1)
    book.sent("e2", on=9)
    book.visit("e3", on=19)
    assert book.ledger.accounts.live_dates(CLINIC) == ("2026-11-09", "2026-11-09")


# ---------------------------------------------------------------- the worklist


@pytest.fixture
def worklist(book) -> dict[str, int]:
    """Held days in another order than that of their dates, one that was judged twice, one that waits, one of another clinic."""
    days = {name: hold(book, name, on=on) for name, on in (("b", 9), ("a", 9), ("first", 3))}
    book.judge(days["a"], "held", "DX01", {"findings": [{"code": "NEW"}]})
    book.send(book.visit("waits", on=2))
    hold(book, "theirs", on=1)
    theirs(book, "theirs")
    return days


def test_the_worklist_is_the_clinics_by_service_date_and_then_as_it_came_with_the_newest_judgement(book, worklist) -> None:
    found = list(book.ledger.accounts.held(CLINIC))
    assert [row[0] for row in found] == [worklist[name] for name in ("first", "b", "a")]
    assert [b"NEW" in row[-1] for row in found] == [False, False, True]
    assert book.ledger.accounts.held_days(CLINIC) == {"DX01": 3} and book.ledger.accounts.held_days(OTHER) == {"DX01": 1}


def test_what_a_run_shows_of_the_worklist_comes_in_the_same_order(book, worklist) -> None:
    later(book, hours=1)
    since = book.ledger.history.now()
    newest = hold(book, "newest", on=30)
    found = list(book.ledger.accounts.held_first(CLINIC, since, 9))
    ordered = [newest, *(worklist[name] for name in ("first", "b", "a"))]
    assert [row[0] for row in found] == [book.row(day).reference for day in ordered]
    assert [b"NEW" in row[-1] for row in found] == [False, False, False, True]


def test_a_run_judged_the_days_of_the_visits_that_it_saw_each_once(book, worklist) -> None:
    book.visit("a-again", day="a", on=9)
    book.judge(worklist["a"], "held", "DX01", {"findings": [{"code": "NEWEST"}]})
    before = book.ledger.begin_run(CLINIC)
    seen = hold(book, "seen", on=8)
    book.ledger.begin_run(CLINIC)
    hold(book, "after", on=7)
    accounts = book.ledger.accounts
    assert [row[0] for row in accounts.judged_in(CLINIC, before)] == [book.row(seen).reference]
    found = [row for row in accounts.judged_in(CLINIC, book.run) if row[1] == "held"]
    assert [row[0] for row in found] == [book.row(worklist[name]).reference for name in ("first", "b", "a")]
    assert [b"NEWEST" in row[-1] for row in found] == [False, False, True]
    assert len(list(accounts.judged_in(OTHER, book.run))) == 1


@pytest.mark.parametrize("which", ["held", "judged_in"])
def test_days_are_put_in_order_without_their_judgements(book, which: str) -> None:
    """With them, a first sync of 100,000 visits held 100 MB for a page that shows 2,000."""
    for number in range(60):
        hold(book, f"long-{number}", findings=[{"code": "DX01", "text": secrets.token_hex(100_000)}])
    accounts = book.ledger.accounts
    days = accounts.held(CLINIC) if which == "held" else accounts.judged_in(CLINIC, book.run)
    before = apsw.memory_used()
    apsw.memory_high_water(True)
    assert next(days)[0]
    assert apsw.memory_high_water() - before < 2_000_000, "one judgement and no more: 60 of them are 6 MB"


def test_what_cannot_be_read_is_the_clinics_in_the_order_in_which_it_came(book) -> None:
    at = book.ledger.history.now()
    book.unreadable("z")
    book.visit("readable")
    book.unreadable("theirs")
    theirs(book, "theirs")
    book.unreadable("a")
    later(book, hours=1)
    book.unreadable("z", "entry 2: no code")
    book.connection.execute("UPDATE visit SET reason = NULL WHERE visit_id = 'a'")
    found = book.ledger.accounts.quarantined(CLINIC)
    assert [tuple(row.values()) for row in found] == [("z", "entry 2: no code", at), ("a", "", at)]


def test_days_are_counted_by_state_in_their_clinic(book, worklist) -> None:
    found = book.ledger.accounts.days_by_state(CLINIC)
    assert {state: (row["days"], row["oldest_service_date"]) for state, row in found.items()} == {
        "held": (3, "2026-11-03"),
        "queued": (1, "2026-11-02"),
    }


# ---------------------------------------------------------------- submissions


def test_what_waits_is_the_clinics_and_open_in_the_order_in_which_it_was_made(book) -> None:
    book.sent("accepted")
    days = []
    for name, window in (("late", 3600.0), ("early", 0.0), ("theirs", 0.0)):
        days.append(book.visit(name))
        book.send(days[-1], window_seconds=window)
    theirs(book, "theirs")
    references = [row["reference"] for row in book.ledger.accounts.waiting(CLINIC)]
    assert references == [book.row(day).reference for day in days[:2]]


def test_a_day_is_turned_away_when_its_own_last_accepted_original_was_and_nothing_is_live(book) -> None:
    def turned(name: str, said: Standing = Standing.REJECTED, **more: Any) -> int:
        day: int = book.visit(name)
        book.send(day, **more)
        book.answer(destination_id=name)
        book.hear(name, Stage.CLEARINGHOUSE, said, destination_id=name)
        return day

    gone = {}
    for name in ("rejected", "denied", "theirs"):
        gone[name] = turned(name, Standing.DENIED if name == "denied" else Standing.REJECTED)
        book.judge(gone[name], "voided", gone=True)
    theirs(book, "theirs")
    turned("live")
    accounts = book.ledger.accounts
    assert accounts.turned_away(CLINIC) == {book.row(gone["rejected"]).reference}
    book.send(gone["rejected"], b"again")
    assert accounts.turned_away(CLINIC) == {book.row(gone["rejected"]).reference}, "what waits was not taken yet"
    book.answer(destination_id="again")
    book.connection.execute("UPDATE treatment_day SET live_sha256 = NULL WHERE id = ?", (gone["rejected"],))
    assert accounts.turned_away(CLINIC) == set(), "the last one that was taken was not turned away"


def test_an_original_that_was_rejected_and_is_not_corrected_yet_is_told_by_its_live_reference(book) -> None:
    """A rejected correction leaves the payer what it was to correct; a denied claim exists."""
    day = {name: book.sent(name) for name in ("gone", "denied", "fine", "corrected", "void", "theirs")}
    book.send(day["corrected"], b"2", Frequency.REPLACEMENT)
    book.answer(destination_id="the-correction")
    for name in ("gone", "denied", "corrected", "void", "theirs"):
        said = Standing.DENIED if name == "denied" else Standing.REJECTED
        of = book.row(day[name]).live_reference
        book.connection.execute("UPDATE treatment_day SET standing = ? WHERE id = ?", (said.value, day[name]))
        assert of
    book.connection.execute("UPDATE treatment_day SET live_sha256 = NULL WHERE id = ?", (day["void"],))
    book.connection.execute("UPDATE treatment_day SET live_reference = 'pt-again' WHERE id = ?", (day["gone"],))
    theirs(book, "theirs")
    assert book.ledger.accounts.rejected(CLINIC) == {"pt-again"}


def test_a_void_that_was_turned_away_is_no_original(book) -> None:
    day = book.sent("e1")
    book.send(day, b"2", Frequency.VOID)
    book.answer(destination_id="the-void")
    book.hear("1", Stage.CLEARINGHOUSE, Standing.REJECTED, destination_id="the-void")
    assert book.row(day).live_sha256 is None and book.ledger.accounts.turned_away(CLINIC) == set()


def test_submissions_of_a_day_come_oldest_first_each_with_its_own_last_answer(book) -> None:
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.RETRY, native_code="429", native_text="busy")
    book.connection.execute("UPDATE submission SET next_at = 0")
    book.answer(native_code="201", native_text="taken")
    book.send(day, b"2", Frequency.REPLACEMENT)
    book.answer(native_code="200", native_text="changed")
    book.sent("e2")
    said = [(row["revision"], row["last_answer"]) for row in book.ledger.accounts.submissions_of(day)]
    assert said == [(1, "accepted 201 taken"), (2, "accepted 200 changed")]


def test_decisions_of_a_day_come_oldest_first_and_are_its_own(book) -> None:
    day, other = hold(book, "e1"), hold(book, "e2")
    for where, kind in ((day, "release"), (other, "exclude"), (day, "exclude")):
        with book.ledger.transaction():
            book.ledger.days.decide(book.row(where), kind, "DX01", "so", "someone")
    assert [row["kind"] for row in book.ledger.accounts.decisions_of(day)] == ["release", "exclude"]


# ---------------------------------------------------------------- runs, and how old things are


def test_the_newest_record_is_the_clinics_and_the_sources(book) -> None:
    accounts, first = book.ledger.accounts, book.now.isoformat()
    book.visit("e1")
    later(book, hours=1)
    book.visit("e2")
    assert accounts.last_received(CLINIC, SOURCE) == book.now.isoformat() != first
    assert accounts.last_received(OTHER, SOURCE) is None and accounts.last_received(CLINIC, "csv_charges") is None


def end(book: Any, run: int, errors: str = "[]") -> str:
    """End a run an hour later; when it ended."""
    later(book, hours=1)
    book.ledger.end_run(run, f'{{"errors": {errors}}}')
    return str(book.now.isoformat())


def test_runs_are_the_clinics_the_first_the_last_and_the_last_without_trouble(book) -> None:
    accounts, begun = book.ledger.accounts, book.now.isoformat()
    end(book, book.run)
    second = book.ledger.begin_run(CLINIC)
    well = end(book, second)
    third = book.ledger.begin_run(CLINIC)
    end(book, third, '["away"]')
    end(book, book.ledger.begin_run(OTHER))
    book.ledger.begin_run(CLINIC)  # it has not ended
    assert (accounts.first_started(CLINIC), accounts.last_success(CLINIC)) == (begun, well)
    last = accounts.last_run(CLINIC)
    assert last is not None and last["run_id"] == third
    assert accounts.first_started(OTHER) != begun


def test_the_oldest_hold_is_the_clinics_and_of_a_day_that_is_held_still(book) -> None:
    hold(book, "theirs")
    theirs(book, "theirs")
    was = hold(book, "was-held")
    book.connection.execute("UPDATE treatment_day SET state = 'open' WHERE id = ?", (was,))
    later(book, hours=1)
    since = book.ledger.history.now()
    hold(book, "e1")
    later(book, hours=1)
    hold(book, "e2")
    assert book.ledger.accounts.oldest(CLINIC, 0)["held_since"] == since


def test_the_oldest_that_waits_is_the_clinics_open_and_out_of_its_window(book) -> None:
    accounts = book.ledger.accounts
    book.sent("accepted")
    book.send(book.visit("theirs"))
    theirs(book, "theirs")
    later(book, hours=1)
    book.send(book.visit("e1"))
    since = book.now.timestamp()
    later(book, hours=1)
    book.send(book.visit("e2"))
    assert accounts.oldest(CLINIC, since + 9000)["waiting_since"] == since
