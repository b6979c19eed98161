"""The ledger's own speed: submissions through it one by one and in batches, its start, its status, a run with nothing to do."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import apsw
from ptbridge_sandbox.day import BILLING_NPI
from ptbridge_sandbox.demo import CLINIC

from ptbridge import jobs
from ptbridge.cli.init import write
from ptbridge.cli.init_files import Answers
from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.jobs.collector import rare_collections
from ptbridge.jobs.judging import CHUNK
from ptbridge.ledger import DayRow, Ledger, Verdict
from ptbridge.model import Acknowledgement, Disposition, Submission
from ptbridge.ports import Capabilities, Destination, OutboxItem, Outcome
from ptbridge.specs.config import Config, load_config
from tests.bench.processes import server
from tests.bench.runner import Figure, Settings, interleaved, parse_page

PLATFORM = "charge_api"
ONE_BY_ONE, IN_BATCHES = 1_500, 15_000  # submissions a second; these and the next: issue 5
START_SECONDS, STATUS_SECONDS = 5.0, 2.0
QUIET_TIMES = 1.1  # a run with nothing to do, with a large history against none
SYNCS = 3  # of a submission that goes through alone: queued, sending, answered
BILLER = ("ptbridge_sandbox.biller", "--port", "0")
IN_FLIGHT = 16  # as a clinic file has it by default
BATCH = 500
Judged = tuple[DayRow, Verdict]
BODY = bytes(range(256)) * 4  # 1 KB, about what a treatment day weighs; not compressible to nothing


def run(settings: Settings) -> list[Figure]:
    """Submissions a second through all three steps, each durable; then what a large ledger's start, status and run cost."""
    return [*_throughput(settings), *_large(settings), _quiet(settings)]


def _throughput(settings: Settings) -> list[Figure]:
    singles, many = settings.size(1_000, 20), settings.size(10_000, 40)
    sync = _sync_seconds(settings.size(200, 5))
    alone = max(_timed(singles, partial(through, group=1)) for _ in range(settings.size(3, 1)))
    shared = max(_timed(settings.size(4_000, 40), in_flight) for _ in range(settings.size(3, 1)))
    with rare_collections():  # as in every run
        in_batches = max(_timed(many, partial(through, group=settings.size(BATCH, 10))) for _ in range(settings.size(5, 1)))
    insert = _insert_seconds(settings.size(20_000, 50))
    page_seconds = interleaved(5, {"page": parse_page}, time.perf_counter).seconds("page")
    bound = 1 / (SYNCS * sync)
    disk = f"{1 / sync:,.0f} fdatasyncs/s of 4 KB here, so {bound:,.0f}/s with {SYNCS} each"
    here = (
        f"each takes as long as {1 / in_batches / insert:,.0f} bare inserts of 1 KB; a page parse {page_seconds * 1e3:.2f} ms"
    )
    what = f"one by one, {IN_FLIGHT} in flight: commits shared"
    return [
        Figure(
            what=what,
            value=shared,
            unit="/s",
            target=ONE_BY_ONE,
            at_least=True,
            note="the engine, a biller that answers at once",
        ),
        Figure(what="one by one, one in flight: enqueue, start, finish", value=alone, unit="/s", note=disk),
        Figure(what="  of what the disk allows", value=alone / bound, unit="x"),
        Figure(what=f"in batches of {BATCH}", value=in_batches, unit="/s", target=IN_BATCHES, at_least=True, note=here),
    ]


def _large(settings: Settings) -> list[Figure]:
    """100,000 open submissions and a million rows of history: how long a start and a status take."""
    open_items, history = settings.size(100_000, 200), settings.size(1_000_000, 500)
    with TemporaryDirectory() as folder:
        config = _clinic(Path(folder) / "config")
        state = config.state
        with Ledger.open(state) as ledger:
            _fill(ledger, open_items, history)
        after_a_kill, in_order = _start(state, killed=True), _start(state, killed=False)
        status = _best(lambda: jobs.status(config))
        size = (state / "ledger.sqlite").stat().st_size / 1e6
    sizes = f"{open_items:,} open submissions, {history:,} rows of history, {size:,.0f} MB"
    return [
        Figure(what="start after a kill, recovered", value=after_a_kill, unit="s", target=START_SECONDS, note=sizes),
        Figure(what="start after an orderly end", value=in_order, unit="s", target=START_SECONDS),
        Figure(what="status", value=status, unit="s", target=STATUS_SECONDS, note=sizes),
    ]


def _quiet(settings: Settings) -> Figure:
    """A run that has nothing to pull and nothing to send: with 100,000 days sent against an empty ledger, in CPU time."""
    sent = settings.size(100_000, 100)
    with server(*BILLER) as address, TemporaryDirectory() as folder:
        full, empty = (_clinic(Path(folder) / name, address) for name in ("full", "empty"))
        for state, count in ((full.state, sent), (empty.state, 0)):
            with Ledger.open(state) as ledger, rare_collections():
                through(ledger, judged(new_days(ledger, count)), BATCH)
        work: dict[str, Callable[[], object]] = {"full": lambda: jobs.retry(full), "empty": lambda: jobs.retry(empty)}
        for run_once in work.values():  # the first run of a day looks through the file and reads again what is held
            run_once()
        found = interleaved(settings.size(15, 1), work)
    note = (
        f"{found.seconds('full') * 1e3:.1f} ms of CPU with {sent:,} days sent, {found.seconds('empty') * 1e3:.1f} ms with none"
    )
    return Figure(
        what="a run with nothing to do, large against empty",
        value=found.times("full", "empty"),
        unit="x",
        target=QUIET_TIMES,
        note=note,
    )


def _clinic(config: Path, biller_url: str = "http://127.0.0.1:9") -> Config:
    answers = Answers(
        clinic=CLINIC,
        name="Bench",
        time_zone="America/Chicago",
        npi=BILLING_NPI,
        mapping="emrs/sandbox_emr",
        emr_url="http://127.0.0.1:9",
        emr_auth="none",
        biller_url=biller_url,
    )
    write(config, answers)
    token = config / "secrets" / "biller_token"
    token.parent.mkdir(mode=0o700, exist_ok=True)
    token.touch(mode=0o600)
    token.write_text("bench", "utf-8")
    return load_config(config)


def _fill(ledger: Ledger, open_items: int, history: int) -> None:
    for start in range(0, open_items, 10_000):
        days = new_days(ledger, min(10_000, open_items - start), start)
        with ledger.transaction():
            ledger.days.record_many(judged(days))
    for start in range(0, history, 50_000):
        with ledger.transaction():
            ledger.history.add_many(
                CLINIC, "submission", ((row, "sending", "attempt 1") for row in range(start, min(start + 50_000, history)))
            )


def _start(state: Path, *, killed: bool) -> float:
    """Until the first due items are there, as a run does it: open, look through the file if need be, recover."""
    if killed:
        (state / "lock").write_text("")

    def start() -> None:
        with Ledger.open(state) as ledger:
            outbox = ledger.outbox(CLINIC, PLATFORM)
            outbox.recover()
            assert outbox.due(now=time.time(), limit=64)

    started = time.perf_counter()
    start()
    return time.perf_counter() - started


def _best(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _timed(count: int, work: Callable[[Ledger, list[Judged]], None]) -> float:
    with TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        days = judged(new_days(ledger, count))  # what to submit is there before the clock starts: making it is not the ledger's
        started = time.perf_counter()
        work(ledger, days)
        seconds = time.perf_counter() - started
        assert ledger.accounts.days_by_state(CLINIC)["sent"]["days"] == count
    return count / seconds


def new_days(ledger: Ledger, count: int, first: int = 0) -> list[DayRow]:
    """Treatment days that wait for a judgement, numbered from `first`."""
    ledger.begin_run(CLINIC)
    with ledger.transaction():
        for number in range(first, first + count):
            ledger.days.ensure(CLINIC, f"day {number}", f"pt-{number:08d}", "2026-03-12")
    return ledger.days.dirty(CLINIC, limit=count)


def judged(days: list[DayRow]) -> list[Judged]:
    """Each with its judgement and its submission."""
    return [(day, _verdict(day)) for day in days]


def through(ledger: Ledger, days: list[Judged], group: int) -> None:
    """Take every day from judged to accepted, `group` of them in each transaction."""
    outbox = ledger.outbox(CLINIC, PLATFORM)
    accepted = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B1", native_code="201")
    for start in range(0, len(days), group):
        with ledger.transaction():
            ledger.days.record_many(days[start : start + group])
        items: list[OutboxItem] = outbox.due(now=time.time(), limit=group)
        outbox.start(tuple(items), now=time.time())
        outbox.finish(tuple(Outcome(item=item, acknowledgement=accepted) for item in items), now=time.time())


class _AtOnce:
    """A biller that costs nothing: what is measured is the engine and the ledger."""

    capabilities = Capabilities()

    async def submit(self, submission: Submission) -> Acknowledgement:
        await asyncio.sleep(0)
        return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=submission.reference, native_code="201")


def in_flight(ledger: Ledger, days: list[Judged]) -> None:
    """As a run does it: judgements in chunks, then delivery; each start and each answer is durable before its item goes on."""
    for start in range(0, len(days), CHUNK):
        with ledger.transaction():
            ledger.days.record_many(days[start : start + CHUNK])
    report = asyncio.run(
        deliver(
            ledger.outbox(CLINIC, PLATFORM),
            cast(Destination, _AtOnce()),
            in_flight=IN_FLIGHT,
            clock=SystemClock(),
            policy=RetryPolicy(),
            deadline_seconds=600.0,
        )
    )
    assert report.accepted == len(days)


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


def _insert_seconds(count: int) -> float:
    """One bare insert of 1 KB into a table with one index, in transactions of 500: what SQLite itself takes here."""
    with TemporaryDirectory() as folder:
        connection = apsw.Connection(str(Path(folder) / "bare.sqlite"))
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("CREATE TABLE bare (id INTEGER PRIMARY KEY, name TEXT, body BLOB); CREATE INDEX n ON bare (name)")
        started = time.perf_counter()
        for start in range(0, count, BATCH):
            with connection:
                connection.executemany(
                    "INSERT INTO bare (name, body) VALUES (?, ?)", [(f"pt-{start + n:08d}", BODY) for n in range(BATCH)]
                )
        seconds = time.perf_counter() - started
        connection.close()
    return seconds / count


def _sync_seconds(count: int) -> float:
    """The median cost of making 4 KB durable in a file of this disk that has them already, as a WAL file has."""
    with TemporaryDirectory() as folder, (Path(folder) / "probe").open("wb", buffering=0) as file:
        file.write(b"x" * 4096 * 1000)
        os.fsync(file.fileno())

        def rewrite() -> None:
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())

        work: dict[str, Callable[[], object]] = {"sync": rewrite}
        return interleaved(count, work, time.perf_counter).seconds("sync")
