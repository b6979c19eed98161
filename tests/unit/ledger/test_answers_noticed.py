"""Places where a small wrong change of the news once passed every other test (tests/mutate.py)."""

from __future__ import annotations

from datetime import UTC, datetime

from ptbridge.ledger.news import last_taken, news_of
from ptbridge.model import Acknowledgement, Disposition, Frequency, NativeCode, Stage, Standing
from ptbridge.ports import Outcome

CLINIC = "riverside"


def at(hour: int) -> str:
    return f"2026-11-22T{hour:02}:00:00Z"


def events(book, day):
    """What the history tells of a day's news: word and detail."""
    return [(row["event"], row["detail"]) for row in book.ledger.history.of("day", day) if "#" in str(row["detail"])]


def settled(book, day):
    """As after a run: judged, and nothing asked."""
    book.connection.execute("UPDATE treatment_day SET dirty = 0 WHERE id = ?", (day,))


def dirty(book):
    return [day.id for day in book.ledger.days.dirty(CLINIC)]


def key(book, day, revision):
    return book.ledger.accounts.submissions_of(day)[revision - 1]["key"]


def test_news_that_changes_nothing_of_a_day_is_bad_news_for_none(book):
    waiting = book.visit("e1")
    book.send(waiting)
    assert book.hear("a1", Stage.PAYER, Standing.REJECTED, reference=book.row(waiting).reference).refused_days == 0
    book.answer()
    book.send(waiting, b"2", Frequency.REPLACEMENT)
    book.answer()
    assert (
        book.hear(
            "a2", Stage.PAYER, Standing.REJECTED, reference=book.row(waiting).reference, submission_key=key(book, waiting, 1)
        ).refused_days
        == 0
    )


def test_news_of_a_charge_that_is_no_longer_live_leaves_its_day_alone(book):
    day = book.sent("e1")
    book.hear("a1", Stage.CLEARINGHOUSE, Standing.REJECTED, reference=book.row(day).reference)
    book.judge(day, "voided", gone=True)
    assert book.hear("a2", Stage.PAYER, Standing.DENIED, reference=book.row(day).reference).refused_days == 0
    assert (book.row(day).stage, book.row(day).standing) == (None, None) and book.ledger.standings.refused(day) is None


def test_only_a_rejected_correction_falls_back_to_the_number_of_what_it_was_to_correct(book):
    day = book.sent("e1")
    reference = book.row(day).reference
    book.hear("a1", Stage.PAYER, Standing.ACCEPTED, reference=reference, payer_claim_number="ICN1")
    book.send(day, b"2", Frequency.REPLACEMENT)
    book.answer()
    book.hear("a2", Stage.PAYER, Standing.PENDING, reference=reference, submission_key=key(book, day, 2))
    assert book.row(day).payer_claim_number is None, "the payer will give it one of its own"
    book.hear("a3", Stage.PAYER, Standing.REJECTED, reference=reference, submission_key=key(book, day, 2))
    assert book.row(day).payer_claim_number == "ICN1", "the payer has the first one"


def test_the_number_that_the_payer_gave_a_claim_is_in_no_repr(book):
    day = book.sent("e1")
    book.hear("a1", Stage.PAYER, Standing.ACCEPTED, reference=book.row(day).reference, payer_claim_number="ICN-7")
    last = last_taken(book.connection, day)
    assert last is not None and last.payer_claim_number == "ICN-7" and "ICN-7" not in repr(last)
    (one,) = news_of(book.connection, last.submission_id)
    assert one.payer_claim_number == "ICN-7" and "ICN-7" not in repr(one)


def test_a_rejected_second_original_has_no_number_of_the_first(book):
    day = book.sent("e1")
    reference = book.row(day).reference
    book.hear("a1", Stage.PAYER, Standing.REJECTED, reference=reference, payer_claim_number="ICN1")
    book.judge(day, "voided", gone=True)
    book.send(day, b"2")
    book.answer()
    book.hear("a2", Stage.CLEARINGHOUSE, Standing.REJECTED, reference=reference, submission_key=key(book, day, 2))
    assert (book.row(day).standing, book.row(day).payer_claim_number) == ("rejected", None)


def test_the_history_tells_each_change_once_with_its_stage_its_codes_and_the_last_answer(book):
    day = book.sent("e1")
    reference = book.row(day).reference
    book.hear("a1", Stage.PAYER, Standing.PENDING, reference=reference, said_at=at(1), codes=())
    book.hear("a2", Stage.PAYER, Standing.PENDING, reference=reference, said_at=at(2), codes=())
    assert events(book, day) == [("pending", "payer #1")]
    book.hear("a3", Stage.REMITTANCE, Standing.DENIED, reference=reference, said_at=at(3), line=1)
    book.hear("a4", Stage.REMITTANCE, Standing.DENIED, reference=reference, said_at=at(3), line=2)
    book.hear("a5", Stage.REMITTANCE, Standing.PAID, reference=reference, said_at=at(3), line=3, codes=())
    assert events(book, day)[1:] == [("denied", "remittance CARC:197 #3"), ("denied", "remittance CARC:197 #4")]
    refused = book.ledger.standings.refused(day)
    assert refused is not None and [part.line for part in refused.parts] == [1, 2], "what was paid is none of it"


def test_a_day_is_judged_again_when_a_refusal_is_over_and_not_when_good_news_follows_good(book):
    day = book.sent("e1")
    reference = book.row(day).reference
    for number, (standing, asked) in enumerate(
        ((Standing.PENDING, False), (Standing.DENIED, True), (Standing.PAID, True), (Standing.ACCEPTED, False))
    ):
        settled(book, day)
        book.hear(f"a{number}", Stage.REMITTANCE, standing, reference=reference, said_at=at(number))
        assert (dirty(book) == [day]) is asked, standing


def test_what_was_refused_is_told_with_the_day_that_it_was_of(book):
    book.sent("e1")
    page = {"findings": [{"code": "MU01"}], "lines": [{"procedure": "97140", "units": 1, "amount_cents": 4500}]}
    day = book.sent("e2", on=9, units=3, page=page, payer="medicare_part_b")
    book.hear("a1", Stage.REMITTANCE, Standing.DENIED, reference=book.row(day).reference)
    refused, refusal = book.ledger.standings.refused(day), book.ledger.standings.refusal(day)
    assert refused is not None and refusal is not None
    assert (refused.reference, refused.service_date, refused.payer) == (
        book.row(day).reference,
        "2026-11-09",
        "medicare_part_b",
    )
    assert (refused.units, refused.amount_cents, refused.lines) == (3, 13500, (("97140", 1, 4500),))
    assert refused.let_through == refusal.let_through == ("MU01",)
    other = book.sent("e3")
    book.hear("a2", Stage.REMITTANCE, Standing.DENIED, reference=book.row(other).reference)
    book.connection.execute("UPDATE treatment_day SET payer = NULL, service_date = NULL WHERE id = ?", (other,))
    unknown = book.ledger.standings.refused(other)
    assert unknown is not None and (unknown.payer, unknown.service_date) == (None, None)
    assert book.ledger.standings.judgement_of(999) == {"findings": [], "lines": []}


def test_every_answer_of_a_day_is_told_under_these_names_by_the_time_it_was_said(book):
    day = book.sent("e1")
    reference = book.row(day).reference
    cents = {"charged_cents": 9000, "paid_cents": 7000, "adjusted_cents": 1500, "patient_cents": 500}
    codes = (NativeCode(system="CARC", code="45", text="above the schedule"),)
    book.hear("a1", Stage.PAYER, Standing.ACCEPTED, reference=reference, said_at=at(9), codes=())
    book.hear("a2", Stage.PAYER, Standing.PENDING, reference=reference, said_at=at(7), codes=())
    book.now = datetime(2026, 11, 22, 8, tzinfo=UTC)  # when it came stands for a time that cannot be read
    book.hear("a3", Stage.PAYER, Standing.ACCEPTED, reference=reference, said_at="no time", codes=())
    book.hear("a4", Stage.PAYER, Standing.PENDING, reference=reference, said_at=at(7), codes=())
    more = {"line": 2, "procedure": "97110", "payer_claim_number": "ICN1", "text": "paid in part", "codes": codes}
    book.hear("a5", Stage.REMITTANCE, Standing.PAID, reference=reference, said_at=at(12), **cents, **more)
    found = book.ledger.standings.of_day(day)
    order = [(one["standing"], one["said_at"]) for one in found]
    assert order == [("pending", at(7)), ("pending", at(7)), ("accepted", "no time"), ("accepted", at(9)), ("paid", at(12))]
    assert found[-1] == {
        "said_at": at(12),
        "received_at": book.ledger.history.now(),
        "stage": "remittance",
        "standing": "paid",
        "line": 2,
        "procedure": "97110",
        "codes": [{"system": "CARC", "code": "45", "text": "above the schedule"}],
        **cents,
        "payer_claim_number": "ICN1",
        "revision": 1,
        "text": "paid in part",
    }


def test_answers_of_one_moment_are_told_in_the_order_in_which_they_came(book):
    """Read by submission they would stand in another order."""
    day = book.sent("e1")
    book.send(day, b"2", Frequency.REPLACEMENT)
    book.answer(destination_id="B-8")
    times = (at(10), "2026-11-22T04:00:00-06:00", at(10), "2026-11-22T09:00:00-01:00")
    for number, revision in enumerate((2, 1, 2, 1)):
        said = {"reference": book.row(day).reference, "submission_key": key(book, day, revision), "said_at": times[number]}
        book.hear(f"a{number}", Stage.PAYER, Standing.PENDING, text=f"n{number}", **said)
    assert [one["text"] for one in book.ledger.standings.of_day(day)] == ["n0", "n1", "n2", "n3"]


def test_live_days_are_counted_along_their_way_and_by_how_they_stand(book):
    said = [
        ("e1", Stage.PAYER, Standing.DENIED),
        ("e2", Stage.PAYER, Standing.ACCEPTED),
        ("e3", Stage.PAYER, Standing.ACCEPTED),
        ("e4", Stage.CLEARINGHOUSE, Standing.ACCEPTED),
    ]
    book.sent("e5")
    for name, stage, standing in said:
        day = book.sent(name)
        book.hear(name, stage, standing, reference=book.row(day).reference)
    counted = [(one["stage"], one["standing"], one["days"]) for one in book.ledger.standings.counts(CLINIC)]
    assert counted == [
        ("received", "accepted", 1),
        ("clearinghouse", "accepted", 1),
        ("payer", "accepted", 2),
        ("payer", "denied", 1),
    ]


def test_news_of_nobody_is_told_under_these_names(book):
    book.hear("a1", Stage.PAYER, Standing.PAID, reference="somebody-elses", destination_id="X")
    assert book.ledger.standings.orphans(CLINIC) == [
        {
            "id": 1,
            "reference": "somebody-elses",
            "destination_id": "X",
            "stage": "payer",
            "standing": "paid",
            "received_at": book.ledger.history.now(),
            "seen": False,
            "codes": ["197"],
            "unreadable": None,
        }
    ]


def test_news_by_the_beginning_of_our_key_is_about_that_submission_and_too_short_a_beginning_about_none(book):
    day = book.visit("e1")
    book.send(day)
    key = book.item().submission.key
    said = book.hear("a1", Stage.RECEIVED, Standing.ACCEPTED, submission_key=key[:20])
    assert said.orphans == 0 and [one["stage"] for one in book.ledger.standings.of_day(day)] == ["received"]
    for name, cut in (("a2", key[:15]), ("a3", ""), ("a4", "f" * 20)):
        assert book.hear(name, Stage.RECEIVED, Standing.ACCEPTED, submission_key=cut).orphans == 1, cut


def test_what_is_in_doubt_is_asked_for_while_it_is_the_newest_of_its_day(book):
    outbox = book.ledger.outbox(CLINIC, "charge_api")
    day = book.visit("e1")
    book.send(day)
    assert outbox.doubted() == []
    book.answer(Disposition.IN_DOUBT)
    (waiting,) = outbox.doubted()
    assert waiting.in_doubt and waiting.attempts == 1
    other = book.visit("e2", on=21)
    book.send(other)
    book.answer(Disposition.IN_DOUBT, hold="in-doubt")
    assert [one.in_doubt for one in outbox.doubted()] == [True, True]
    with book.ledger.transaction():
        book.ledger.days.decide(book.row(other), "release", "", "the biller has it not", "someone")
    book.send(other, b"2", units=3)
    assert [one.id for one in outbox.doubted()] == [waiting.id]


def test_a_group_of_outcomes_holds_what_was_taken_and_what_was_not(book):
    outbox, days = book.ledger.outbox(CLINIC, "charge_api"), [book.visit(name) for name in ("e1", "e2", "e3")]
    for day in days:
        book.send(day)
    items = tuple(outbox.due(now=2e9, limit=9))
    outbox.start(items, now=2e9)
    said = [Acknowledgement(disposition=one) for one in (Disposition.RETRY, Disposition.ACCEPTED, Disposition.IN_DOUBT)]
    group = zip(items, said, strict=True)
    outbox.finish(tuple(Outcome(item=item, acknowledgement=one, next_at=2e9 + 60) for item, one in group), now=2e9)
    states = [book.ledger.accounts.submissions_of(day)[0]["state"] for day in days]
    assert states == ["queued", "accepted", "in-doubt"] and book.row(days[1]).state == "sent"
