from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.rigs import Rig, build
from tests.rigs.folders import rig_in


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    """Into files; over MLLP nothing can be looked up: tests/unit/destinations/test_hl7v2_dft.py holds that way to its word."""
    destination = build("hl7v2_dft", {"profile": "full_day"}, folder=folder)
    return rig_in(destination._files.files.folder, destination)
