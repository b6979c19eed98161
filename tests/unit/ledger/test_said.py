"""What a person has seen that the biller has, written into a real ledger: state and decision, and nothing that is sent."""

from __future__ import annotations

import pytest

from ptbridge.ledger import LETS_PASS
from ptbridge.ledger.said import NOT_THERE, SEEN
from ptbridge.model import Disposition, Frequency, Stage, Standing
from ptbridge.plan import key_of

CLINIC, PLATFORM, ALWAYS = "riverside", "charge_api", ("", "9999")
PAGE = {
    "lines": [{"procedure": "97110", "modifiers": ["GP"], "units": 2, "amount_cents": 9000, "line": "97110-GP x2"}],
    "visits": [{"visit_id": "e1"}],
}


def given_up(book, day, reason="in-doubt", **more):
    book.send(day, **({"page": PAGE} | more))
    book.answer(Disposition.IN_DOUBT if reason == "in-doubt" else Disposition.REJECTED, hold=reason, destination_id=None)
    return day


def made(book, day):
    return book.ledger.said.made(book.row(day))


def states(book, day):
    return [row["state"] for row in book.ledger.accounts.submissions_of(day)]


def says(book, day, place, **more):
    with book.ledger.transaction():
        book.ledger.said.has(book.row(day), made(book, day)[place], "owner", **more)
        decided(book, day)


def decided(book, day):
    book.ledger.days.decide(book.row(day), "settle", "has:1", "seen", "owner")


def nothing(book, day, *, closes=False):
    with book.ledger.transaction():
        book.ledger.said.has_nothing(book.row(day), "owner", closes_reference=closes)
        decided(book, day)


def sound(book):
    assert not [problem for check in book.ledger.verify(key_of) for problem in check.problems]


def all_events(book, day):
    ids = [row[0] for row in book.connection.execute("SELECT id FROM submission WHERE day_id = ? ORDER BY id", (day,))]
    return [(row["event"], row["actor"]) for one in ids for row in book.ledger.history.of("submission", one)]


def events(book, day):
    return all_events(book, day)[-1]


def live(book, day):
    row = book.row(day)
    return row.state, row.live_units, row.live_cents, row.live_frequency, row.live_id, row.live_reference


def test_what_may_be_there_is_what_was_accepted_or_given_up(book):
    day = book.sent("e1", page=PAGE)
    given_up(book, day, body=b"2", frequency=Frequency.REPLACEMENT, units=3)
    book.send(day, b"3", Frequency.REPLACEMENT, units=4)
    first, second = made(book, day)
    assert (first.state, first.revision, first.units, first.amount_cents) == ("accepted", 1, 2, 9000)
    assert (second.state, second.revision, second.frequency, second.makes_live) == ("held", 2, Frequency.REPLACEMENT, True)
    assert [str(line) for line in second.lines] == ["97110-GP x2 $90.00"]
    assert not book.ledger.said.on_its_way(book.row(day)), "what is in doubt is nothing that goes by itself"


def test_a_judgement_that_was_not_kept_has_no_lines(book):
    day = book.sent("e1")
    book.connection.execute("UPDATE submission SET version_id = NULL")
    assert made(book, day)[0].lines == ()


def test_what_waits_is_on_its_way(book):
    day = book.visit("e1")
    book.send(day)
    assert book.ledger.said.on_its_way(book.row(day))
    book.answer()
    assert not book.ledger.said.on_its_way(book.row(day))


def test_an_original_in_doubt_is_there(book):
    day = given_up(book, book.visit("e1"))
    says(book, day, 0, biller_id="B-9", number="ICN1")
    assert live(book, day) == ("sent", 2, 9000, "1", "B-9", book.row(day).reference) and states(book, day) == ["accepted"]
    row = book.row(day)
    assert (row.reason, row.held_since, row.payer_claim_number, row.stage, row.standing) == (
        None,
        None,
        "ICN1",
        "received",
        "accepted",
    )
    assert NOT_THERE not in dict(all_events(book, day))
    assert events(book, day) == ("seen-by-person", "owner") and [one.id for one in book.ledger.days.dirty(CLINIC)] == [day]
    (sent,) = book.ledger.accounts.submissions_of(day)
    assert (sent["destination_id"], sent["hold_reason"], sent["last_answer"]) == ("B-9", None, f"accepted {SEEN} ")
    sound(book)


def test_a_correction_in_doubt_is_there_and_its_news_counts(book):
    day = book.sent("e1")
    given_up(book, day, body=b"2", frequency=Frequency.REPLACEMENT, units=3)
    key = book.connection.execute("SELECT max(key) FROM submission WHERE frequency = '7'").get
    book.hear("n1", Stage.PAYER, Standing.ACCEPTED, submission_key=key, payer_claim_number="ICN7")
    assert book.row(day).payer_claim_number is None
    says(book, day, 1)
    assert live(book, day)[:4] == ("sent", 3, 13500, "7") and states(book, day) == ["accepted", "accepted"]
    row = book.row(day)
    assert (row.stage, row.payer_claim_number, row.live_id) == ("payer", "ICN7", "B-7"), "nobody said another id"
    sound(book)


def test_what_is_live_stays_with_all_that_was_said_of_it(book):
    day = book.sent("e1")
    book.hear("n1", Stage.PAYER, Standing.ACCEPTED, reference=book.row(day).reference, payer_claim_number="ICN7")
    given_up(book, day, "rejected:422", body=b"2", frequency=Frequency.REPLACEMENT, units=3)
    says(book, day, 0)
    row = book.row(day)
    assert live(book, day)[:5] == ("sent", 2, 9000, "1", "B-7") and states(book, day) == ["accepted", "replaced"]
    assert (row.stage, row.payer_claim_number) == ("payer", "ICN7") and events(book, day) == (NOT_THERE, "owner")
    says(book, day, 0, number="ICN8")
    assert book.row(day).payer_claim_number == "ICN8" and states(book, day) == ["accepted", "replaced"]
    sound(book)


def test_a_correction_that_is_live_keeps_what_a_person_said_of_it(book):
    day = book.sent("e1")
    book.send(day, b"2", Frequency.REPLACEMENT, units=3)
    book.answer(destination_id="B-8")
    says(book, day, 1, number="ICN9")
    given_up(book, day, body=b"3", frequency=Frequency.REPLACEMENT, units=4)
    says(book, day, 1)
    assert live(book, day)[:5] == ("sent", 3, 13500, "7", "B-8") and book.row(day).payer_claim_number == "ICN9"
    assert states(book, day) == ["accepted", "accepted", "replaced"] and SEEN not in dict(all_events(book, day))


def test_the_same_content_under_an_older_number_is_that_one(book):
    day = book.sent("e1")
    for body in (b"2", b"1"):
        book.send(day, body, Frequency.REPLACEMENT)
        book.answer(destination_id="B-8")
    says(book, day, 0)
    assert live(book, day)[:4] == ("sent", 2, 9000, "1") and states(book, day) == ["accepted", "replaced", "replaced"]
    sound(book)


def test_what_was_given_up_before_it_is_not_there_either(book):
    """Let go by a person, and in doubt a second time."""
    day = given_up(book, book.visit("e1"))
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "", "they have it not", "owner")
    given_up(book, day, body=b"2")
    says(book, day, 1)
    assert states(book, day) == ["replaced", "accepted"]
    sound(book)


def test_what_came_after_it_is_not_there(book):
    """A correction that was accepted and then turned away: what it was to correct is where it was, with its number."""
    day = book.sent("e1")
    book.hear("n1", Stage.PAYER, Standing.ACCEPTED, reference=book.row(day).reference, payer_claim_number="ICN7")
    book.send(day, b"2", Frequency.REPLACEMENT, units=3)
    book.answer(destination_id="B-8")
    book.hear("n2", Stage.CLEARINGHOUSE, Standing.REJECTED, destination_id="B-8")
    says(book, day, 0)
    row = book.row(day)
    assert live(book, day)[:4] == ("sent", 2, 9000, "1") and states(book, day) == ["accepted", "replaced"]
    assert (row.standing, row.payer_claim_number) == ("accepted", "ICN7")
    sound(book)


def test_an_unknown_content_is_known_again(book):
    """Taken over after a restore as something that the ledger never saw."""
    day = book.sent("e1")
    book.connection.execute("UPDATE treatment_day SET live_sha256 = x'00', live_units = 9")
    says(book, day, 0)
    assert live(book, day)[:3] == ("sent", 2, 9000)
    sound(book)


def test_what_a_void_took_back_is_there_after_all(book):
    day = book.sent("e1")
    book.send(day, b"", Frequency.VOID, closes_reference=True)
    book.answer()
    assert book.row(day).live_reference is None and book.row(day).generation == 1
    says(book, day, 0)
    assert live(book, day)[:4] == ("sent", 2, 9000, "1") and states(book, day) == ["accepted", "replaced"]
    sound(book)


def test_a_void_in_doubt_was_taken(book):
    day = book.sent("e1")
    given_up(book, day, body=b"", frequency=Frequency.VOID)
    says(book, day, 1)
    row = book.row(day)
    assert (row.state, row.live_sha256, row.reason, row.live_id) == ("voided", None, None, "B-7")
    assert states(book, day) == ["accepted", "accepted"]
    sound(book)


@pytest.mark.parametrize("closes", [False, True])
def test_nothing_is_there_and_the_day_is_free(book, closes):
    day = given_up(book, book.visit("e1"))
    nothing(book, day, closes=closes)
    row = book.row(day)
    assert (row.state, row.reason, row.held_since, row.live_sha256, row.generation) == ("open", None, None, None, 0)
    assert states(book, day) == ["replaced"] and events(book, day) == (NOT_THERE, "owner")
    assert [one.id for one in book.ledger.days.dirty(CLINIC)] == [day]
    book.send(day, b"again")
    book.answer()
    assert states(book, day) == ["replaced", "accepted"]
    sound(book)


@pytest.mark.parametrize("closes", [False, True])
def test_what_was_live_is_nothing_now(book, closes):
    day = book.sent("e1")
    book.hear("n1", Stage.PAYER, Standing.ACCEPTED, reference=book.row(day).reference, payer_claim_number="ICN7")
    given_up(book, day, "rejected:not-live", body=b"2", frequency=Frequency.REPLACEMENT)
    nothing(book, day, closes=closes)
    row = book.row(day)
    assert (row.state, row.live_units, row.live_cents, row.live_id, row.live_reference, row.live_frequency) == (
        "open",
        0,
        0,
        None,
        None,
        None,
    )
    assert (row.stage, row.standing, row.payer_claim_number, row.generation) == (None, None, None, int(closes))
    assert states(book, day) == ["replaced", "replaced"]
    sound(book)


def test_what_a_void_took_back_stays_as_it_was(book):
    day = book.sent("e1")
    for body, frequency in ((b"", Frequency.VOID), (b"3", Frequency.ORIGINAL), (b"", Frequency.VOID)):
        book.send(day, body, frequency)
        book.answer()
    given_up(book, day, body=b"5")
    nothing(book, day)
    assert states(book, day) == ["accepted", "accepted", "accepted", "accepted", "replaced"]
    sound(book)


def test_what_is_there_is_none_of_what_was_given_up(book):
    day = book.sent("e1")
    given_up(book, day, body=b"2", frequency=Frequency.REPLACEMENT)
    with book.ledger.transaction():
        book.ledger.said.has_none_given_up(book.row(day), "owner")
        book.send(day, b"by hand", Frequency.REPLACEMENT, units=5, by_hand=True)
        book.ledger.said.named(book.row(day), "B-11", None)
    assert live(book, day)[:5] == ("sent", 5, 22500, "7", "B-11") and states(book, day) == ["accepted", "replaced", "accepted"]
    assert book.ledger.accounts.submissions_of(day)[-1]["destination_id"] == "B-11"
    sound(book)


def test_nothing_is_also_none_of_an_older_doubt(book):
    day = given_up(book, book.visit("e1"))
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "", "they have it not", "owner")
    for body, frequency in ((b"2", Frequency.ORIGINAL), (b"", Frequency.VOID)):
        book.send(day, body, frequency)
        book.answer()
    given_up(book, day, body=b"4")
    nothing(book, day)
    assert states(book, day) == ["replaced", "accepted", "accepted", "replaced"]


@pytest.mark.parametrize("word", ["has", "live", "nothing", "named"])
def test_held_days_of_the_patient_are_judged_again(book, word):
    other = book.visit("e9", on=21)
    book.judge(other, "held", "AU01")
    if word == "live":
        day = book.sent("e1")
    else:
        day = given_up(book, book.visit("e1"))
    book.connection.execute("UPDATE treatment_day SET dirty = 0, state = iif(id = ?, 'held', state)", (other,))
    with book.ledger.transaction():
        row = book.row(day)
        if word in ("has", "live"):
            book.ledger.said.has(row, made(book, day)[0], "owner")
        elif word == "nothing":
            book.ledger.said.has_nothing(row, "owner", closes_reference=False)
        else:
            book.connection.execute("UPDATE submission SET state = 'accepted'")
            book.ledger.said.named(row, None, None)
    assert other in [one.id for one in book.ledger.days.dirty(CLINIC)]


# ---------------------------------------------------------------- what is read of it


def test_every_name_of_a_day(book):
    day = book.sent("e1")
    first = book.row(day).reference
    assert book.ledger.said.references(book.row(day)) == {first}
    book.tamper("UPDATE submission SET reference = 'pt-other'")
    assert book.ledger.said.references(book.row(day)) == {first, "pt-other"}


def test_what_people_said_last(book):
    there, gone, both = (given_up(book, book.visit(name, on=on)) for name, on in (("e1", 3), ("e2", 4), ("e3", 5)))
    book.sent("e4", on=6)
    says(book, there, 0)
    nothing(book, gone)
    nothing(book, both)
    book.send(both, b"again")
    book.answer()
    names = {day: book.row(day).reference for day in (there, gone)}
    word = book.ledger.said.by_word
    assert word(CLINIC, ALWAYS) == {names[there]: (2, 9000), names[gone]: None}, "an answer came after the third"
    assert word("elm", ALWAYS) == {}
    assert word(CLINIC, ("2026-11-04", "2026-11-05")) == {names[gone]: None}
    assert word(CLINIC, ("2026-11-03", "2026-11-03")) == {names[there]: (2, 9000)}
    says_again = given_up(book, both, body=b"2", frequency=Frequency.REPLACEMENT)
    says(book, says_again, 1)
    assert word(CLINIC, ALWAYS)[book.row(both).reference] == (2, 9000)


def test_a_word_can_be_taken_back_by_another(book):
    """Nothing; then it is there after all; then nothing again."""
    day = given_up(book, book.visit("e1"))
    nothing(book, day)
    (one,) = made(book, day)
    assert (one.state, one.revision) == ("replaced", 1)
    says(book, day, 0)
    assert live(book, day)[:3] == ("sent", 2, 9000) and states(book, day) == ["accepted"]
    nothing(book, day)
    assert book.row(day).live_sha256 is None and states(book, day) == ["replaced"]
    assert [event for event, _ in all_events(book, day)].count(NOT_THERE) == 2
    nothing(book, day)
    assert [event for event, _ in all_events(book, day)].count(NOT_THERE) == 2, "said of it already"
    sound(book)


def test_what_was_replaced_unsent_was_never_there(book):
    day = book.visit("e1")
    book.send(day)
    book.send(day, b"2")
    assert made(book, day) == [] and states(book, day) == ["replaced", "queued"]


def test_what_the_payer_decided_about_what_is_not_there_is_told(book):
    day = book.sent("e1", on=3)
    name = book.row(day).reference
    book.hear("n0", Stage.REMITTANCE, Standing.PAID, destination_id="B-7")
    book.now = book.now.replace(hour=3)
    nothing(book, day)
    disputed = book.ledger.said.disputed
    assert disputed(CLINIC, ALWAYS) == [], "that was heard before"
    book.now = book.now.replace(hour=4)
    for number, standing in enumerate((Standing.REJECTED, Standing.ACCEPTED, Standing.PENDING)):
        book.hear(f"n1{number}", Stage.PAYER, standing, destination_id="B-7")
    assert disputed(CLINIC, ALWAYS) == [], "on its way there it may have been told late"
    book.hear("n2", Stage.REMITTANCE, Standing.PAID, destination_id="B-7")
    book.hear("n3", Stage.REMITTANCE, Standing.DENIED, destination_id="B-7", line=1)
    assert disputed(CLINIC, ALWAYS) == disputed(CLINIC, ("2026-11-03", "2026-11-03")) == [name]
    assert disputed("elm", ALWAYS) == disputed(CLINIC, ("2026-11-04", "9999")) == []
    book.now = book.now.replace(hour=5)
    nothing(book, day)
    assert disputed(CLINIC, ALWAYS) == [], "somebody has looked again"


def test_what_was_replaced_otherwise_is_disputed_by_nothing(book):
    day = book.sent("e1")
    book.send(day, b"2", Frequency.REPLACEMENT)
    with book.ledger.transaction():
        decided(book, day)
    book.now = book.now.replace(hour=4)
    book.hear("n1", Stage.REMITTANCE, Standing.PAID, destination_id="B-7")
    book.connection.execute("UPDATE submission SET state = 'replaced', open = 0")
    assert book.ledger.said.disputed(CLINIC, ALWAYS) == []


def test_another_kind_of_decision_says_nothing_of_the_biller(book):
    day = book.sent("e1")
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(day), "release", "", "why", "owner")
    assert book.ledger.said.by_word(CLINIC, ALWAYS) == {} and "exclude" not in LETS_PASS


# ---------------------------------------------------------------- since a restore


def test_a_word_settles_what_the_biller_had_before_a_restore(book):
    first, second = (book.visit(name, on=3) for name in ("e1", "e2"))
    for day in (first, second):
        book.send(day)
    told = book.ledger.restored
    told.mark(book.now, "someone")
    names = [book.row(day).reference for day in (first, second)]
    told.compared(CLINIC, told.pending(CLINIC), dict.fromkeys(names, (3, 13500)))
    for suspect in told.suspects(CLINIC):
        told.hold(CLINIC, suspect)
    assert told.remembers(CLINIC, names[0])
    with book.ledger.transaction():
        told.settle_by_word("elm", [names[1]])
        told.settle_by_word(CLINIC, [names[0], "pt-else"])
    assert not told.remembers(CLINIC, names[0]) and told.remembers(CLINIC, names[1])


def test_a_day_of_which_a_person_spoke_is_held_for_a_restore_no_more(book):
    """Where the biller cannot be asked, what follows `nothing` goes."""
    day = book.visit("e1", on=3)
    book.send(day)
    told = book.ledger.restored
    told.mark(book.now, "someone")
    told.compared(CLINIC, told.pending(CLINIC), None)
    told.hold_unasked(CLINIC, told.unasked(CLINIC))
    nothing(book, day)
    book.send(day, b"again")
    assert told.unasked(CLINIC) == []
