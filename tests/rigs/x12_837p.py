from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge.destinations._x12_claim import patient_control_number
from ptbridge.model import Submission
from tests.rigs import Rig, build
from tests.rigs.folders import rig_in

OPTIONS = {
    "submitter_id": "OAKPT",
    "receiver_id": "CLEARSANDBOX",
    "receiver_name": "Sandbox Clearinghouse",
    "usage": "T",
    "answers": "../answers",
    "original_only": "none",
    "time_zone": "America/New_York",
}


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    """Into files that a clearinghouse takes, which gives the payer's numbers that corrections must name."""
    destination = build("x12_837p", OPTIONS, folder=folder)
    house = Clearinghouse(folder, folder.parent / "answers")

    def before_change(sent: Submission) -> str | None:
        house.work()
        return house.number_of(patient_control_number(sent.reference, 1, 1))

    return rig_in(destination.folder, destination, before_change=before_change)
