from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from tests.rigs import BILLING, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    """Into files; over MLLP nothing can be looked up: tests/unit/destinations/test_hl7v2_dft.py holds that way to its word."""
    destination = plugins.destination("hl7v2_dft").build(
        DestinationSpec(platform="hl7v2_dft", folder=str(folder), options={"profile": "full_day"}),
        clinic="oak",
        http=None,
        billing=BILLING,
        folder=folder,
        run_id="run-1",
    )
    drop = destination._files.files.folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose)
    await destination.close()
