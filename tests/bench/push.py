"""Delivery to a biller that answers in 20 ms: real outbox, real client, the sandbox biller as a process of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from ptbridge_sandbox.demo import CLINIC

from ptbridge.delivery import DeliveryReport, RetryPolicy, SystemClock, deliver
from ptbridge.jobs.peers import open_destination
from ptbridge.ledger import Ledger
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from tests.bench.clinic import clinic_folder, fill, kit_of
from tests.bench.processes import biller_summary, server
from tests.bench.runner import Figure, Settings, interleaved, parse_page, rate

DAYS_PER_SECOND, CONFIGURED_RATE = 200, 100  # issue 2
ANSWER_SECONDS = 0.02
BILLER = ("ptbridge_sandbox.biller", "--port", "0", "--answer-delay-seconds", str(ANSWER_SECONDS))


def run(settings: Settings) -> list[Figure]:
    """Treatment days a second with 16 in flight, then the busiest second of a run with a configured rate."""
    days = settings.size(2_000, 20)
    report, seconds, _ = pushed(days)
    page_seconds = interleaved(5, {"page": parse_page}, time.perf_counter).seconds("page")
    fast = rate("pushed, 16 in flight, answers in 20 ms", report.accepted / seconds, DAYS_PER_SECOND, page_seconds, "days/s")
    _, slow_seconds, peak = pushed(settings.size(500, 20), requests_per_second=CONFIGURED_RATE)
    what = f"busiest second at the biller, {CONFIGURED_RATE}/s configured"
    return [
        fast,
        Figure(what=what, value=peak, unit="/s", target=CONFIGURED_RATE, note=f"run took {slow_seconds:.1f} s"),
    ]


def pushed(days: int, requests_per_second: float = 0) -> tuple[DeliveryReport, float, int]:
    """Fill a ledger, send it all; the report, wall seconds, and the biller's busiest second. All days must be taken."""
    with server(*BILLER) as address, clinic_folder(address) as config, TemporaryDirectory() as folder:
        spec = config.clinic(CLINIC)
        destination = msgspec.structs.replace(spec.destination, in_flight=16, requests_per_second=requests_per_second)
        spec = msgspec.structs.replace(spec, destination=destination)
        with Ledger.open(Path(folder)) as ledger:
            fill(ledger, kit_of(config), days)
            started = time.perf_counter()
            report = asyncio.run(_send(config, spec, ledger))
            seconds = time.perf_counter() - started
        summary = biller_summary(address)
    assert report.accepted == summary["charges"] == days, f"{report.accepted} of {days} accepted, {summary['charges']} there"
    assert not summary["violations"], summary["violations"]
    return report, seconds, summary["peak_per_second"]


async def _send(config: Config, spec: ClinicSpec, ledger: Ledger) -> DeliveryReport:
    async with open_destination(config, spec, run_id="bench") as destination:
        return await deliver(
            ledger.outbox(CLINIC, spec.destination.platform),
            destination,
            in_flight=spec.destination.in_flight,
            clock=SystemClock(),
            policy=RetryPolicy(),
            deadline_seconds=600.0,
        )
