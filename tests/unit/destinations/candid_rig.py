"""Candid and the pretend one, ready for a scene; everything sent in it is judged by Candid's own SDK afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.candid import SandboxCandid

from ptbridge.destinations.candid import Candid
from ptbridge.model import Frequency, PricedDay, Submission
from ptbridge.wire.http import HttpClient
from tests.rigs import build
from tests.unit.destinations.candid_judge import judge_request

WAYS = ("charge_captures", "encounters")
REFERENCE = "pt-0123456789abcdef01234567"
DATES = ("2026-11-02", "2026-11-02")


@dataclass
class Scene:
    """The destination, and what it speaks to."""

    candid: Candid
    server: SandboxCandid

    def send(self, day: PricedDay, revision: int = 1, frequency: str = "1", reference: str = REFERENCE) -> Submission:
        """The submission of a day, as plan.py makes it."""
        if frequency == "8":
            body, media_type = self.candid.encode_void(b"{}", reference=reference, original_id=None)
        else:
            body, media_type = self.candid.encode(day, reference=reference, frequency=frequency, original_id=None)
        return Submission(
            clinic="oak",
            destination="candid",
            key=f"{reference}-r{revision}",
            reference=reference,
            order_key=reference,
            revision=revision,
            frequency=Frequency(frequency),
            body=body,
            media_type=media_type,
            units=day.units,
            amount_cents=day.amount_cents,
            lines=len(day.charges),
            service_date="2026-11-02",
        )

    def live(self) -> dict[str, tuple[int, int]]:
        """What the pretend Candid counts as for billing: reference -> (units, cents)."""
        return {
            reference: (
                sum(int(line["quantity"]) for data in charges for line in data["service_lines"]),
                sum(line["charge_amount_cents"] for data in charges for line in data["service_lines"]),
            )
            for reference, charges in self.server.books.live().items()
        }


@asynccontextmanager
async def open_scene(way: str, **server: Any) -> AsyncIterator[Scene]:
    """One scene, judged at its end."""
    async with SandboxCandid(**server) as candid:
        destination = build("candid", {"way": way}, http=HttpClient(candid.base_url))
        try:
            yield Scene(destination, candid)
        finally:
            await destination.close()
    judged(candid)


def judged(candid: SandboxCandid) -> None:
    """Every change that was asked, against the SDK's types."""
    assert [(method, path, found) for method, path, body in candid.seen if (found := judge_request(method, path, body))] == []
    assert candid.books.violations == []


def play(way: str, scene: Callable[[Scene], Awaitable[None]], **server: Any) -> None:
    """Run an async scene."""

    async def run() -> None:
        async with open_scene(way, **server) as made:
            await scene(made)

    asyncio.run(run())


class LoseOne(Faults):
    """Loses the answer to one change, the `number`-th from 0; the work is done."""

    def __init__(self, number: int) -> None:
        super().__init__(lose_answer=1.0)
        self.left = number

    def happens(self, share: float) -> bool:
        if share != 1.0:
            return False
        self.left -= 1
        return self.left == -1
