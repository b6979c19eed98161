"""What the ledger answers when asked: each question on a few days of which the answer can be counted by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from ptbridge.ledger import Recorded
from ptbridge.ledger.news import moment
from ptbridge.model import Disposition, Fate, Frequency, Stage, Standing

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"


def test_lines_that_do_not_bill_are_excluded_within_a_day_that_does(book):
    day = book.visit("e1", lines=3)
    with book.ledger.transaction():
        (row,) = book.connection.execute("SELECT id FROM visit")
    book.send(day, excluded={row[0]: (1, None)})
    visits, lines = book.ledger.accounts.fates(CLINIC, book.run)
    assert visits == {Fate.QUEUED: 1} and lines == {Fate.QUEUED: 2, Fate.EXCLUDED: 1}
    later = book.ledger.begin_run(CLINIC)
    assert book.ledger.accounts.fates(CLINIC, later)[0].total() == 0
    assert book.ledger.accounts.fates(CLINIC, later, everything=True)[0] == {Fate.QUEUED: 1}
    assert book.ledger.accounts.fates("other", book.run, everything=True)[0].total() == 0


def test_what_is_live_and_its_dates(book):
    accounts = book.ledger.accounts
    assert accounts.live_dates(CLINIC) is None and accounts.live_dates(CLINIC, book.run) is None
    day = book.sent("e1", on=3)
    book.sent("e2", on=9, units=3)
    book.visit("e3", on=15)
    assert accounts.live_dates(CLINIC) == accounts.live_dates(CLINIC, book.run) == ("2026-11-03", "2026-11-09")
    assert accounts.live_dates(CLINIC, book.run + 1) is None and accounts.live_dates("other") is None
    assert sorted(dict(accounts.live(CLINIC)).values()) == [(2, 9000), (3, 13500)]
    assert list(dict(accounts.live(CLINIC, ("2026-11-03", "2026-11-08")))) == [book.row(day).reference]
    assert accounts.sent_in(book.run) == {"submissions": 2, "units": 5, "amount_cents": 22500}
    book.send(day, b"void", Frequency.VOID)
    book.answer()
    assert accounts.sent_in(book.run) == {"submissions": 3, "units": 5, "amount_cents": 22500}
    assert accounts.live_dates(CLINIC) == ("2026-11-09", "2026-11-09")


def test_held_days_come_with_their_reason_and_judgement(book):
    accounts = book.ledger.accounts
    first, second = book.visit("e1", on=5), book.visit("e2", on=3)
    book.judge(first, "held", "DC01", {"findings": [{"code": "DC01"}]})
    book.now = datetime(2026, 11, 22, 2, tzinfo=UTC)
    book.judge(second, "held", "DX01")
    assert accounts.held_days(CLINIC) == {"DC01": 1, "DX01": 1} and accounts.held_days("other") == {}
    assert [row[:3] for row in accounts.held(CLINIC)] == [
        (second, book.row(second).reference, "DX01"),
        (first, book.row(first).reference, "DC01"),
    ]
    (*_, since, body) = list(accounts.held(CLINIC))[1]
    assert since.startswith("2026-11-21T02:00") and b'"DC01"' in body
    shown = list(accounts.held_first(CLINIC, "2026-11-22", 5))
    assert [reason for _, reason, *_ in shown] == ["DX01", "DC01"] and b'"DC01"' in shown[1][3]
    assert len(list(accounts.held_first(CLINIC, "", 1))) == 1
    assert [reason for _, reason, *_ in accounts.held_first(CLINIC, "", 5, but=["DX01", "DC"])] == ["DC01"]
    assert str(accounts.oldest(CLINIC, 0)["held_since"]).startswith("2026-11-21T02:00")
    judged = list(accounts.judged_in(CLINIC, book.run))
    assert [row[1:3] for row in judged] == [("held", "DX01"), ("held", "DC01")] and b'"DC01"' in judged[1][3]
    assert list(accounts.judged_in(CLINIC, book.run + 1)) == []


def test_days_and_submissions_by_where_they_stand(book):
    accounts = book.ledger.accounts
    sent = book.sent("e1", on=3)
    book.judge(book.visit("e2", on=4), "held", "DC01", units=1, amount_cents=4500)
    book.unreadable("e9")
    assert accounts.days_by_state(CLINIC) == {
        "sent": {"days": 1, "units": 2, "amount_cents": 9000, "oldest_service_date": "2026-11-03"},
        "held": {"days": 1, "units": 1, "amount_cents": 4500, "oldest_service_date": "2026-11-04"},
    }
    assert accounts.quarantined(CLINIC) == [
        {"visit_id": "e9", "reason": "entry 1: not JSON", "first_seen_at": book.ledger.history.now()}
    ]
    (made,) = accounts.submissions_of(sent)
    assert (made["revision"], made["state"], made["attempts"], made["destination_id"]) == (1, "accepted", 1, "B-7")
    assert (made["last_answer"], made["hold_reason"], made["units"]) == ("accepted 201 ok", None, 2)
    assert accounts.waiting(CLINIC) == [] and accounts.oldest(CLINIC, 2e9)["waiting_since"] is None
    book.send(book.visit("e3"))
    (waiting,) = accounts.waiting(CLINIC)
    assert (waiting["state"], waiting["attempts"], waiting["service_date"]) == ("queued", 0, "2026-11-20")
    assert waiting["queued_at"] == waiting["next_at"] == accounts.oldest(CLINIC, 0)["waiting_since"] == book.now.timestamp()


def test_runs_and_what_the_source_sent_last(book):
    accounts = book.ledger.accounts
    assert accounts.first_started(CLINIC) == "2026-11-21T02:00:00+00:00" and accounts.first_started("other") is None
    assert accounts.last_run(CLINIC) is None and accounts.last_success(CLINIC) is None
    assert accounts.last_received(CLINIC, SOURCE) is None
    book.visit("e1")
    assert accounts.last_received(CLINIC, SOURCE) == book.now.isoformat()
    book.ledger.end_run(book.run, '{"errors": []}')
    trouble = book.ledger.begin_run(CLINIC)
    book.now = datetime(2026, 11, 22, 2, tzinfo=UTC)
    book.ledger.end_run(trouble, '{"errors": ["away"]}')
    assert accounts.last_success(CLINIC) == "2026-11-21T02:00:00+00:00"
    assert accounts.last_run(CLINIC) == {
        "run_id": trouble,
        "started_at": "2026-11-21T02:00:00+00:00",
        "finished_at": "2026-11-22T02:00:00+00:00",
        "summary": '{"errors": ["away"]}',
    }


def test_what_was_turned_away_at_a_door_is_not_live(book):
    day = book.sent("e1")
    book.hear("a1", Stage.CLEARINGHOUSE, Standing.REJECTED, destination_id="B-7")
    assert book.ledger.accounts.turned_away(CLINIC) == set(), "it still counts as live until the day is judged"
    book.judge(day, "voided", gone=True)
    assert book.ledger.accounts.turned_away(CLINIC) == {book.row(day).reference}


def test_the_standing_of_the_ledger_and_its_cursors(book):
    ledger = book.ledger
    assert ledger.fingerprint(CLINIC) is None
    for mark in ("one", "two"):
        with ledger.transaction():
            ledger.set_fingerprint(CLINIC, mark)
            ledger.move_cursor(CLINIC, SOURCE, {"Encounter": mark})
        assert ledger.fingerprint(CLINIC) == mark and ledger.cursor(CLINIC, SOURCE) == {"Encounter": mark}
    assert ledger.integrity() == [] and ledger.history.of("day", 99) == []


def test_reconcile_reads_each_day_as_judged_and_as_the_biller_has_it(book):
    columns = book.ledger.columns
    sent, held = book.sent("e1", on=3), book.visit("e2", on=9)
    book.judge(held, "held", "DC01", units=1, amount_cents=4500)
    book.unreadable("e9")
    (first, second) = columns.days(CLINIC)
    assert (first.state, first.live, first.live_units, first.live_cents, first.visits) == ("sent", 1, 2, 9000, 1)
    assert (first.stage, first.standing, first.billable, first.units) == ("received", "accepted", 1, 2)
    assert (second.reason, second.live, second.units, second.amount_cents) == ("DC01", 0, 1, 4500)
    assert [day.id for day in columns.days(CLINIC, ("2026-11-04", "2026-11-09"))] == [held]
    way = columns.on_its_way(sent)
    assert way is not None and (way.state, way.attempts, way.units, way.amount_cents, way.frequency) == (
        "accepted",
        1,
        2,
        9000,
        "1",
    )
    assert columns.on_its_way(held) is None and columns.visits_of(sent) == ("e1",)
    assert columns.unread(CLINIC) == [("e9", "entry 1: not JSON", book.ledger.history.now())]
    assert columns.visits_on("pat-key", CLINIC, "2026-11-03") == 1 and columns.visits_on("pat-key", CLINIC, "2026-11-04") == 0
    assert columns.never_billed(CLINIC) == {}
    with book.ledger.transaction():
        assert book.ledger.visits.gone(CLINIC, SOURCE, "e1") == sent
        assert book.ledger.visits.gone(CLINIC, SOURCE, "e1") is None
    assert columns.never_billed(CLINIC) == {"deleted-at-source": 1}
    assert columns.never_billed(CLINIC, ("2026-11-04", "2026-11-30")) == {}


def test_a_visit_is_found_by_its_id_and_by_its_patients_day_and_says_whether_it_is_out(book):
    columns = book.ledger.columns
    day = book.sent("e1", on=3)
    book.unreadable("e9")
    found = columns.visit(CLINIC, SOURCE, "e1")
    assert found is not None and (found.day_id, found.reference, found.state) == (day, book.row(day).reference, "read")
    assert not found.out and columns.of_patient("pat-key", CLINIC, "2026-11-03") == [found]
    unread = columns.visit(CLINIC, SOURCE, "e9")
    assert unread is not None and (unread.day_id, unread.reference, unread.state) == (None, None, "quarantined")
    assert not unread.out and columns.visit(CLINIC, SOURCE, "e8") is None
    book.judge(day, "voided")
    (found,) = columns.of_patient("pat-key", CLINIC, "2026-11-03")
    assert found.out
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, SOURCE, "e9")
    (gone,) = [columns.visit(CLINIC, SOURCE, "e9")]
    assert gone is not None and gone.out


def test_a_biller_tells_once_it_has_told_anything(book):
    assert not book.ledger.columns.tells(CLINIC, PLATFORM)
    book.sent("e1")
    book.hear("a1", Stage.PAYER, Standing.ACCEPTED, destination_id="B-7")
    assert book.ledger.columns.tells(CLINIC, PLATFORM) and not book.ledger.columns.tells(CLINIC, "other")


def test_visits_are_found_by_what_a_night_asks_for(book):
    visits = book.ledger.visits
    day = book.visit("e1", on=20, payload=b"first")
    book.visit("e2", on=3)
    book.unreadable("e9")
    book.unreadable("e2", "no code")
    assert visits.keys_between(CLINIC, SOURCE, "2026-11-01", "2026-11-10") == ("e2",)
    assert visits.keys_never_read(CLINIC, SOURCE) == ("e9",)
    assert visits.unreadable_of_day(book.ledger.days.named("e2")[0].id) == ["no code"] and visits.unreadable_of_day(day) == []
    assert visits.keys_of_recent_days(CLINIC, SOURCE, days=100_000) == ("e1",)
    latest = visits.latest(CLINIC, SOURCE, "e1")
    assert latest is not None and (latest.payload, latest.received_at) == (b"first", book.now)
    assert visits.latest(CLINIC, SOURCE, "nobody") is None and visits.first_sent(CLINIC, SOURCE, "e1") is None
    book.send(day)
    assert visits.first_sent(CLINIC, SOURCE, "e1") == book.now
    again = {record.record_key: (known.state, record.payload) for known, record, _ in visits.to_read_again(CLINIC)}
    assert again == {"e2": ("quarantined", b"{"), "e9": ("quarantined", b"{")}
    (stored,) = visits.of_day(day)
    assert stored.visit.visit_id == "e1" and visits.touching(day) == [("e1", "read", True, book.ledger.history.now())]


def test_an_earlier_state_that_comes_late_is_counted_and_kept_out(book):
    book.visit("e1")
    later = book.ledger.begin_run(CLINIC)
    known = book.ledger.visits.find(CLINIC, SOURCE, "e1")
    with book.ledger.transaction():
        book.ledger.visits.stale(known)
    assert book.ledger.accounts.fates(CLINIC, later)[0].total() == 1
    assert [row["event"] for row in book.ledger.history.of("visit", known.id)] == ["read", "stale"]


def test_pages_of_news_add_up(book):
    total = Recorded()
    for page in (Recorded(new={"payer/paid": 1}, known=2, orphans=1), Recorded(new={"payer/paid": 2}, refused_days=1, known=1)):
        total.add(page)
    assert total == Recorded(new={"payer/paid": 3}, known=3, orphans=1, refused_days=1)


def test_what_is_not_yet_paid_is_asked_for_and_counted(book):
    standings = book.ledger.standings
    day = book.sent("e1", on=3)
    other = book.sent("e2", on=9, units=3)
    assert standings.open_references(CLINIC, PLATFORM) == [book.row(other).reference, book.row(day).reference]
    assert standings.open_references(CLINIC, "other") == []
    book.hear("a1", Stage.REMITTANCE, Standing.PAID, reference=book.row(day).reference)
    assert standings.open_references(CLINIC, PLATFORM) == [book.row(other).reference]
    assert standings.counts(CLINIC) == [
        {"stage": "received", "standing": "accepted", "days": 1, "units": 3, "amount_cents": 13500},
        {"stage": "remittance", "standing": "paid", "days": 1, "units": 2, "amount_cents": 9000},
    ]
    book.hear("a2", Stage.PAYER, Standing.PAID, reference="somebody-elses", destination_id="X")
    (orphan,) = standings.orphans(CLINIC)
    assert (orphan["reference"], orphan["standing"]) == ("somebody-elses", "paid")


def test_a_refused_day_is_shown_with_what_was_sent(book):
    page = {
        "findings": [{"code": "MU01"}, {"code": "RJ01"}],
        "lines": [{"procedure": "97110", "units": 2, "amount_cents": 9000, "modifiers": ["GP"]}],
    }
    day, clean = book.sent("e1", page=page), book.sent("e2")
    standings = book.ledger.standings
    assert standings.refused(day) is None and standings.refused_days(CLINIC) == [] and standings.refusal(day) is None
    book.hear("a1", Stage.REMITTANCE, Standing.DENIED, reference=book.row(day).reference, line=1, procedure="97110")
    assert standings.refused_days(CLINIC) == [day] and standings.refusal(clean) is None and standings.refusal(999) is None
    shown = standings.refused(day)
    assert shown is not None and (shown.units, shown.amount_cents, shown.settled) == (2, 9000, False)
    assert (shown.standing, shown.stage, shown.lines) == (Standing.DENIED, Stage.REMITTANCE, (("97110", 2, 9000),))
    assert [(part.line, part.procedure) for part in shown.parts] == [(1, "97110")] and shown.let_through == ("MU01",)
    refusal = standings.refusal(day)
    assert refusal is not None and refusal.frequency is Frequency.ORIGINAL and refusal.let_through == ("MU01",)
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "RJ02", "as it is", "someone")
    (decided,) = book.ledger.accounts.decisions_of(day)
    assert decided.pop("at") and decided == {"kind": "release", "codes": "RJ02", "reason": "as it is", "actor": "someone"}
    assert book.ledger.accounts.decisions_of(clean) == []
    assert standings.refusal(day) is None and standings.refused(day).settled
    (told,) = standings.of_day(day)
    assert told["codes"] == [{"system": "CARC", "code": "197", "text": "Testerly"}] and told["line"] == 1


@pytest.mark.parametrize(
    ("said", "received", "read"),
    [
        ("2026-11-22T10:00:00", "", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("yesterday", "2026-11-22T10:00:00+00:00", datetime(2026, 11, 22, 10, tzinfo=UTC)),
        ("yesterday", "today", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_time_that_cannot_be_read_gives_way_to_the_next(said, received, read):
    assert moment(said, received) == read


def test_what_delivery_holds_is_listed_with_its_last_answer(book):
    day = book.visit("e1")
    book.send(day)
    book.answer(Disposition.REJECTED, hold="rejected:201")
    (held,) = book.ledger.days.given_up(CLINIC)
    assert (held["id"], held["reason"], held["native_code"]) == (book.row(day).reference, "rejected:201", "201")
    assert (held["attempts"], held["units"], held["frequency"]) == (1, 2, "1")


def test_a_standing_that_no_charge_of_ours_explains_is_no_refusal(book):
    day = book.visit("e1")
    book.connection.execute("UPDATE treatment_day SET standing = 'denied' WHERE id = ?", (day,))
    assert book.ledger.standings.refusal(day) is None and book.ledger.standings.refused(day) is None


def test_what_was_purged_is_not_read_again(book):
    book.unreadable("e1")
    assert len(list(book.ledger.visits.to_read_again(CLINIC))) == 1
    book.tamper("UPDATE source_record SET purged_at = '2026-11-22T00:00:00'")
    assert list(book.ledger.visits.to_read_again(CLINIC)) == []


def test_the_errors_of_old_runs_are_emptied_once(book):
    book.ledger.end_run(book.run, '{"errors": ["Jane Roe", "away"], "visits": 2}')
    later = book.ledger.begin_run(CLINIC)
    book.ledger.end_run(later, '{"errors": []}')
    changed = [book.ledger.purge.empty_runs(CLINIC, "2026-11-30") for _ in range(2)]
    assert changed == [1, 0]
    (kept,) = book.connection.execute("SELECT summary FROM run WHERE id = ?", (book.run,)).fetchone()
    assert "Jane" not in kept and len(json.loads(kept)["errors"]) == 2 and json.loads(kept)["visits"] == 2


def test_a_line_that_is_not_billed_counts_as_excluded_wherever_its_day_stands(book):
    """Each of two lines once, as fates: of a day that waits, one sent in this run, and one sent before."""
    day = book.visit("e1", lines=2)
    (row,) = book.connection.execute("SELECT id FROM visit").fetchone()
    book.send(day, excluded={row: (1, None)})
    assert book.ledger.accounts.fates(CLINIC, book.run)[1] == {Fate.QUEUED: 1, Fate.EXCLUDED: 1}
    book.answer()
    assert book.ledger.accounts.fates(CLINIC, book.run)[1] == {Fate.SENT: 1, Fate.EXCLUDED: 1}
    everything = book.ledger.accounts.fates(CLINIC, book.run + 1, everything=True)
    assert everything == ({Fate.UNCHANGED: 1}, {Fate.UNCHANGED: 1, Fate.EXCLUDED: 1})


def test_what_waits_and_what_was_made_are_told_under_these_names(book):
    day = book.visit("e1")
    book.send(day)
    (waiting,) = book.ledger.accounts.waiting(CLINIC)
    assert waiting == {
        "reference": book.row(day).reference,
        "state": "queued",
        "attempts": 0,
        "queued_at": book.now.timestamp(),
        "next_at": book.now.timestamp(),
        "service_date": "2026-11-20",
        "frequency": "1",
        "units": 2,
        "amount_cents": 9000,
    }
    book.answer()
    (made,) = book.ledger.accounts.submissions_of(day)
    assert made == {
        "revision": 1,
        "frequency": "1",
        "key": made["key"],
        "state": "accepted",
        "attempts": 1,
        "units": 2,
        "amount_cents": 9000,
        "destination": PLATFORM,
        "destination_id": "B-7",
        "hold_reason": None,
        "last_answer": "accepted 201 ok",
    }


def test_what_is_in_the_hold_window_does_not_wait_yet_and_then_since_the_windows_end(book):
    accounts, queued = book.ledger.accounts, book.now.timestamp()
    book.send(book.visit("e1"), window_seconds=3600.0)
    assert accounts.oldest(CLINIC, queued + 3599)["waiting_since"] is None
    assert accounts.oldest(CLINIC, queued + 3600)["waiting_since"] == queued + 3600
    book.now = datetime.fromtimestamp(queued + 60, UTC)
    book.send(book.visit("e2"))
    assert accounts.oldest(CLINIC, queued + 7200)["waiting_since"] == queued + 60, "the one that has no window"


@pytest.mark.parametrize(("closed", "since"), [(1800, 1800), (3600, 3600), (5400, 3600)])
def test_what_a_person_let_out_of_its_window_waits_since_then_or_since_it_was_over(book, closed, since):
    queued, day = book.now.timestamp(), book.visit("e1")
    book.send(day, window_seconds=3600.0)
    book.now = datetime.fromtimestamp(queued + closed, UTC)
    with book.ledger.transaction():
        assert book.ledger.days.close_window(book.row(day))
    assert book.ledger.accounts.oldest(CLINIC, queued + 9000)["waiting_since"] == queued + since
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    assert outbox.next_due_at() == queued + since and len(outbox.due(now=queued + since, limit=9)) == 1


def test_a_day_held_without_a_reason_is_counted_and_listed(book):
    day = book.visit("e1")
    book.judge(day, "held")
    assert book.ledger.accounts.held_days(CLINIC) == {"": 1}
    assert [reason for _, reason, *_ in book.ledger.accounts.held_first(CLINIC, "", 5, but=["SB04"])] == [""]
