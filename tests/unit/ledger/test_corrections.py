"""What changes after it was sent, on a real ledger: windows, undoing, by hand, what was turned away, and visits that moved."""

from __future__ import annotations

import pytest

from ptbridge.ledger import UNDONE
from ptbridge.model import Acknowledgement, Disposition, Frequency, Stage, Standing
from ptbridge.ports import Outcome

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"


def test_a_day_that_nobody_has_seen_is_none(book):
    days = book.ledger.days
    assert days.get(99) is None and days.named("nobody") == [] and days.decision(99) is None
    row = book.row(book.visit("e1"))
    assert days.judgement(row) is None and days.live(row) is None and days.live_judgement(row) is None
    assert days.goes_at(row) is None and days.standing_decision(row) is None and days.changing(CLINIC) == []


def test_what_the_biller_has_is_kept_with_its_lines_and_payer(book):
    lines = [{"procedure": "97110", "modifiers": ["GP"], "units": 2, "amount_cents": 9000}]
    day = book.sent("e1", page={"lines": lines, "payer_as_given": "MCR-B"}, body=b"exact")
    live = book.ledger.days.live(book.row(day))
    assert (live.body, live.payer) == (b"exact", "MCR-B")
    assert [str(line) for line in live.lines] == ["97110-GP x2 $90.00"]
    book.judge(day, "held", "SB01")
    assert b"MCR-B" in book.ledger.days.live_judgement(book.row(day)), "of what is live, not of what was judged last"
    assert b"MCR-B" not in book.ledger.days.judgement(book.row(day))
    assert [one.id for one in book.ledger.days.changing(CLINIC)] == [day]


def test_what_waits_in_the_window_is_nobodys_wait_and_can_be_let_go(book):
    days, outbox = book.ledger.days, book.ledger.outbox(CLINIC, PLATFORM)
    day = book.visit("e1")
    book.send(day, window_seconds=3600.0)
    now = book.now.timestamp()
    assert days.goes_at(book.row(day)) == now + 3600 and outbox.due(now=now + 3599, limit=9) == []
    assert outbox.next_due_at() is None and [one.id for one in days.changing(CLINIC)] == [day]
    with book.ledger.transaction():
        assert days.close_window(book.row(day))
        assert not days.close_window(book.row(day))
    assert outbox.next_due_at() == now and len(outbox.due(now=now, limit=9)) == 1


def test_the_same_submission_again_keeps_its_key_and_its_window(book):
    day = book.visit("e1")
    book.send(day, window_seconds=3600.0)
    (before,) = book.ledger.accounts.submissions_of(day)
    book.now = book.now.replace(hour=3)
    book.send(day, window_seconds=3600.0)
    assert book.ledger.accounts.submissions_of(day) == [before] and book.row(day).revision == 1
    assert book.ledger.days.goes_at(book.row(day)) == book.now.timestamp(), "an hour from the first"
    book.send(day, b"other", window_seconds=3600.0)
    assert [row["state"] for row in book.ledger.accounts.submissions_of(day)] == ["replaced", "queued"]
    book.send(day, b"other", Frequency.VOID)
    assert [row["state"] for row in book.ledger.accounts.submissions_of(day)] == ["replaced", "replaced", "queued"]


def test_what_waits_can_be_taken_back_and_stays_back(book):
    days = book.ledger.days
    day = book.visit("e1")
    with book.ledger.transaction():
        assert not days.take_back(book.row(day), "someone")
    assert book.row(day).state == "open"
    book.send(day)
    with book.ledger.transaction():
        assert days.take_back(book.row(day), "someone")
    assert (book.row(day).state, book.row(day).reason, book.row(day).held_since) == ("held", UNDONE, book.ledger.history.now())
    assert book.ledger.outbox(CLINIC, PLATFORM).due(now=2e9, limit=9) == []
    (row,) = book.connection.execute("SELECT event, actor FROM history WHERE entity = 'submission' ORDER BY seq DESC LIMIT 1")
    assert row == (UNDONE, "someone")


def test_what_a_person_had_the_biller_do_is_what_it_has(book):
    day = book.sent("e1")
    book.send(day, b"by hand", Frequency.REPLACEMENT, units=3, by_hand=True)
    row = book.row(day)
    assert (row.live_units, row.live_cents, row.live_frequency, row.live_id) == (3, 13500, "7", "B-7")
    assert book.ledger.days.live(row).body == b"by hand" and book.ledger.outbox(CLINIC, PLATFORM).due(now=2e9, limit=9) == []
    book.send(day, b"", Frequency.VOID, by_hand=True)
    assert book.row(day).live_sha256 is None and book.row(day).state == "voided"


def test_a_void_that_a_new_original_follows_ends_the_reference_and_asks_again(book):
    day = book.sent("e1")
    book.send(day, b"void", Frequency.VOID, closes_reference=True, judge_after=True)
    book.answer()
    row = book.row(day)
    assert (row.state, row.generation, row.live_reference, row.live_units) == ("open", 1, None, 0)
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [day]


def test_a_correction_that_another_follows_asks_again_once_it_is_taken(book):
    day, other = book.sent("e1"), book.sent("e2")
    for one, follows in ((day, True), (other, False)):
        book.send(one, f"part {one}".encode(), Frequency.REPLACEMENT, judge_after=follows)
        book.answer()
    assert [book.row(one).state for one in (day, other)] == ["sent", "sent"]
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [day]


def test_what_was_turned_away_is_forgotten_and_its_patient_is_judged_again(book):
    day, held = book.sent("e1"), book.visit("e2", on=3)
    book.judge(held, "held", "AU04")
    book.hear("a1", Stage.CLEARINGHOUSE, Standing.REJECTED, destination_id="B-7")
    book.judge(day, "voided", gone=True)
    row = book.row(day)
    assert (row.live_sha256, row.live_units, row.live_cents, row.stage, row.standing) == (None, 0, 0, None, None)
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [held], "what it used of an authorization is free again"


def test_a_refused_submission_is_set_aside_and_one_in_doubt_looked_up(book):
    days = book.ledger.days
    refused, doubted = book.visit("e1"), book.visit("e2")
    book.send(refused)
    book.answer(Disposition.REJECTED, hold="rejected:422")
    book.send(doubted)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    for day in (refused, doubted):
        with book.ledger.transaction():
            days.reopen_submissions(book.row(day))
    assert [book.row(day).state for day in (refused, doubted)] == ["held", "queued"]
    item = book.item()
    assert item.in_doubt and item.attempts == 0 and item.submission.reference == book.row(doubted).reference
    assert [row["state"] for row in book.ledger.accounts.submissions_of(refused)] == ["replaced"]
    assert [row["event"] for row in book.ledger.history.of("submission", 1)] == ["queued", "sending", "held"]
    assert book.ledger.history.of("submission", 1)[-1]["detail"] == "rejected:422"


def test_a_decision_holds_for_the_content_that_was_judged(book):
    days = book.ledger.days
    day = book.visit("e1")
    book.judge(day, "held", "MU01")
    with book.ledger.transaction():
        days.decide(book.row(day), "release", "MU01 DC01", "checked", "someone")
    decision = days.standing_decision(book.row(day))
    assert (decision.kind, decision.codes, decision.actor) == ("release", {"MU01", "DC01"}, "someone")
    assert book.ledger.history.of("day", day)[-1]["actor"] == "someone"
    book.judge(day, "held", "MU01", visits_sha256=b"other")
    assert days.standing_decision(book.row(day)) is None and days.decision(day) == decision


def test_held_days_are_asked_again_when_the_configuration_changed(book):
    held, sent = book.visit("e1"), book.sent("e2")
    book.judge(held, "held", "DC01")
    assert book.ledger.days.dirty(CLINIC) == []
    with book.ledger.transaction():
        book.ledger.days.mark_held(CLINIC)
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [held]
    assert book.row(sent).state == "sent"


def test_held_since_is_the_first_time_and_ends_with_the_hold(book):
    day = book.visit("e1")
    book.judge(day, "held", "DC01")
    since = book.row(day).held_since
    book.now = book.now.replace(hour=5)
    book.judge(day, "held", "DC02")
    assert book.row(day).held_since == since
    book.judge(day, "excluded", "no-show")
    assert book.row(day).held_since is None
    assert [row["event"] for row in book.ledger.history.of("day", day)] == ["held", "held", "excluded"]
    book.judge(day, "excluded", "no-show")
    assert len(book.ledger.history.of("day", day)) == 3, "nothing changed, nothing is told"


def test_a_visit_that_moved_is_named_where_it_is_still_billed(book):
    old = book.sent("e1", day="old", page={"visits": [{"visit_id": "e1"}]})
    new = book.visit("e1", day="new", payload=b"2")
    assert book.ledger.days.still_billed(book.row(new)) == []
    book.judge(old, "held", "SB01")
    assert book.ledger.days.still_billed(book.row(new)) == [book.row(old).live_reference]
    elsewhere = book.sent("e2", day="third", page={"visits": [{"visit_id": "e9"}]})
    moved = book.visit("e2", day="fourth", payload=b"2")
    book.judge(elsewhere, "held", "SB01")
    assert book.ledger.days.still_billed(book.row(moved)) == [], "what is live there was made without it"


def test_days_that_only_wait_for_each_other_go_one_at_a_time(book):
    first, second = book.sent("e1", day="a", on=3), book.sent("e2", day="b", on=9)
    book.visit("e1", day="b", on=9, payload=b"2")
    book.visit("e2", day="a", on=3, payload=b"2")
    with book.ledger.transaction():
        book.ledger.days.mark([first, second])
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [first]
    book.send(first, b"corrected", Frequency.REPLACEMENT)
    assert book.ledger.days.dirty(CLINIC) == [], "the one that is sent is answered first"
    book.answer()
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [second]


def test_an_item_is_read_back_with_what_it_is(book):
    day = book.visit("e1")
    book.send(day, b"body", window_seconds=0.0)
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    item = outbox.item(book.item().id)
    assert item == book.item() and item.submission.body == b"body" and item.submission.media_type == "text/plain"
    assert (item.attempts, item.first_attempt_at, item.last_attempt_at) == (0, None, None)
    assert item.queued_at == book.now.timestamp()
    outbox.start((item,), now=2e9)
    again = outbox.item(item.id)
    assert (again.attempts, again.first_attempt_at, again.last_attempt_at) == (1, 2e9, 2e9)
    assert outbox.next_due_at() is None and book.ledger.outbox(CLINIC, "other").due(now=2e9, limit=9) == []


def test_an_answer_that_settles_nothing_leaves_it_due_later(book):
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    day = book.visit("e1")
    book.send(day)
    for disposition, in_doubt in ((Disposition.RETRY, False), (Disposition.IN_DOUBT, True)):
        book.connection.execute("UPDATE submission SET next_at = 0")
        book.answer(disposition)
        assert outbox.next_due_at() == 2e9 + 60 and outbox.due(now=2e9 + 59, limit=9) == []
        assert book.item(2e9 + 60).in_doubt is in_doubt
    item = book.item(3e9)
    outbox.start((item,), now=3e9)
    busy = Acknowledgement(disposition=Disposition.RETRY, native_code="busy")
    outbox.finish((Outcome(item=item, acknowledgement=busy),), now=3e9)
    assert outbox.next_due_at() == 2e9 + 60, "nobody said when: it keeps its place"
    assert [row[0] for row in book.connection.execute("SELECT attempt FROM acknowledgement ORDER BY id")] == [1, 2, 3]
    details = [row["detail"] for row in book.ledger.history.of("submission", item.id) if row["event"] == "sending"]
    assert details == ["attempt 1", "attempt 2", "attempt 3"]
    events = [(row["event"], row["detail"]) for row in book.ledger.history.of("submission", item.id)]
    assert [one for one in events[1:] if one[0] != "sending"] == [("queued", "201"), ("in-doubt", "201"), ("queued", "busy")]


def test_what_a_crash_left_is_recovered_once(book):
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    book.send(book.visit("e1"))
    outbox.start((book.item(),), now=2e9)
    assert outbox.recover() == 1 and outbox.recover() == 0
    assert book.item(0.0).in_doubt, "due at once"
    told = [(row["event"], row["detail"]) for row in book.ledger.history.of("submission", book.item().id)]
    assert told[1:] == [("sending", "attempt 1"), ("in-doubt", "found after a crash")]


@pytest.mark.parametrize(
    ("kind", "codes", "excludes"), [("exclude", "", True), ("done", "SB02 excluded", True), ("done", "SB02", False)]
)
def test_a_stored_word_about_an_excluded_day_keeps_it_excluded(book, kind, codes, excludes):
    """The word stands in ledgers: another one would bill what was excluded."""
    day = book.sent("e1")
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), kind, codes, "paid in cash", "owner")
    assert book.ledger.days.standing_decision(book.row(day)).excludes is excludes
