"""Durable acknowledgements: `ptbridge listen` as a process, its inbox with fsync, and senders that wait for each answer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile

from ptbridge_sandbox.demo import SECOND

from ptbridge.inbox import ClinicInbox
from ptbridge.specs.config import Config
from tests.bench.hl7_clinic import charge_messages, hl7_folder
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate

MANY = 50
MANY_PER_SECOND, ONE_PER_SECOND, P99_MILLISECONDS = 3_000, 800, 100  # issue 4
_STOP_SECONDS = 30


def run(settings: Settings) -> list[Figure]:
    """Acknowledgements a second and their p99, over 50 connections and over one; each message is then in the inbox."""
    page_seconds = interleaved(5, {"page": parse_page}, time.perf_counter).seconds("page")
    found: list[Figure] = []
    for connections, target, full in ((MANY, MANY_PER_SECOND, 9_000), (1, ONE_PER_SECOND, 2_000)):
        count = settings.size(full, 2 * connections)
        with hl7_folder() as config, listening(config) as (port, process):
            messages = charge_messages(count)
            syncs = [fdatasync_milliseconds(settings.size(100, 5))]
            used = _cpu_seconds(process)
            seconds, waits = asyncio.run(_senders(port, messages, connections))
            used = _cpu_seconds(process) - used
            syncs.append(fdatasync_milliseconds(settings.size(100, 5)))
            with ClinicInbox.open(config.state, SECOND) as inbox:
                assert inbox.last() == count, f"{inbox.last()} of {count} acknowledged messages are in the inbox"
        over = f"{connections} connections" if connections > 1 else "1 connection"
        found.append(rate(f"durable ACKs over {over}", count / seconds, target, page_seconds, "ACK/s"))
        p99 = sorted(waits)[int(len(waits) * 0.99)] * 1000
        sync, wait = sum(syncs) / 2, median(waits) * 1000
        note = f"median {wait:.1f} ms, {wait / sync:.1f} times one fdatasync of this disk at that time ({sync:.2f} ms)"
        found.append(Figure(what=f"  p99 over {over}", value=p99, unit="ms", target=P99_MILLISECONDS, note=note))
        found.append(Figure(what="  the listener's own CPU time for one", value=used / count * 1e6, unit="µs"))
    return found


def _cpu_seconds(process: int) -> float:
    """Time on a core of all threads of a process so far (proc(5): schedstat, nanoseconds)."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(one.read_text("ascii").split()[0]) for one in threads) / 1e9


def fdatasync_milliseconds(count: int) -> float:
    """The median: what a single sender waits for at least, whatever the listener does."""
    waits = []
    with TemporaryFile(buffering=0) as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(bytes(12_288))
            os.fdatasync(file.fileno())
            waits.append(time.perf_counter() - begun)
    return median(waits) * 1000


@contextmanager
def listening(config: Config) -> Iterator[tuple[int, int]]:
    """The listener as a service runs it; gives its port and process id, ends it by SIGTERM."""
    command = [sys.executable, "-P", "-m", "ptbridge", "listen", "--config", str(config.folder)]
    with (Path(config.folder) / "listen.log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready.startswith("ready: "), "ptbridge listen did not start"
        yield int(ready.split(" (")[0].rpartition(":")[2]), process.pid
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_SECONDS)
    assert process.returncode == 0, f"ptbridge listen ended with {process.returncode}"


async def _senders(port: int, messages: Sequence[bytes], connections: int) -> tuple[float, list[float]]:
    """Wall seconds for all, and each message's wait."""
    started = time.perf_counter()
    waits = await asyncio.gather(*(_sender(port, messages[place::connections]) for place in range(connections)))
    return time.perf_counter() - started, [one for several in waits for one in several]


async def _sender(port: int, messages: Sequence[bytes]) -> list[float]:
    """One connection that sends and waits, as an interface engine does."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    waits = []
    for raw in messages:
        begun = time.perf_counter()
        writer.write(b"\x0b" + raw + b"\x1c\r")
        answer = await reader.readuntil(b"\x1c\r")
        waits.append(time.perf_counter() - begun)
        assert b"\rMSA|AA|" in answer, "a message was not accepted"
    writer.close()
    await writer.wait_closed()
    return waits
