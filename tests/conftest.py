"""Where the tests put their files: in memory, where the machine has room for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30  # several times what a whole run leaves behind


def pytest_configure() -> None:
    """Test folders in memory: a third of a run was spent waiting for a disk to sync what nobody will read again.

    What survives a power cut is asked where it can be answered: by strace, and by a file system that forgets (`make chaos`).
    """
    if _MEMORY.is_dir() and not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
