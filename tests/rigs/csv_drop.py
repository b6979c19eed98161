from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.rigs import Rig, build


@asynccontextmanager
async def rig(folder: Path) -> AsyncIterator[Rig]:
    destination = build("csv_drop", folder=folder)
    drop = destination._files.folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose)
    await destination.close()
