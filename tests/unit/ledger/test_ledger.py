"""The ledger on a real file: what is written stays, what is half done is not there, one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from ptbridge.errors import LedgerBusy, LedgerError
from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.ledger.database import PLAIN_BYTES, pack, unpack
from ptbridge.model import (
    Acknowledgement,
    Discipline,
    Disposition,
    Fate,
    Frequency,
    Intervention,
    Patient,
    SourceRecord,
    Submission,
    Visit,
    VisitStatus,
)
from ptbridge.ports import Outcome

CLINIC, SOURCE = "riverside", "fhir_r4"


def record(visit_id: str, payload: bytes = b"{}") -> SourceRecord:
    return SourceRecord(
        clinic=CLINIC,
        source=SOURCE,
        record_key=visit_id,
        media_type="application/fhir+json",
        payload=payload,
        received_at=datetime(2026, 11, 20, 23, 30, tzinfo=UTC),
    )


def visit(visit_id: str, minutes: int = 30, lines: int = 1) -> Visit:
    return Visit(
        clinic=CLINIC,
        source=SOURCE,
        visit_id=visit_id,
        status=VisitStatus.FINISHED,
        service_date=date(2026, 11, 20),
        discipline=Discipline.PT,
        patient=Patient(id="pat-1", family="Testerly"),
        interventions=tuple(
            Intervention(line_key=f"l{n}", documented="97110", code="97110", minutes=minutes) for n in range(lines)
        ),
    )


def take(ledger: Ledger, one: Visit, payload: bytes = b"{}", day_key: str = "day-1") -> int:
    """Store a visit as a run would; returns its treatment day."""
    source = record(one.visit_id, payload)
    digest = bytes.fromhex(source.sha256)
    with ledger.transaction():
        known = ledger.visits.find(CLINIC, SOURCE, one.visit_id)
        record_id = ledger.visits.store(source, digest)
        day_id = ledger.days.ensure(CLINIC, day_key, f"ref-{day_key}", "2026-11-20")
        if ledger.visits.put(source, digest, record_id, one, day_id, known):
            ledger.days.mark([day_id])
    return day_id


def submission(day: DayRow, *, revision: int = 1, frequency: Frequency = Frequency.ORIGINAL, body: bytes = b"1") -> Submission:
    return Submission(
        clinic=CLINIC,
        destination="charge_api",
        key=f"{day.reference}-{revision}",
        reference=day.reference,
        order_key=day.reference,
        revision=revision,
        frequency=frequency,
        body=body,
        units=2,
        amount_cents=9000,
        lines=1,
        service_date="2026-11-20",
    )


def judged(ledger: Ledger, day_id: int, state: str, *, send: Submission | None = None, reason: str | None = None) -> None:
    day = ledger.days.get(day_id)
    assert day is not None
    verdict = Verdict(
        state=state,
        reason=reason,
        body=b'{"findings": []}',
        visits_sha256=b"v",
        units=2,
        amount_cents=9000,
        lines=1,
        content_sha256=b"c" if send else None,
        submission=send,
    )
    with ledger.transaction():
        ledger.days.record(day, verdict)


def day_of(ledger: Ledger, day_id: int) -> DayRow:
    day = ledger.days.get(day_id)
    assert day is not None
    return day


def answered(ledger: Ledger, disposition: Disposition, *, hold: str | None = None, now: float = 2e9) -> None:
    outbox = ledger.outbox(CLINIC, "charge_api")
    (item,) = outbox.due(now=now, limit=10)
    outbox.start((item,), now=now)
    answer = Acknowledgement(disposition=disposition, destination_id="biller-7", native_code="201")
    outbox.finish((Outcome(item=item, acknowledgement=answer, next_at=now + 60, hold_reason=hold),), now=now)


def test_files_are_the_owners_alone_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Ledger.open(tmp_path / "state").close()
    finally:
        os.umask(before)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    for name in ("ledger.sqlite", "lock"):
        assert (tmp_path / "state" / name).stat().st_mode & 0o777 == 0o600


def test_a_second_writer_is_refused_and_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = f"import time; from pathlib import Path; from ptbridge.ledger import Ledger; Ledger.open(Path({str(tmp_path)!r})); "
    code += "print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "ready\n"
        with pytest.raises(LedgerBusy, match="another ptbridge"):
            Ledger.open(tmp_path)
        other.send_signal(signal.SIGKILL)
        other.wait()
    Ledger.open(tmp_path).close()


def test_a_reader_needs_no_lock_and_a_missing_ledger_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="ptbridge sync"):
        Ledger.open(tmp_path, write=False)
    with Ledger.open(tmp_path), Ledger.open(tmp_path, write=False) as reader:
        assert reader.accounts.quarantined(CLINIC) == []


def test_durability_settings_hold(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        connection = ledger._connection
        assert connection.pragma("journal_mode") == "wal"
        assert connection.pragma("synchronous") == 2
        assert tuple(int(part) for part in apsw.sqlite_lib_version().split(".")) >= (3, 51, 3)


def test_a_newer_schema_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger._connection.pragma("user_version", 9999)
    with pytest.raises(LedgerError, match="newer"):
        Ledger.open(tmp_path)
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database, just bytes " * 400)
    for leftover in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (tmp_path / leftover).unlink(missing_ok=True)
    with pytest.raises(LedgerError, match="backup"):
        Ledger.open(tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        "source_record",
        "visit_version",
        "day_version",
        "history",
        "acknowledgement",
        "decision",
        "submission",
        "submission_body",
    ],
)
def test_what_was_written_stays(tmp_path: Path, table: str) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        answered(ledger, Disposition.ACCEPTED)
        with ledger.transaction():
            ledger.days.decide(day_of(ledger, day_id), "retry", "", "why not", "someone")
        for attack in (f"DELETE FROM {table}", f"UPDATE {table} SET {_a_column(table)}"):
            with pytest.raises(apsw.ConstraintError, match=r"append-only|never deleted|keeps its key"):
                ledger._connection.execute(attack)


def _a_column(table: str) -> str:
    columns = {
        "submission": "key = ''",
        "submission_body": "body = x'00'",
        "source_record": "payload = x'00'",
        "history": "seq=1",
    }
    return columns.get(table, "id = 1")


def test_cursor_moves_with_its_data_or_not_at_all(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        with pytest.raises(ZeroDivisionError), ledger.transaction():
            ledger.days.ensure(CLINIC, "k", "r", None)
            ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "2026-11-20T00:00:00Z"})
            _ = 1 / 0
        assert ledger.cursor(CLINIC, SOURCE) == {}
        assert ledger.days.named("r") == []
        with ledger.transaction():
            ledger.move_cursor(CLINIC, SOURCE, {"Encounter": "2026-11-20T00:00:00Z"})
    with Ledger.open(tmp_path) as ledger:
        assert ledger.cursor(CLINIC, SOURCE) == {"Encounter": "2026-11-20T00:00:00Z"}


def test_the_same_content_again_asks_for_no_judgement(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "held", reason="DC01")
        take(ledger, replace(visit("e1"), version="2"), payload=b'{"meta": 2}')
        assert ledger.days.dirty(CLINIC) == []
        take(ledger, visit("e1", minutes=31), payload=b'{"meta": 3}')
        assert [day.id for day in ledger.days.dirty(CLINIC)] == [day_id]


def test_a_visit_that_moves_day_asks_for_both_and_the_new_day_waits_for_the_old_ones_correction(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        old = take(ledger, visit("e1"))
        judged(ledger, old, "queued", send=submission(day_of(ledger, old)))
        answered(ledger, Disposition.ACCEPTED)
        new = take(ledger, visit("e1"), payload=b"2", day_key="day-2")
        with ledger.transaction():
            ledger.days.mark([old])
        assert [day.id for day in ledger.days.dirty(CLINIC)] == [old]
        judged(ledger, old, "queued", send=submission(day_of(ledger, old), revision=2, frequency=Frequency.VOID))
        assert ledger.days.dirty(CLINIC) == []
        answered(ledger, Disposition.ACCEPTED)
        assert [day.id for day in ledger.days.dirty(CLINIC)] == [new]
        assert day_of(ledger, old).state == "voided" and day_of(ledger, old).live_units == 0


def test_an_answer_makes_the_charge_live_to_the_cent(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run_id = ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        assert [row["state"] for row in ledger.accounts.waiting(CLINIC)] == ["queued"]
        answered(ledger, Disposition.ACCEPTED)
        assert dict(ledger.accounts.live(CLINIC)) == {"ref-day-1": (2, 9000)}
        assert ledger.accounts.sent_in(run_id) == {"submissions": 1, "units": 2, "amount_cents": 9000}
        assert day_of(ledger, day_id).live_id == "biller-7"


def test_a_crash_while_sending_leaves_a_doubt_that_comes_back_with_the_same_key_and_bytes(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id), body=b"exact bytes"))
        outbox = ledger.outbox(CLINIC, "charge_api")
        (before,) = outbox.due(now=2e9, limit=1)
        outbox.start((before,), now=2e9)
        assert outbox.due(now=3e9, limit=9) == []
        assert ledger.days.dirty(CLINIC) == []
    with Ledger.open(tmp_path) as ledger:
        outbox = ledger.outbox(CLINIC, "charge_api")
        assert outbox.recover() == 1
        (after,) = outbox.due(now=2e9, limit=1)
        assert after.in_doubt and after.attempts == 1 and after.first_attempt_at == 2e9
        assert (after.submission.key, after.submission.body) == (before.submission.key, b"exact bytes")


def test_order_is_kept_within_a_day_only_and_a_stuck_one_blocks_only_its_own(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        first, second = take(ledger, visit("e1")), take(ledger, visit("e2"), day_key="day-2")
        judged(ledger, first, "queued", send=submission(day_of(ledger, first)))
        outbox = ledger.outbox(CLINIC, "charge_api")
        (item,) = outbox.due(now=2e9, limit=9)
        outbox.start((item,), now=2e9)
        later = submission(day_of(ledger, first), revision=2, frequency=Frequency.REPLACEMENT)
        judged(ledger, first, "queued", send=later)
        judged(ledger, second, "queued", send=submission(day_of(ledger, second)))
        assert [i.submission.reference for i in outbox.due(now=3e9, limit=9)] == ["ref-day-2"]


def test_what_never_left_is_replaced_in_place(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id), revision=2, body=b"2"))
        (item,) = ledger.outbox(CLINIC, "charge_api").due(now=2e9, limit=9)
        assert item.submission.body == b"2"
        assert [row["state"] for row in ledger.accounts.submissions_of(day_id)] == ["replaced", "queued"]


def test_a_rejection_holds_the_day_and_retry_sets_it_free(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        answered(ledger, Disposition.REJECTED, hold="rejected:422")
        assert (day_of(ledger, day_id).state, day_of(ledger, day_id).reason) == ("held", "rejected:422")
        with ledger.transaction():
            ledger.days.reopen_submissions(day_of(ledger, day_id))
            ledger.days.decide(day_of(ledger, day_id), "retry", "", "fixed at the biller", "someone")
        assert [day.id for day in ledger.days.dirty(CLINIC)] == [day_id]
        decision = ledger.days.decision(day_id)
        assert decision is not None and (decision.kind, decision.reason) == ("retry", "fixed at the biller")


def test_an_in_doubt_hold_is_looked_up_again_not_resent(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        answered(ledger, Disposition.IN_DOUBT, hold="in-doubt")
        with ledger.transaction():
            ledger.days.reopen_submissions(day_of(ledger, day_id))
        (item,) = ledger.outbox(CLINIC, "charge_api").due(now=3e9, limit=9)
        assert item.in_doubt


def test_fates_add_up_to_what_was_pulled(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        run_id = ledger.begin_run(CLINIC)
        days = [take(ledger, visit(f"e{n}", lines=n + 1), day_key=f"day-{n}") for n in range(4)]
        judged(ledger, days[0], "queued", send=submission(day_of(ledger, days[0])))
        answered(ledger, Disposition.ACCEPTED)
        judged(ledger, days[1], "held", reason="DC01")
        judged(ledger, days[2], "excluded", reason="cancelled")
        broken = record("e9", b"{")
        with ledger.transaction():
            record_id = ledger.visits.store(broken, b"d")
            ledger.visits.quarantine(broken, b"d", record_id, "entry 1: not JSON", None)
        visits, lines = ledger.accounts.fates(CLINIC, run_id)
        assert visits == {Fate.SENT: 1, Fate.HELD: 1, Fate.EXCLUDED: 1, Fate.QUEUED: 1, Fate.QUARANTINED: 1}
        assert lines == {Fate.SENT: 1, Fate.HELD: 2, Fate.EXCLUDED: 3, Fate.QUEUED: 4}
        second = ledger.begin_run(CLINIC)
        with ledger.transaction():
            for n in range(4):
                known = ledger.visits.find(CLINIC, SOURCE, f"e{n}")
                assert known is not None
                ledger.visits.seen_again(known)
        visits, _ = ledger.accounts.fates(CLINIC, second)
        assert visits[Fate.UNCHANGED] == 1 and visits[Fate.SENT] == 0


def test_a_rehearsal_leaves_nothing_behind(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        with ledger.rehearsal():
            ledger.begin_run(CLINIC)
            day_id = take(ledger, visit("e1"))
            judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
            assert ledger.accounts.waiting(CLINIC)
        assert ledger.accounts.waiting(CLINIC) == [] and ledger.days.named("e1") == []


def test_history_says_what_happened_without_saying_who(tmp_path: Path) -> None:
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        day_id = take(ledger, visit("e1"))
        judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
        answered(ledger, Disposition.ACCEPTED)
        rows = list(ledger._connection.execute("SELECT entity, event, detail FROM history ORDER BY seq"))
        assert [(entity, event) for entity, event, _ in rows] == [
            ("visit", "read"),
            ("submission", "queued"),
            ("day", "queued"),
            ("submission", "sending"),
            ("submission", "accepted"),
        ]
        assert "Testerly" not in repr(rows) and "pat-1" not in repr(rows)
    assert b"Testerly" not in (tmp_path / "ledger.sqlite").read_bytes()


@pytest.mark.parametrize("length", [0, 1, PLAIN_BYTES, PLAIN_BYTES + 1, 100_000])
@pytest.mark.parametrize("start", [b"", b"\0", b"\x78\x9c", b"\x58"])
def test_packed_bytes_come_back_whatever_they_start_with(length: int, start: bytes) -> None:
    data = start + b"a" * length
    assert unpack(pack(data)) == unpack(pack(data, plain_to=PLAIN_BYTES)) == unpack(zlib.compress(data)) == data


def test_one_answer_after_another_and_all_at_once_leave_the_same(tmp_path: Path) -> None:
    """Also where a void stands between them, and a visit that moved: its new day waits for the old one's answer."""
    left = []
    for name, at_once in (("single", False), ("batch", True)):
        with Ledger.open(tmp_path / name, now=lambda: datetime(2026, 11, 20, tzinfo=UTC)) as ledger:
            ledger.begin_run(CLINIC)
            days = [take(ledger, visit(f"e{n}"), day_key=f"day-{n}") for n in range(5)]
            for day_id in days:
                judged(ledger, day_id, "queued", send=submission(day_of(ledger, day_id)))
            finish_all(ledger, at_once)
            for day_id, state in ((days[0], "held"), (days[1], "queued"), (days[2], "queued")):
                kind = Frequency.VOID if day_id == days[1] else Frequency.REPLACEMENT
                send = submission(day_of(ledger, day_id), revision=2, frequency=kind, body=b"2") if state == "queued" else None
                judged(ledger, day_id, state, reason="DC01" if send is None else None, send=send)
            ledger._connection.execute("UPDATE visit SET left_day_id = ? WHERE day_id = ?", (days[2], days[0]))
            finish_all(ledger, at_once)
            tables = ("treatment_day", "submission", "acknowledgement")
            left.append([ledger._connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall() for table in tables])
            states = [(day_of(ledger, day_id).state, day_of(ledger, day_id).live_units) for day_id in days]
            dirty = ledger._connection.execute("SELECT id FROM treatment_day WHERE dirty = 1").fetchall()
    assert left[0] == left[1]
    assert states == [("held", 2), ("voided", 0), ("sent", 2), ("sent", 2), ("sent", 2)]
    assert dirty == [(days[0],)], "it took over a visit from a day whose correction is answered"


def finish_all(ledger: Ledger, at_once: bool) -> None:
    outbox = ledger.outbox(CLINIC, "charge_api")
    items = tuple(outbox.due(now=3e9, limit=99))
    accepted = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B1")
    outcomes = [Outcome(item=item, acknowledgement=accepted) for item in items]
    outbox.start(items, now=3e9)
    for some in [outcomes] if at_once else [[one] for one in outcomes]:
        outbox.finish(tuple(some), now=3e9)
