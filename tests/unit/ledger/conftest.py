"""A real ledger file, and the few words with which a test writes what a night would write."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.ledger.database import FILE_NAME
from ptbridge.model import (
    Acknowledgement,
    Answer,
    Discipline,
    Disposition,
    Frequency,
    Intervention,
    NativeCode,
    Patient,
    SourceRecord,
    Stage,
    Standing,
    Submission,
    Visit,
    VisitStatus,
)
from ptbridge.plan import key_of, reference_of
from ptbridge.ports import AnswerPage, OutboxItem, Outcome

CLINIC, SOURCE, PLATFORM = "riverside", "fhir_r4", "charge_api"
NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
EMPTY: list[Path] = []  # a ledger file that the migrations made once: to make one takes longer than most tests


class Book:
    """One clinic's ledger. Days are named by short words; `on` is a service date of November 2026."""

    def __init__(self, folder: Path) -> None:
        self.now = NOW
        self.folder = folder
        if EMPTY and not folder.exists():
            folder.mkdir(mode=0o700, parents=True)
            shutil.copy(EMPTY[0], folder)
        self.ledger = Ledger.open(folder, now=lambda: self.now)
        self.run = self.ledger.begin_run(CLINIC)

    @property
    def connection(self) -> apsw.Connection:
        return self.ledger._connection

    def visit(self, visit_id: str, day: str = "", on: int = 20, lines: int = 1, payload: bytes = b"{}", **more: Any) -> int:
        """Store a visit as a run would; its treatment day's row id."""
        one = Visit(
            clinic=CLINIC,
            source=SOURCE,
            visit_id=visit_id,
            status=VisitStatus.FINISHED,
            service_date=date(2026, 11, on),
            discipline=Discipline.PT,
            patient=Patient(id="pat-1", mrn="M-1", family="Testerly"),
            **{
                "interventions": tuple(
                    Intervention(line_key=f"l{n}", documented="97110", code="97110", minutes=30) for n in range(lines)
                )
            }
            | more,
        )
        record = self.record(visit_id, payload, one.version)
        digest = bytes.fromhex(record.sha256)
        with self.ledger.transaction():
            known = self.ledger.visits.find(CLINIC, SOURCE, visit_id)
            record_id = self.ledger.visits.store(record, digest)
            day_id = self.ledger.days.ensure(
                CLINIC, day or visit_id, reference_of(CLINIC, day or visit_id), f"2026-11-{on:02}", "pat-key"
            )
            if self.ledger.visits.put(record, digest, record_id, one, day_id, known):
                self.ledger.days.mark([day_id])
        return day_id

    def record(self, visit_id: str, payload: bytes, version: str = "") -> SourceRecord:
        return SourceRecord(
            clinic=CLINIC,
            source=SOURCE,
            record_key=visit_id,
            media_type="application/fhir+json",
            version=version,
            payload=payload,
            received_at=self.now,
        )

    def unreadable(self, visit_id: str, reason: str = "entry 1: not JSON") -> None:
        broken = self.record(visit_id, b"{")
        with self.ledger.transaction():
            record_id = self.ledger.visits.store(broken, bytes.fromhex(broken.sha256))
            known = self.ledger.visits.find(CLINIC, SOURCE, visit_id)
            self.ledger.visits.quarantine(broken, bytes.fromhex(broken.sha256), record_id, reason, known)

    def row(self, day_id: int) -> DayRow:
        day = self.ledger.days.get(day_id)
        assert day is not None
        return day

    def judge(
        self, day_id: int, state: str, reason: str | None = None, page: dict[str, Any] | None = None, **more: Any
    ) -> None:
        """A judgement of which nothing is sent, unless `more` says so."""
        verdict = Verdict(
            **{
                "state": state,
                "reason": reason,
                "body": json.dumps({"findings": [], "lines": [], "visits": [], "exclusions": []} | (page or {})).encode(),
                "visits_sha256": b"v",
            }
            | more
        )
        with self.ledger.transaction():
            self.ledger.days.record(self.row(day_id), verdict)

    def send(
        self,
        day_id: int,
        body: bytes = b"1",
        frequency: Frequency = Frequency.ORIGINAL,
        units: int = 2,
        page: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        """A judgement whose submission waits in the outbox."""
        row, content = self.row(day_id), hashlib.sha256(body).digest()
        submission = Submission(
            clinic=CLINIC,
            destination=PLATFORM,
            key=key_of(PLATFORM, row.reference, row.revision + 1, frequency, content),
            reference=row.reference,
            order_key=row.reference,
            revision=row.revision + 1,
            frequency=frequency,
            body=body,
            media_type="text/plain",
            units=units,
            amount_cents=units * 4500,
            lines=1,
            service_date=row.service_date or "",
        )
        facts = {"units": units, "amount_cents": units * 4500, "lines": 1}
        self.judge(day_id, "queued", page=page, content_sha256=content, submission=submission, **(facts | more))

    def item(self, now: float = 2e9) -> OutboxItem:
        (item,) = self.ledger.outbox(CLINIC, PLATFORM).due(now=now, limit=10)
        return item

    def answer(self, disposition: Disposition = Disposition.ACCEPTED, hold: str | None = None, **more: Any) -> None:
        """Send the one thing that is due, and have this answered."""
        outbox, item = self.ledger.outbox(CLINIC, PLATFORM), self.item()
        outbox.start((item,), now=2e9)
        said = Acknowledgement(
            **{"disposition": disposition, "destination_id": "B-7", "native_code": "201", "native_text": "ok"} | more
        )
        outbox.finish((Outcome(item=item, acknowledgement=said, next_at=2e9 + 60, hold_reason=hold),), now=2e9)

    def sent(self, visit_id: str, **more: Any) -> int:
        """A visit that the biller has."""
        day_id = self.visit(visit_id, **{name: more.pop(name) for name in ("day", "on", "lines") if name in more})
        self.send(day_id, **more)
        self.answer()
        return day_id

    def hear(self, key: str, stage: Stage, standing: Standing, cursor: dict[str, str] | None = None, **more: Any) -> Any:
        """One piece of news."""
        codes = more.pop("codes", (NativeCode(system="CARC", code="197", text="Testerly"),))
        one = Answer(
            key=key, stage=stage, standing=standing, codes=codes, said_at=more.pop("said_at", "2026-11-22T10:00:00Z"), **more
        )
        return self.ledger.answers.record(CLINIC, PLATFORM, AnswerPage(answers=(one,), cursor=cursor))

    def tamper(self, sql: str) -> None:
        """Change rows as somebody would who takes the triggers off and puts them back."""
        rows = list(self.connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"))
        for name, _ in rows:
            self.connection.execute(f"DROP TRIGGER {name}")
        self.connection.execute("PRAGMA foreign_keys = OFF")
        self.connection.execute(sql)
        for _, made in rows:
            self.connection.execute(str(made))

    def unsound(self) -> None:
        """Leave a row that breaks a rule of its table: SQLite's own check finds it, and every statement still works."""
        self.tamper("PRAGMA ignore_check_constraints = ON; UPDATE history_head SET id = 2")
        self.connection.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.fixture(scope="session", autouse=True)
def _empty(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("ledger") / "empty"
    Ledger.open(folder, now=lambda: NOW).close()
    EMPTY[:] = [folder / FILE_NAME]


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    one = Book(tmp_path / "state")
    yield one
    one.ledger.close()
