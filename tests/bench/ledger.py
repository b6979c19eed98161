"""The ledger's own speed: submissions enqueued, started and finished, one by one with an fsync each and in batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from ptbridge_sandbox.demo import CLINIC

from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.model import Acknowledgement, Disposition, Submission
from ptbridge.ports import OutboxItem, Outcome
from tests.bench.runner import Figure, Settings, interleaved, parse_page

PLATFORM = "bench"
ONE_BY_ONE, IN_BATCHES = 1_500, 15_000  # submissions a second; issue 5, for information here
BATCH = 500
BODY = bytes(range(256)) * 4  # 1 KB, about what a treatment day weighs; not compressible to nothing


def run(settings: Settings) -> list[Figure]:
    """Submissions a second through all three steps; each step of each group is one durable transaction."""
    singles, many = settings.size(1_000, 20), settings.size(10_000, 40)
    one_by_one, fsync = _timed(singles, 1), _fsync_seconds(settings.size(200, 5))
    in_batches = _timed(many, settings.size(BATCH, 10))
    page_seconds = interleaved(5, {"page": parse_page}, time.perf_counter).seconds("page")
    note = f"one fsync here takes {fsync * 1000:.2f} ms, one page parse {page_seconds * 1000:.2f} ms; issue 5 wants"
    return [
        Figure(what="one by one: enqueue, start, finish", value=one_by_one, unit="/s", note=f"{note} {ONE_BY_ONE:,}/s"),
        Figure(what=f"in batches of {BATCH}", value=in_batches, unit="/s", note=f"issue 5 wants {IN_BATCHES:,}/s"),
    ]


def _timed(count: int, group: int) -> float:
    with TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        days = new_days(ledger, count)
        started = time.perf_counter()
        through(ledger, days, group)
        seconds = time.perf_counter() - started
        assert ledger.accounts.days_by_state(CLINIC)["sent"]["days"] == count
    return count / seconds


def new_days(ledger: Ledger, count: int) -> list[DayRow]:
    """Treatment days that wait for a judgement."""
    ledger.begin_run(CLINIC)
    with ledger.transaction():
        for number in range(count):
            ledger.days.ensure(CLINIC, f"day {number}", f"pt-{number:08d}", "2026-03-12")
    return ledger.days.dirty(CLINIC, limit=count)


def through(ledger: Ledger, days: list[DayRow], group: int) -> None:
    """Take every day from judged to accepted, `group` of them in each transaction."""
    outbox = ledger.outbox(CLINIC, PLATFORM)
    accepted = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B1", native_code="201")
    for start in range(0, len(days), group):
        with ledger.transaction():
            for day in days[start : start + group]:
                ledger.days.record(day, _verdict(day))
        items: list[OutboxItem] = outbox.due(now=time.time(), limit=group)
        outbox.start(tuple(items), now=time.time())
        outbox.finish(tuple(Outcome(item=item, acknowledgement=accepted) for item in items), now=time.time())


def _verdict(day: DayRow) -> Verdict:
    submission = Submission(
        clinic=CLINIC,
        destination=PLATFORM,
        key=f"key-{day.reference}",
        reference=day.reference,
        order_key=day.reference,
        body=BODY,
        units=3,
        amount_cents=15_000,
        lines=3,
        service_date="2026-03-12",
    )
    return Verdict(
        state="queued", body=BODY, visits_sha256=b"v" * 32, content_sha256=b"c" * 32, submission=submission, units=3, lines=3
    )


def _fsync_seconds(count: int) -> float:
    """The median cost of making 4 KB durable in a file of this disk."""
    with TemporaryDirectory() as folder, (Path(folder) / "probe").open("wb", buffering=0) as file:

        def append() -> None:
            file.write(b"x" * 4096)
            os.fsync(file.fileno())

        work: dict[str, Callable[[], object]] = {"fsync": append}
        return interleaved(count, work, time.perf_counter).seconds("fsync")
