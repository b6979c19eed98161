"""What a listener holds after many messages: memory once it has warmed up, and how far it drifts from there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from ptbridge_sandbox.demo import SECOND

from ptbridge.inbox import ClinicInbox
from tests.bench.hl7_acks import listening
from tests.bench.hl7_clinic import charge_message, hl7_folder
from tests.bench.runner import Figure, Settings

DRIFT_TIMES, STEADY_MB = 1.05, 150.0  # delivery contract, target figures
CONNECTIONS = 8
PARTS = 20  # memory is read after each
WARM_PARTS = 4


def run(settings: Settings) -> list[Figure]:
    """Resident memory of `ptbridge listen` while messages come in over a few connections, each kept and acknowledged."""
    count = settings.size(1_000_000 if settings.long else 100_000, 400)
    with hl7_folder() as config, listening(config) as (port, process):
        sizes = asyncio.run(_sizes(port, process, count))
        with ClinicInbox.open(config.state, SECOND) as inbox:
            assert inbox.last() == count, f"{inbox.last()} of {count} acknowledged messages are in the inbox"
    warm, steady = sizes[WARM_PARTS:], max(sizes)
    shown = ", ".join(f"{size:.0f}" for size in sizes[:: PARTS // 5])
    what = f"a listener after {count:,} messages"
    return [
        Figure(what=f"{what}: memory", value=steady, unit="MB", target=STEADY_MB, note=f"on the way: {shown} MB"),
        Figure(
            what=f"{what}: against after {count * (WARM_PARTS + 1) // PARTS:,}",
            value=warm[-1] / warm[0],
            unit="x",
            target=DRIFT_TIMES,
            note=f"{warm[0]:.1f} MB then, {warm[-1]:.1f} MB at the end",
        ),
    ]


async def _sizes(port: int, process: int, count: int) -> list[float]:
    """Megabytes after each part of the messages."""
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS)]
    messages, sizes = _messages(count), []
    for _ in range(PARTS):
        part = islice(messages, count // PARTS)
        await asyncio.gather(*(_send(reader, writer, part) for reader, writer in connections))
        sizes.append(_resident_mb(process))
    for _, writer in connections:
        writer.close()
    return sizes


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, messages: Iterator[bytes]) -> None:
    """Take the next message that nobody sends, send it, wait for its answer."""
    for raw in messages:
        writer.write(b"\x0b" + raw + b"\x1c\r")
        answer = await reader.readuntil(b"\x1c\r")
        assert b"\rMSA|AA|" in answer, "a message was not accepted"


def _messages(count: int) -> Iterator[bytes]:
    """Made one at a time: a million would not fit."""
    random = Random(1)
    return (charge_message(number, random) for number in range(1, count + 1))


def _resident_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/status").read_text("ascii", errors="replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024
