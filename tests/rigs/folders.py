"""A destination that drops files into a folder: the rig that all of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ptbridge.destinations._drop_folder import DropFolder, Receipt
from ptbridge.model import Submission
from tests.rigs import Rig


@asynccontextmanager
async def rig_in(
    drop: DropFolder, destination: Any, *, before_change: Callable[[Submission], str | None] = lambda sent: None
) -> AsyncIterator[Rig]:
    """The answer that is lost is the disk's: it gives up when a file that is promised is to get its name."""
    give_name = drop.give_name

    def fail(receipt: Receipt) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose, before_change=before_change)
    await destination.close()
