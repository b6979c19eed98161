from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge.destinations._x12_claim import patient_control_number
from ptbridge.model import Submission
from tests.rigs import Rig, build

OPTIONS = {
    "submitter_id": "OAKPT",
    "receiver_id": "CLEARSANDBOX",
    "receiver_name": "Sandbox Clearinghouse",
    "usage": "T",
    "answers": "../answers",
    "original_only": "none",
    "time_zone": "America/New_York",
}


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    """Into files that a clearinghouse takes, which gives the payer's numbers that corrections must name."""
    destination = build("x12_837p", OPTIONS, folder=folder)
    house = Clearinghouse(folder, folder.parent / "answers")
    drop = destination.folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    def before_change(sent: Submission) -> str | None:
        house.work()
        return house.number_of(patient_control_number(sent.reference, 1, 1))

    yield Rig(destination, lose, before_change=before_change)
    await destination.close()
