"""The delivery engine: due items out of the outbox, a bounded number in flight, each outcome durable before it counts."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable

from ptbridge.delivery.attempt import Attempts
from ptbridge.delivery.batch import deliver_batches
from ptbridge.delivery.clock import Clock
from ptbridge.delivery.commits import GroupCommit
from ptbridge.delivery.pace import Pace
from ptbridge.delivery.policy import RetryPolicy
from ptbridge.delivery.report import DeliveryReport
from ptbridge.delivery.verdict import cut_off
from ptbridge.ports import Destination, Outbox, OutboxItem

logger = logging.getLogger(__name__)

Progress = Callable[[DeliveryReport], None]
Random = Callable[[], float]

_RANDOM: Random = secrets.SystemRandom().random
_LOOK_AHEAD = 4  # items fetched from the outbox per slot: one query serves several calls
_SHORTEST_NAP_SECONDS = 0.05


async def deliver(
    outbox: Outbox,
    destination: Destination,
    *,
    in_flight: int,
    clock: Clock,
    policy: RetryPolicy,
    deadline_seconds: float,
    on_progress: Progress | None = None,
    stop: asyncio.Event | None = None,
    random: Random = _RANDOM,
    pace: Pace | None = None,
) -> DeliveryReport:
    """Send what is due until nothing is, the deadline passes, `stop` is set, or the biller is away or refuses us.

    Oldest first, but for what must wait by itself for a retry. Where the platform was away when it was last tried, one call
    alone asks whether it is back. Waits for retries that become due soon (`idle_seconds`). Items come back from a crash
    with `in_doubt` set and are settled first by replay or look-up. `pace` is what this call shares with others to the same
    platform. Raises LedgerError when a start or an outcome cannot be stored: the calls in flight are then left as `sending`,
    which the ledger hands back in doubt. Never raises for a peer's trouble; the report says it.
    """
    shared = pace or Pace.new(policy, clock.monotonic())
    if outbox.was_turned_away():
        shared.gate.suspect()
    if destination.capabilities.batch:
        return await deliver_batches(
            outbox, destination, clock=clock, policy=policy, on_progress=on_progress, random=random, pace=shared
        )
    deadline = clock.monotonic() + deadline_seconds
    run = _Run(outbox, destination, in_flight, clock, policy, deadline, on_progress, stop, random, shared)
    await run.run()
    logger.info(
        "delivery to %s: %d accepted, %d held, %d postponed, ended %s",
        type(destination).__name__,
        run.report.accepted,
        run.report.held.total(),
        run.report.postponed,
        run.report.ended,
    )
    return run.report


class _Run:
    """One delivery: the loop that fills the slots, and what it needs to know."""

    def __init__(
        self,
        outbox: Outbox,
        destination: Destination,
        in_flight: int,
        clock: Clock,
        policy: RetryPolicy,
        deadline: float,
        on_progress: Progress | None,
        stop: asyncio.Event | None,
        random: Random,
        pace: Pace,
    ) -> None:
        assert in_flight >= 1, "at least one call must be allowed in flight"
        self.report = DeliveryReport()
        self._outbox = outbox
        self._in_flight = in_flight
        self._clock = clock
        self._policy = policy
        self._deadline = deadline
        self._on_progress = on_progress
        self._stop = stop or asyncio.Event()
        self._commits = GroupCommit(outbox, clock)
        self._gate = pace.gate
        self._attempts = Attempts(destination, clock, policy, pace.gate, pace.budget, self.report, random)
        self._ready: deque[OutboxItem] = deque()
        self._active: dict[asyncio.Task[None], OutboxItem] = {}
        self._unanswered: dict[int, OutboxItem] = {}

    async def run(self) -> None:
        """Until something in `_ending` says so."""
        stopped = asyncio.ensure_future(self._stop.wait())
        orderly = False
        try:
            while (ending := self._ending()) is None:
                self._dispatch()
                if not self._active and (ending := self._nothing_left()) is not None:
                    break
                await self._wait(stopped)
            self.report.ended = ending
            await self._let_finish()
            orderly = True
        finally:
            stopped.cancel()
            await self._abandon(record=orderly)

    def _ending(self) -> str | None:
        """Why no further item may be sent, if there is a reason."""
        if self._stop.is_set():
            return "stopped"
        if self.report.refusal:
            return "refused"
        if self._policy.end_when_open and (ending := self._shut_out()) is not None:
            return ending
        return "deadline" if self._clock.monotonic() >= self._deadline else None

    def _shut_out(self) -> str | None:
        """Nobody may call, and the next run asks again: `breaker-open`, or, when the pause is longer than patience, `failing`
        or `later`."""
        if self._gate.wait_seconds(self._clock.monotonic()) == 0:
            return None  # one probe may pass
        if self._gate.is_open:
            return "breaker-open"
        if self._gate.shut_seconds <= self._policy.idle_seconds:
            return None
        return "failing" if self._gate.is_failing else "later"

    def _nothing_left(self) -> str | None:
        """`done` when the outbox is empty, `later` when what it has is due too late to wait for, else None."""
        due_at = self._next_due_at()
        if due_at is None:
            return "done"
        patience = min(self._policy.idle_seconds, self._deadline - self._clock.monotonic())
        return "later" if due_at - self._clock.now() > patience else self._nobody_there(patience)

    def _nobody_there(self, patience: float) -> str | None:
        """Whether all that is left found no connection, again and again: too few to open the breaker by their number."""
        others_due_at = self._outbox.next_due_at(without=set(self._resting()))
        if others_due_at is None or others_due_at - self._clock.now() > patience:
            self._gate.alone(self._clock.monotonic())
        if self._gate.is_open:  # one asks for all of them, and then each has its place
            self._attempts.resting.clear()
        return self._ending()

    # ------------------------------------------------------------ filling the slots

    def _dispatch(self) -> None:
        if self._gate.wait_seconds(self._clock.monotonic()) > 0:
            return
        if self._gate.width:  # who asks is the oldest: those that were fetched behind it wait for their turn
            self._ready.clear()
        slots = self._slots()
        if len(self._ready) < slots:
            self._look_ahead()
        for _ in range(min(slots, len(self._ready))):
            item = self._ready.popleft()
            self._active[asyncio.create_task(self._deliver_one(item))] = item

    def _slots(self) -> int:
        """How many more calls may begin now."""
        return min(self._in_flight, self._gate.width or self._in_flight) - len(self._active)

    def _look_ahead(self) -> None:
        """Fetch what is due. Items in flight are not yet durable as `sending` for a moment, so they are left out here too."""
        taken = list(self._active.values()) + list(self._ready)
        ids, keys = {item.id for item in taken} | set(self._resting()), {item.submission.order_key for item in taken}
        due = self._outbox.due(now=self._clock.now(), limit=self._in_flight * _LOOK_AHEAD + len(ids))
        self._ready.extend(item for item in due if item.id not in ids and item.submission.order_key not in keys)

    def _resting(self) -> dict[int, float]:
        """What found no connection in this run and waits for its next try: for how many seconds yet."""
        now = self._clock.monotonic()
        return {id_: until - now for id_, until in self._attempts.resting.items() if until > now}

    def _next_due_at(self) -> float | None:
        """When something that is not in flight can go, Unix seconds; None when nothing waits."""
        resting, now = self._resting(), self._clock.now()
        in_flight = {item.id for item in self._active.values()}
        due_at = self._outbox.next_due_at(without=in_flight | set(resting))
        times = [now + left for left in resting.values()]
        return min(times if due_at is None else [due_at, *times], default=None)

    async def _deliver_one(self, item: OutboxItem) -> None:
        self._unanswered[item.id] = item
        await self._commits.start(item)
        outcome = await self._attempts.make(item)
        del self._unanswered[item.id]
        await self._commits.finish(outcome)
        self.report.count(outcome)
        if self._on_progress:
            self._on_progress(self.report)

    # ------------------------------------------------------------ waiting

    async def _wait(self, stopped: asyncio.Task[bool]) -> None:
        """Until a call ends, the next item is due, the pause is over, the deadline comes or someone says stop."""
        await self._first_of({*self._active, stopped}, self._nap_seconds())
        for task in [task for task in self._active if task.done()]:
            del self._active[task]
            task.result()

    def _nap_seconds(self) -> float:
        now = self._clock.monotonic()
        nap = self._deadline - now
        paused = self._gate.wait_seconds(now)
        if paused > 0:
            return min(nap, paused)
        if self._slots() > 0:
            due_at = self._next_due_at()
            if due_at is not None:
                nap = min(nap, max(due_at - self._clock.now(), _SHORTEST_NAP_SECONDS))
        return max(nap, 0.0)

    async def _first_of(self, tasks: set[asyncio.Task[None] | asyncio.Task[bool]], seconds: float) -> None:
        nap = asyncio.ensure_future(self._clock.sleep(seconds))
        await asyncio.wait({*tasks, nap}, return_when=asyncio.FIRST_COMPLETED)
        nap.cancel()

    # ------------------------------------------------------------ ending

    async def _let_finish(self) -> None:
        """Calls in flight end by themselves: within the grace after a stop (D29), else within the longest call."""
        stopped = self.report.ended == "stopped"
        until = self._clock.monotonic() + (self._policy.stop_grace_seconds if stopped else self._policy.longest_call_seconds)
        while self._active and (left := until - self._clock.monotonic()) > 0:
            await self._first_of(set(self._active), left)
            for task in [task for task in self._active if task.done()]:
                del self._active[task]
                task.result()

    async def _abandon(self, *, record: bool) -> None:
        """Cut off what is still in flight. With `record`, say in the outbox that it is in doubt."""
        for task in self._active:
            task.cancel()
        await asyncio.gather(*self._active, return_exceptions=True)
        if record and self._unanswered:
            cut = tuple(cut_off(item) for item in self._unanswered.values())
            self._outbox.finish(cut, now=self._clock.now())
            for outcome in cut:
                self.report.count(outcome)
