from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ptbridge import plugins
from ptbridge.specs.clinic import DestinationSpec
from tests.rigs import BILLING, Rig


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    module = plugins.destination("csv_drop")
    destination = module.build(
        DestinationSpec(platform="csv_drop", folder=str(folder)),
        clinic="oak",
        http=None,
        billing=BILLING,
        folder=folder,
        run_id="run-1",
    )
    drop = destination._files.folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose)
    await destination.close()
