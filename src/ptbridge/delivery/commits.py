"""Group commit: the starts and finishes of one turn of the event loop share one transaction.

A commit is an fsync (0.1 ms on a fast disk, 5 ms on a slow one). While one runs, every other call in flight gathers, so
the next commit takes them all: the slower the disk, the larger the groups. One writer, on the loop's own thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ptbridge.delivery.clock import Clock
from ptbridge.ports import Outbox, OutboxItem, Outcome

T = TypeVar("T")


class _Group(Generic[T]):
    """What waits for the next transaction."""

    def __init__(self) -> None:
        self._waiting: list[tuple[T, asyncio.Future[None]]] = []

    def add(self, entry: T) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        return future

    def entries(self) -> tuple[T, ...]:
        return tuple(entry for entry, _ in self._waiting)

    def settle(self, failure: Exception | None = None) -> None:
        """Everyone who waits learns how it went."""
        waiting, self._waiting = self._waiting, []
        for _, future in waiting:
            if future.done():  # its caller was cancelled
                continue
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)


class GroupCommit:
    """Durable `start` and `finish` for many items at once. Both return when their transaction is on the disk."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox = outbox
        self._clock = clock
        self._starts: _Group[OutboxItem] = _Group()
        self._finishes: _Group[Outcome] = _Group()
        self._scheduled = False

    async def start(self, item: OutboxItem) -> None:
        """Return once the start is durable: only then may the first byte leave (D10)."""
        future = self._starts.add(item)
        self._schedule()
        await future

    async def finish(self, outcome: Outcome) -> None:
        """Return once the outcome is durable."""
        future = self._finishes.add(outcome)
        self._schedule()
        await future

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        """All that wait in one transaction. Where that fails, answers alone come first: they are worth more than new starts."""
        self._scheduled = False
        outcomes, items, now = self._finishes.entries(), self._starts.entries(), self._clock.now()
        if outcomes and items and self._together(outcomes, items, now):
            return
        if outcomes:
            self._finishes.settle(_failure(lambda: self._outbox.finish(outcomes, now=now)))
        if items:
            self._starts.settle(_failure(lambda: self._outbox.start(items, now=now)))

    def _together(self, outcomes: tuple[Outcome, ...], items: tuple[OutboxItem, ...], now: float) -> bool:
        if _failure(lambda: self._outbox.turn(outcomes, items, now=now)) is not None:
            return False
        self._finishes.settle()
        self._starts.settle()
        return True


def _failure(write: Callable[[], None]) -> Exception | None:
    try:
        write()
    except Exception as error:  # whoever waits for it is told
        return error
    return None
