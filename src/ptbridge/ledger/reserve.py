"""Room that is kept free for answers while a writer works: on a disk that fills up, what the biller said is still stored.

Contract D23. Without it the submission would be in doubt, and the biller asked for what it has told already.
"""

from __future__ import annotations

import os
from pathlib import Path

FILE_NAME = "reserve"
BYTES = 512 * 1024  # twice what a commit of 16 answers writes: some 60 pages of 4 KB
ROOMY = 16 * BYTES  # a smaller disk, or one that is nearly full already, is left alone


class Reserve:
    """One file beside the ledger, there from `keep` to `give_up`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def keep(self) -> None:
        """Take the room if the disk has plenty; without it, answers have what room there is."""
        try:
            known = os.statvfs(self._path.parent)
            if known.f_bavail * known.f_frsize >= ROOMY:
                self._take()
        except OSError:
            self.give_up()

    def _take(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, BYTES)
        finally:
            os.close(descriptor)

    def give_up(self) -> bool:
        """Free the room. Whether there was any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True
