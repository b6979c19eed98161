"""Days that a person asks to have judged anew: which, what stands in the way, and what waits for the next run (D27)."""

from __future__ import annotations

from datetime import date

from ptbridge.ledger.asked import EXCLUDED, ON_ITS_WAY, PURGED

CLINIC = "riverside"


def events(book, day_id: int) -> list[tuple[str, str, str]]:
    return [(one["event"], one["detail"], one["actor"]) for one in book.ledger.history.of("day", day_id)]


def test_days_between_two_dates_are_those_that_were_judged_by_service_date(book):
    late, early, open_ = (book.visit(name, on=on) for name, on in (("e1", 21), ("e2", 19), ("e3", 20)))
    book.judge(late, "excluded")
    book.judge(early, "sent")
    between = book.ledger.asked.between
    assert between(CLINIC, None, None) == [early, late]
    book.judge(open_, "held", "DX01")
    assert between(CLINIC, date(2026, 11, 19), date(2026, 11, 21)) == [early, open_, late]
    assert between(CLINIC, date(2026, 11, 20), None) == [open_, late]
    assert between(CLINIC, None, date(2026, 11, 20)) == [early, open_]
    assert between("lakeside", None, None) == []


def test_of_two_days_of_one_date_the_older_comes_first(book):
    days = [book.visit(f"e{n}", on=20) for n in range(3)]
    for day_id in reversed(days):
        book.judge(day_id, "sent")
    assert book.ledger.asked.between(CLINIC, None, None) == days


def test_nothing_stands_in_the_way_of_a_day_that_was_sent_or_is_held_or_waits(book):
    day_id = book.visit("e1")
    book.judge(day_id, "held", "DX01")
    assert book.ledger.asked.in_the_way(day_id) is None
    book.send(day_id)
    assert book.ledger.asked.in_the_way(day_id) is None


def test_what_was_purged_and_what_has_no_answer_yet_cannot_be_judged_anew(book):
    purged, sending, doubted = (book.visit(name) for name in ("e1", "e2", "e3"))
    book.judge(purged, "sent")
    book.connection.execute("UPDATE treatment_day SET purged_at = '2028-01-01' WHERE id = ?", (purged,))
    for day_id, state in ((sending, "sending"), (doubted, "in-doubt")):
        book.send(day_id)
        book.connection.execute("UPDATE submission SET state = ? WHERE day_id = ?", (state, day_id))
    found = [book.ledger.asked.in_the_way(day_id) for day_id in (purged, sending, doubted)]
    assert found == [PURGED, ON_ITS_WAY, ON_ITS_WAY]


def test_what_a_person_excluded_stays_so_until_its_content_or_the_persons_word_is_another(book):
    day_id = book.visit("e1")
    book.judge(day_id, "sent")
    asked = book.ledger.asked
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day_id), "exclude", "", "paid in cash", "owner")
    assert asked.in_the_way(day_id) == EXCLUDED
    book.judge(day_id, "voided")
    assert asked.in_the_way(day_id) == EXCLUDED, "whatever came of it"
    book.judge(day_id, "sent", visits_sha256=b"another")
    assert asked.in_the_way(day_id) is None, "it was edited since, and that was billed"
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day_id), "exclude", "", "paid in cash", "owner")
        book.ledger.days.decide(book.row(day_id), "retry", "", "it was not", "owner")
    assert asked.in_the_way(day_id) is None
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day_id), "done", "SB02 excluded", "taken back on the phone", "owner")
    assert asked.in_the_way(day_id) == EXCLUDED, "and a later word kept that"


def test_a_days_visits_are_those_that_are_read_and_still_there_with_their_newest_record(book):
    day_id = book.visit("e1", "day")
    book.visit("e2", "day")
    book.visit("e1", "day", payload=b"{} ", lines=2)
    book.visit("e3", "day")
    book.visit("e4", "day")
    other = book.visit("e5", "other")
    book.unreadable("e3")
    with book.ledger.transaction():
        book.ledger.visits.gone(CLINIC, "fhir_r4", "e4")
    newest = dict(book.connection.execute("SELECT visit_id, record_id FROM visit").fetchall())
    visits = list(book.ledger.asked.visits_of([other, day_id]))
    assert visits == [("fhir_r4", name, newest[name]) for name in ("e5", "e1", "e2")]


def test_what_is_asked_waits_by_date_under_its_configuration_and_a_second_word_replaces_the_first(book):
    late, early = book.visit("e1", on=21), book.visit("e2", on=19)
    for day_id in (late, early):
        book.judge(day_id, "sent")
    asked = book.ledger.asked
    with book.ledger.transaction():
        asked.ask(CLINIC, [late, early], "c1", "price list of March", "ana")
        asked.ask(CLINIC, [late], "c2", "and of April", "ben")
    assert asked.waiting(CLINIC) == [(early, "c1"), (late, "c2")] and asked.waiting("lakeside") == []
    assert events(book, late)[-2:] == [("asked-anew", "price list of March", "ana"), ("asked-anew", "and of April", "ben")]


def test_what_was_taken_up_or_lapsed_waits_no_longer_and_only_a_lapse_is_told(book):
    one, other = book.visit("e1"), book.visit("e2")
    for day_id in (one, other):
        book.judge(day_id, "sent")
    asked = book.ledger.asked
    with book.ledger.transaction():
        asked.ask(CLINIC, [one, other], "c1", "why", "ana")
    with book.ledger.transaction():
        asked.answered(CLINIC, one, None)
    assert asked.waiting(CLINIC) == [(other, "c1")] and events(book, one)[-1][0] == "asked-anew"
    with book.ledger.transaction():
        asked.answered(CLINIC, other, "purged")
    assert asked.waiting(CLINIC) == [] and events(book, other)[-1] == ("asked-anew-lapsed", "purged", "ptbridge")
