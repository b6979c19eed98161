"""From a signed note to its charge at the biller: messages into a listener, a sync on a timer, stamps of both sandboxes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from ptbridge import jobs
from tests.bench.hl7_acks import listening
from tests.bench.runner import Figure, Settings
from tests.hl7_clinic import CLINIC, Hl7World, a_visit, lakeside

P95_SECONDS = 300.0  # delivery contract, target figures: push feeds
TIMER_SECONDS = 120.0  # docs/hl7v2.md: a sync every two minutes beside the listener
EVERY_SECONDS = 5.0  # here, so that a bench does not take an hour


def run(settings: Settings) -> list[Figure]:
    """The 95th percentile of the waits with a sync every few seconds, and what it is with one every two minutes."""
    visits = settings.size(60, 4)
    with TemporaryDirectory() as folder, lakeside(Path(folder) / "config") as hl7:
        hl7.option('address: "127.0.0.1:0"')
        signed, runs = _play(hl7, visits, settings.size(40, 3))
        taken = _taken(hl7, signed)
    assert len(taken) == visits, f"{visits - len(taken)} of {visits} signed visits are not at the biller"
    waits = sorted(taken[visit] - at for visit, at in signed.items())
    own = sorted(at - max(begun for begun in runs if begun <= at) for at in taken.values())
    p95_own = _p95(own)
    return [
        Figure(
            what="signed note to charge, p95, a sync every 2 minutes",
            value=_p95(_spread(TIMER_SECONDS)) + p95_own,
            unit="s",
            target=P95_SECONDS,
            note="the wait for the timer, and the run's own part",
        ),
        Figure(
            what=f"signed note to charge, p95, a sync every {EVERY_SECONDS:g} s",
            value=_p95(waits),
            unit="s",
            note=f"median {waits[len(waits) // 2]:.1f} s, longest {waits[-1]:.1f} s, {len(runs)} runs, {visits} visits",
        ),
        Figure(what="  of it the run's own part, from its start", value=p95_own, unit="s", note=f"longest {own[-1]:.1f} s"),
    ]


def _play(hl7: Hl7World, visits: int, seconds: float) -> tuple[dict[str, float], list[float]]:
    """When each visit's note was acknowledged, and when each sync began (monotonic seconds)."""
    runs: list[float] = []
    with listening(hl7.config) as (port, _), _timer(hl7, runs) as timer:
        signed = asyncio.run(_clinic(port, visits, seconds))
        ended = time.monotonic()
        while not any(one > ended for one in runs[:-1]):  # until a run that began after the last note has ended
            assert timer.is_alive(), "a sync failed"
            time.sleep(0.1)
    return signed, runs


@contextmanager
def _timer(hl7: Hl7World, runs: list[float]) -> Iterator[threading.Thread]:
    """`ptbridge sync` as a process, again and again, as a timer starts it: never two at once."""
    stop = threading.Event()
    command = [sys.executable, "-P", "-m", "ptbridge", "sync", "--clinic", CLINIC, "--config", str(hl7.world.folder)]

    def tick() -> None:
        while not stop.is_set():
            begun = time.monotonic()
            runs.append(begun)
            ended = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            assert ended.returncode in (0, 3), f"sync ended with {ended.returncode}"
            stop.wait(max(EVERY_SECONDS - (time.monotonic() - begun), 0))

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


async def _clinic(port: int, visits: int, seconds: float) -> dict[str, float]:
    """Visits spread evenly over the time: registered, charged, signed; when the signed note was acknowledged."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y%m%d").encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begun, signed = time.monotonic(), {}
    for number in range(visits):
        await asyncio.sleep(max(begun + number * seconds / visits - time.monotonic(), 0))
        for raw in a_visit(f"V{number}", f"M{number}"):
            writer.write(b"\x0b" + raw.replace(b"20261118", yesterday) + b"\x1c\r")
            answer = await reader.readuntil(b"\x1c\r")
            assert b"\rMSA|AA|" in answer, "a message was not accepted"
        signed[f"V{number}"] = time.monotonic()
    writer.close()
    await writer.wait_closed()
    return signed


def _taken(hl7: Hl7World, signed: dict[str, float]) -> dict[str, float]:
    """When the biller took each visit's charge, by its own clock: monotonic seconds of the same machine."""
    latest = hl7.world.biller.books.latest
    references = {visit: jobs.explain(hl7.config, visit)["days"][0]["reference"] for visit in signed}
    return {visit: latest[reference].taken_at for visit, reference in references.items() if reference in latest}


def _spread(seconds: float) -> list[float]:
    """The waits for a timer that fires so often, of notes that are signed at any time."""
    return [seconds * place / 1000 for place in range(1000)]


def _p95(sorted_seconds: list[float]) -> float:
    return sorted_seconds[int(len(sorted_seconds) * 0.95)]
