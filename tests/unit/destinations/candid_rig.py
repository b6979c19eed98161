"""Candid and the pretend one, ready for a scene; everything sent in it is judged by Candid's own SDK afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.candid import SandboxCandid

from tests.rigs import servers
from tests.rigs.servers import Scene
from tests.unit.destinations.candid_judge import judge_request

WAYS = ("charge_captures", "encounters")


def live(server: SandboxCandid) -> dict[str, tuple[int, int]]:
    """What the pretend Candid counts as for billing: reference -> (units, cents)."""
    return {
        reference: (
            sum(int(line["quantity"]) for data in charges for line in data["service_lines"]),
            sum(line["charge_amount_cents"] for data in charges for line in data["service_lines"]),
        )
        for reference, charges in server.books.live().items()
    }


def judged(candid: SandboxCandid) -> None:
    """Every change that was asked, against the SDK's types."""
    assert [(method, path, found) for method, path, body in candid.seen if (found := judge_request(method, path, body))] == []
    assert candid.books.violations == []


def play(way: str, work: Callable[[Scene], Awaitable[None]], **server: Any) -> None:
    """Run an async scene, judged at its end."""
    candid = SandboxCandid(**server)
    servers.play(candid, lambda: servers.built("candid", candid.base_url, {"way": way}), work)
    judged(candid)


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
