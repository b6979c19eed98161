"""What delivery is tested with: an outbox that can crash, time that runs at once, a destination that answers by script."""

from __future__ import annotations

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from ptbridge.delivery import DeliveryReport, RetryPolicy, deliver
from ptbridge.errors import LedgerError
from ptbridge.model import Acknowledgement, Disposition, Submission
from ptbridge.ports import Capabilities, OutboxItem, Outcome

OPEN = ("queued", "sending", "in-doubt")


class VirtualClock:
    """Sleeping costs nothing: time jumps to the next sleeper once everything else has had its turns."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.at = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()
        self._pump: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at + seconds, next(self._order), future))
        if self._pump is None or self._pump.done():
            self._pump = asyncio.ensure_future(self._advance())
        await future

    async def _advance(self) -> None:
        while self._sleepers:
            for _ in range(40):
                await asyncio.sleep(0)
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if self._sleepers:
                self.at = max(self.at, self._sleepers[0][0])
            while self._sleepers and self._sleepers[0][0] <= self.at:
                future = heapq.heappop(self._sleepers)[2]
                if not future.done():
                    future.set_result(None)


@dataclass
class Row:
    item: OutboxItem
    state: str = "queued"
    next_at: float = 0.0
    reason: str = ""
    answers: list[Acknowledgement] = field(default_factory=list)


class MemoryOutbox:
    """ports.Outbox on a dict. `journal` has every start and finish in order; `crash` forgets what was sent, as a kill does."""

    def __init__(self, clock: VirtualClock) -> None:
        self.rows: dict[int, Row] = {}
        self.journal: list[tuple[str, tuple[int, ...]]] = []
        self.turns = 0  # how many of them were a finish and a start in one
        self.broken = False
        self._clock = clock

    def put(self, submission: Submission) -> int:
        id_ = len(self.rows) + 1
        self.rows[id_] = Row(OutboxItem(id=id_, submission=submission, queued_at=self._clock.now()))
        return id_

    def crash(self) -> None:
        for row in self.rows.values():
            if row.state == "sending":
                row.state, row.next_at = "in-doubt", 0.0

    def due(self, *, now: float, limit: int) -> list[OutboxItem]:
        ready = [row for row in self._heads() if row.state != "sending" and row.next_at <= now]
        return [
            replace(row.item, in_doubt=row.state == "in-doubt")
            for row in sorted(ready, key=lambda row: (row.next_at, row.item.id))[:limit]
        ]

    def next_due_at(self, *, without: Collection[int] = ()) -> float | None:
        heads = [row for row in self._heads() if row.state != "sending" and row.item.id not in without]
        return min((row.next_at for row in heads), default=None)

    def was_turned_away(self) -> bool:
        return any(row.item.unanswered for row in self.rows.values() if row.state in OPEN)

    def _heads(self) -> Iterable[Row]:
        heads: dict[str, Row] = {}
        for row in self.rows.values():
            if row.state in OPEN:
                heads.setdefault(row.item.submission.order_key, row)
        return heads.values()

    def turn(self, outcomes: tuple[Outcome, ...], items: tuple[OutboxItem, ...], *, now: float) -> None:
        if self.broken:
            raise LedgerError("the disk gave up")
        self.turns += 1
        self.finish(outcomes, now=now)
        self.start(items, now=now)

    def start(self, items: tuple[OutboxItem, ...], *, now: float) -> None:
        if self.broken:
            raise LedgerError("the disk gave up")
        self.journal.append(("start", tuple(item.id for item in items)))
        for item in items:
            row = self.rows[item.id]
            assert row.state in ("queued", "in-doubt"), f"{item.id} started twice"
            row.state = "sending"
            row.item = replace(
                row.item,
                attempts=row.item.attempts + 1,
                first_attempt_at=row.item.first_attempt_at or now,
                last_attempt_at=now,
            )

    def finish(self, outcomes: tuple[Outcome, ...], *, now: float) -> None:
        self.journal.append(("finish", tuple(outcome.item.id for outcome in outcomes)))
        for outcome in outcomes:
            row = self.rows[outcome.item.id]
            assert row.state == "sending", f"{outcome.item.id} finished without a start"
            row.answers.append(outcome.acknowledgement)
            if outcome.acknowledgement.disposition is Disposition.ACCEPTED:
                row.state = "accepted"
                self._served()
            elif outcome.hold_reason:
                row.state, row.reason = "held", outcome.hold_reason
            else:
                doubt = outcome.acknowledgement.disposition is Disposition.IN_DOUBT
                row.state = "in-doubt" if doubt else "queued"
                row.next_at = row.next_at if outcome.next_at is None else outcome.next_at
                row.item = replace(row.item, unanswered=row.item.unanswered + outcome.unanswered)

    def _served(self) -> None:
        for row in self.rows.values():
            if row.state in OPEN:
                row.item = replace(row.item, attempts=row.item.attempts - row.item.unanswered, unanswered=0)

    def state(self, id_: int) -> str:
        return self.rows[id_].state

    def states(self) -> list[str]:
        return [row.state for row in self.rows.values()]


Answer = Acknowledgement | Exception | Callable[[Submission], "Acknowledgement"]


class ScriptedBiller:
    """Answers each reference from its own list, then accepts. `calls` has (what, reference, key, body, time) in order."""

    def __init__(self, clock: VirtualClock, outbox: MemoryOutbox, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self.script: dict[str, list[Acknowledgement | Exception]] = defaultdict(list)
        self.found: dict[str, list[Acknowledgement | Exception | None]] = defaultdict(list)
        self.calls: list[tuple[str, str, str, bytes, float]] = []
        self.seconds = 0.02
        self.seconds_of: dict[str, float] = {}
        self.most_at_once = 0
        self._at_once = 0
        self._clock = clock
        self._outbox = outbox

    async def submit(self, submission: Submission) -> Acknowledgement:
        started = {id_ for kind, ids in self._outbox.journal if kind == "start" for id_ in ids}
        assert any(self._outbox.rows[id_].item.submission.key == submission.key for id_ in started), "byte before start"
        self.calls.append(("submit", submission.reference, submission.key, submission.body, self._clock.now()))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._clock.sleep(self.seconds_of.get(submission.reference, self.seconds))
        finally:
            self._at_once -= 1
        answers = self.script[submission.reference]
        return self._play(answers.pop(0)) if answers else accepted()

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        return [await self.submit(submission) for submission in submissions]

    async def find(self, submission: Submission) -> Acknowledgement | None:
        self.calls.append(("find", submission.reference, submission.key, b"", self._clock.now()))
        answers = self.found[submission.reference]
        answer = answers.pop(0) if answers else None
        return self._play(answer) if answer is not None else None

    def _play(self, answer: Acknowledgement | Exception) -> Acknowledgement:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def called(self, reference: str) -> list[str]:
        return [what for what, name, *_ in self.calls if name == reference]


def accepted() -> Acknowledgement:
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B1")


class Rig:
    """A clock, an outbox, a biller and a run, ready to be told what goes wrong."""

    def __init__(self, capabilities: Capabilities | None = None) -> None:
        self.clock = VirtualClock()
        self.outbox = MemoryOutbox(self.clock)
        self.biller = ScriptedBiller(
            self.clock, self.outbox, capabilities or Capabilities(idempotency_seconds=82_800, find=True)
        )

    def put(self, reference: str, *, order_key: str = "", revision: int = 1) -> int:
        return self.outbox.put(
            Submission(
                clinic="oak",
                destination="test",
                key=f"key-{reference}-{revision}",
                reference=reference,
                order_key=order_key or reference,
                revision=revision,
                body=f"body of {reference} {revision}".encode(),
                units=2,
                amount_cents=6642,
                lines=1,
            )
        )

    def deliver(
        self, *, policy: RetryPolicy | None = None, in_flight: int = 4, deadline: float = 600.0, **more: object
    ) -> DeliveryReport:
        async def run() -> DeliveryReport:
            return await deliver(
                self.outbox,
                self.biller,  # type: ignore[arg-type]
                in_flight=in_flight,
                clock=self.clock,
                policy=policy or RetryPolicy(idle_seconds=1e6),
                deadline_seconds=deadline,
                random=lambda: 0.0,
                **more,  # type: ignore[arg-type]
            )

        return asyncio.run(run())


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def make_rig() -> type[Rig]:
    return Rig
