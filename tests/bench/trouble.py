"""A biller in trouble: the calls that retries cost while one in ten is turned away, and what an open breaker still asks."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import msgspec
from ptbridge_sandbox.demo import CLINIC

from ptbridge.delivery import Clock, DeliveryReport, RetryPolicy, SystemClock, deliver
from ptbridge.jobs.peers import open_destination
from ptbridge.ledger import Ledger
from ptbridge.model import Acknowledgement, Submission
from ptbridge.ports import Destination
from ptbridge.specs.config import Config
from tests.bench.clinic import NOWHERE, clinic_folder, fill, kit_of
from tests.bench.processes import biller_summary, server
from tests.bench.push import BILLER
from tests.bench.runner import Figure, Settings
from tests.world import TOKEN

FAILING = 0.1  # of all calls
CALLS_TIMES, CALLS_A_MINUTE = 1.10, 2  # delivery contract, target figures (D14)
A_SECOND = 150  # charges that come in while it lasts
IN_FLIGHT = 16
PAUSE_SECONDS = RetryPolicy().probe_seconds
MINUTE, TIMES = 60.0, 50.0  # seconds; and how many times as fast the outage goes by


@dataclass
class Watched:
    """The clinic's destination, and when each call was made: seconds, and whether it was a submission's first."""

    destination: Destination
    clock: Clock
    calls: list[tuple[float, bool]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.destination, name)

    async def submit(self, submission: Submission) -> Acknowledgement:
        """Note the call, and make it."""
        self.calls.append((self.clock.monotonic(), submission.key not in self.known))
        self.known.add(submission.key)
        return await self.destination.submit(submission)

    def times_while_first_calls_last(self) -> float:
        """All calls for each first call, until the last first call: what is owed then follows at the same rate."""
        last = max(at for at, is_first in self.calls if is_first)
        return sum(at <= last for at, _ in self.calls) / sum(is_first for _, is_first in self.calls)

    def most_in_a_minute(self) -> int:
        """The most calls in any minute from the first pause on: it takes a few to see that nobody is there."""
        times = [at for at, _ in self.calls]
        paused = (place for place, (sooner, later) in enumerate(pairwise(times), 1) if later - sooner >= PAUSE_SECONDS)
        times = times[next(paused, 0) :]
        return max((sum(begun <= at < begun + MINUTE for at in times) for begun in times), default=0)


class Fast(SystemClock):
    """Time that runs so many times as fast, asleep and awake; everything else is real."""

    def __init__(self, times: float) -> None:
        self._times, self._started = times, time.monotonic()

    def monotonic(self) -> float:
        """Seconds of this clock."""
        return (time.monotonic() - self._started) * self._times

    async def sleep(self, seconds: float) -> None:
        """Wait that long by this clock."""
        await asyncio.sleep(seconds / self._times)


def run(settings: Settings) -> list[Figure]:
    """One call in ten turned away; then nobody there at all, in one long run and in a run every minute."""
    days = settings.size(3_000, 40)
    report, watched = _brown_out(days)
    calls, longest = len(watched.calls), settings.size(15, 4)
    in_one = _without_a_biller(longest, runs=1)
    in_many = _without_a_biller(longest, runs=longest)
    note = f"{calls / days:.3f} in all; {1 / (1 - FAILING):.3f} is what {days:,} charges need, {report.retries:,} retries"
    return [
        Figure(
            what="brown-out, 10 % turned away: calls for each first call",
            value=round(watched.times_while_first_calls_last(), 2),
            unit="x",
            target=CALLS_TIMES,
            note=note,
        ),
        Figure(
            what=f"nobody there: calls in a minute, one run of {longest} minutes",
            value=in_one.most_in_a_minute(),
            unit="/min",
            target=CALLS_A_MINUTE,
            note=f"{len(in_one.calls)} calls in all, before the breaker opened too",
        ),
        Figure(
            what="nobody there: calls in a minute, a run every minute",
            value=in_many.most_in_a_minute(),
            unit="/min",
            target=CALLS_A_MINUTE,
            note=f"{len(in_many.calls)} calls in {longest} runs",
        ),
    ]


def _brown_out(days: int) -> tuple[DeliveryReport, Watched]:
    with server(*BILLER) as address, clinic_folder(address) as config, TemporaryDirectory() as folder:
        _break(address, busy=FAILING, busy_status=503)
        with Ledger.open(Path(folder)) as ledger:
            fill(ledger, kit_of(config), days)
            with ledger.transaction():  # they come in one after the other: first calls and retries go side by side
                due = "UPDATE submission SET next_at = ? + cast(id AS REAL) / ?"
                ledger._connection.execute(due, (time.time(), A_SECOND))
            report, watched = asyncio.run(_send(config, ledger, SystemClock(), RetryPolicy(idle_seconds=600), 600.0))
        summary = biller_summary(address)
    assert report.accepted == summary["charges"] == days and not summary["violations"]
    assert len(watched.calls) == days + summary["requests"]["busy"], "what it counts, and what was sent"
    return report, watched


def _without_a_biller(minutes: int, runs: int) -> Watched:
    """So many runs within so many minutes of a clock that is fifty times as fast."""
    policy = RetryPolicy(end_when_open=runs > 1, idle_seconds=minutes * MINUTE)
    with clinic_folder(NOWHERE) as config, TemporaryDirectory() as folder, Ledger.open(Path(folder)) as ledger:
        fill(ledger, kit_of(config), 40)
        clock, seen = Fast(TIMES), []
        for _ in range(runs):
            begun, seconds = clock.monotonic(), minutes * MINUTE / runs
            report, watched = asyncio.run(_send(config, ledger, clock, policy, seconds))
            assert not report.accepted and not report.held
            seen += watched.calls
            time.sleep(max(begun + seconds - clock.monotonic(), 0) / TIMES)
    watched.calls = seen
    return watched


async def _send(
    config: Config, ledger: Ledger, clock: Clock, policy: RetryPolicy, seconds: float
) -> tuple[DeliveryReport, Watched]:
    spec = config.clinic(CLINIC)
    async with open_destination(config, spec, run_id="bench") as destination:
        watched = Watched(destination, clock)
        report = await deliver(
            ledger.outbox(CLINIC, spec.destination.platform),
            cast(Destination, watched),  # the rest of a destination is looked up in the one that it watches
            in_flight=IN_FLIGHT,
            clock=clock,
            policy=policy,
            deadline_seconds=seconds,
        )
    return report, watched


def _break(address: str, **faults: float) -> None:
    """Tell the sandbox biller what to do wrong from now on."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/_sandbox/faults", msgspec.json.encode(faults), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        json.load(answer)
