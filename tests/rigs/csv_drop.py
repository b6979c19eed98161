from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.rigs import Rig, build
from tests.rigs.folders import rig_in


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    destination = build("csv_drop", folder=folder)
    return rig_in(destination._files.folder, destination)
