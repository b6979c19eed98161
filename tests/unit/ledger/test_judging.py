"""Judgements written many at a time: what is in the ledger afterwards is what one after the other would have left there."""

from __future__ import annotations

import hashlib

import apsw
import pytest

from ptbridge.errors import LedgerError
from ptbridge.ledger import BilledLine, Verdict
from ptbridge.ledger.judging import _changes_what_is_live, side_by_side
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission
from ptbridge.ports import Outcome

CLINIC, PLATFORM = "riverside", "charge_api"
LINE = BilledLine(procedure="97110", modifiers=("GP",), units=2, amount_cents=9000)
TABLES = ("treatment_day", "day_version", "submission", "submission_body", "billed_line", "visit")


def day_of(book, name, patient, on=20):
    """A treatment day with one visit."""
    day = book.visit(name, on=on)
    book.connection.execute("UPDATE treatment_day SET patient_key = ? WHERE id = ?", (patient, day))
    return day


def sends(book, day, frequency=Frequency.ORIGINAL, body=b"", **more):
    row = book.row(day)
    body = body or b"charge of %s" % row.reference.encode()
    submission = Submission(
        clinic=CLINIC,
        destination=PLATFORM,
        key=hashlib.sha256(b"%d %d %s" % (day, row.revision, body)).hexdigest(),
        reference=row.reference,
        order_key=row.reference,
        revision=row.revision + 1,
        frequency=frequency,
        body=body,
        service_date=row.service_date or "",
    )
    facts = {"state": "queued", "body": b"{}", "visits_sha256": b"v", "content_sha256": b"c" * 32, "submission": submission}
    return Verdict(**(facts | more))


def held(**more):
    return Verdict(**({"state": "held", "reason": "DC01", "body": b"{}", "visits_sha256": b"v"} | more))


def a_night(book, many):
    """Days of one patient and of several, new and corrected, sent, held, excluded, taken back and made by hand."""
    days = [
        day_of(book, f"e{n}", patient, on)
        for n, (patient, on) in enumerate([("a", 1), ("b", 2), ("a", 3), (None, 4), (None, 5)])
    ]
    gone, by_hand = book.sent("gone", on=6), day_of(book, "by-hand", "c", on=7)

    def write(*judged):
        with book.ledger.transaction():
            rows = [(book.row(day), verdict) for day, verdict in judged]
            if many:
                book.ledger.days.record_many(rows)
            else:
                for row, verdict in rows:
                    book.ledger.days.record(row, verdict)

    write(
        (days[0], sends(book, days[0], billed=(LINE,), excluded={1: (1, None)})),
        (days[1], held(billed=(LINE, LINE))),
        (days[2], held(billed=(LINE,))),
        (days[3], sends(book, days[3], window_seconds=3600.0)),
        (gone, Verdict(state="voided", body=b"{}", visits_sha256=b"v", gone=True)),
        (days[4], held(state="excluded", reason=None)),
        (by_hand, sends(book, by_hand, by_hand=True, state="sent")),
    )
    write(
        (days[0], sends(book, days[0], body=b"corrected before it left", billed=())),
        (days[3], sends(book, days[3])),
        (days[2], sends(book, days[2], billed=(LINE,))),
        (days[1], sends(book, days[1], Frequency.VOID)),
    )


def whole(book):
    """Every table that a judgement writes, and the history without its order."""
    book.ledger.history.flush()
    found = {table: list(book.connection.execute(f"SELECT * FROM {table}")) for table in TABLES}
    history = book.connection.execute("SELECT at, run_id, clinic, entity, entity_id, event, detail, actor FROM history")
    return found | {"history": sorted(history, key=str)}


def test_many_judgements_at_once_leave_what_one_after_the_other_leaves(book, tmp_path):
    one, many = book, type(book)(tmp_path / "many")
    a_night(one, many=False)
    a_night(many, many=True)
    assert whole(many) == whole(one)
    assert len(whole(many)["submission"]) == 7
    many.ledger.close()


def test_days_of_one_patient_and_what_changes_what_is_live_are_written_one_after_the_other(book):
    rows = {
        name: book.row(day_of(book, name, patient)) for name, patient in (("a1", "a"), ("a2", "a"), ("b", "b"), ("n", None))
    }
    rows["m"] = book.row(day_of(book, "m", None))
    plain, alone, by_hand = held(), held(gone=True), held(by_hand=True)

    def groups(*judged):
        names = {row.id: name for name, row in rows.items()}
        return [
            " ".join(names[row.id] for row, _ in some)
            for some in side_by_side([(rows[name], what) for name, what in judged], lambda one: one[0], _changes_what_is_live)
        ]

    assert groups() == []
    assert groups(("a1", plain), ("b", plain), ("n", plain), ("m", plain)) == ["a1 b n m"]
    assert groups(("a1", plain), ("b", plain), ("a2", plain), ("n", plain)) == ["a1 b", "a2 n"]
    assert groups(("a1", plain), ("b", alone), ("a2", plain)) == ["a1", "b", "a2"]
    assert groups(("b", by_hand), ("n", plain), ("m", plain)) == ["b", "n m"]


def test_a_day_that_was_never_judged_has_nothing_to_replace_and_a_stale_row_is_refused(book):
    row = book.row(book.visit("e1"))
    verdict = sends(book, row.id)
    with book.ledger.transaction():
        book.ledger.days.record(row, verdict)
    with pytest.raises(LedgerError), book.ledger.transaction():
        book.ledger.days.record(row, verdict)
    assert [one["state"] for one in book.ledger.accounts.submissions_of(row.id)] == ["queued"]


def test_each_verdict_has_its_own_exclusions():
    assert held().excluded == {} and held().excluded is not held().excluded


def test_a_turn_is_a_finish_and_a_start_in_one(book):
    first, second = book.visit("e1", on=1), book.visit("e2", on=2)
    for day in (first, second):
        book.send(day, b"body %d" % day)
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    one, two = outbox.due(now=2e9, limit=9)
    outbox.start((one,), now=2e9)
    accepted = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B-1", native_code="201")
    book.connection.execute(
        "CREATE TEMP TRIGGER no_start BEFORE UPDATE OF attempts ON submission BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(LedgerError):
        outbox.turn((Outcome(item=one, acknowledgement=accepted),), (two,), now=2e9)
    assert states(book) == ["sending", "queued"] and book.row(first).state == "queued"
    book.connection.execute("DROP TRIGGER temp.no_start")
    outbox.turn((Outcome(item=one, acknowledgement=accepted),), (two,), now=2e9)
    assert states(book) == ["accepted", "sending"] and book.row(first).state == "sent"
    events = [row["event"] for id_ in (1, 2) for row in book.ledger.history.of("submission", id_)]
    assert events == ["queued", "sending", "accepted", "queued", "sending"]


def states(book):
    return [state for (state,) in book.connection.execute("SELECT state FROM submission ORDER BY id")]


def test_what_is_open_is_what_has_no_final_answer(book):
    book.send(book.visit("e1"), b"1")
    for change in ("state = 'accepted'", "state = 'held'", "state = 'replaced'", "open = 0", "open = 2"):
        with pytest.raises(apsw.ConstraintError, match="CHECK"):
            book.connection.execute(f"UPDATE submission SET {change}")
    for state in ("sending", "in-doubt", "queued"):
        book.connection.execute("UPDATE submission SET state = ?", (state,))


def test_what_is_written_together_happened_at_one_moment(book):
    with book.ledger.transaction():
        book.ledger.history.add(CLINIC, "day", 1, "held")
        book.now = book.now.replace(hour=5)
        book.ledger.history.add_many(CLINIC, "day", [(1, "queued", ""), (1, "sent", "")])
        first = book.ledger.history.moment()
    with book.ledger.transaction():
        assert book.ledger.history.moment() != first
        book.ledger.history.add(CLINIC, "day", 1, "voided")
    with pytest.raises(ZeroDivisionError), book.ledger.transaction():
        before = book.ledger.history.moment()
        _ = 1 / 0
    book.now = book.now.replace(hour=7)
    assert book.ledger.history.moment() != before
    assert [row["at"][11:13] for row in book.ledger.history.of("day", 1)] == ["02", "02", "02", "05"]


def test_answers_of_every_kind_are_recorded_in_one_commit(book):
    days = [book.visit(f"e{n}", on=n) for n in (1, 2, 3)]
    for day in days:
        book.send(day, b"body %d" % day)
    outbox = book.ledger.outbox(CLINIC, PLATFORM)
    items = outbox.due(now=2e9, limit=9)
    outbox.start(tuple(items), now=2e9)
    kinds = (Disposition.RETRY, Disposition.ACCEPTED, Disposition.IN_DOUBT)
    said = [Acknowledgement(disposition=kind, destination_id="B-1", native_code=kind.value) for kind in kinds]
    outcomes = [Outcome(item=item, acknowledgement=one, next_at=2e9 + 60) for item, one in zip(items, said, strict=True)]
    outbox.finish(tuple(outcomes), now=2e9)
    assert states(book) == ["queued", "accepted", "in-doubt"]
    assert [book.row(day).state for day in days] == ["queued", "sent", "queued"]
    assert [item.in_doubt for item in outbox.due(now=2e9 + 60, limit=9)] == [False, True]
