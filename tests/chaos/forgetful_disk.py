"""A file system that forgets what was not fsynced: what a power cut leaves, on demand.

`python -m tests.chaos.forgetful_disk REAL MOUNT SEED`, under FUSE. Files live in memory; `fsync` and `fdatasync` bring their
dirty ranges to REAL, in place, as a disk does. On SIGUSR1 the power goes: of what was not synced a random part of the 512-byte
sectors is on the disk all the same, the rest is gone, and the process ends at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import mfusepy

SECTOR = 512


@dataclass
class File:
    """One file: its content as the process sees it, and which sectors of it the disk does not have."""

    content: bytearray
    dirty: set[int] = field(default_factory=set)


class ForgetfulDisk(mfusepy.Operations):  # type: ignore[misc]
    """Names and folders are durable at once; only what is in files is forgotten."""

    use_ns = True

    def __init__(self, real: Path, seed: int) -> None:
        self.real, self.dice = real, Random(seed)
        self.files: dict[str, File] = {}

    # ------------------------------------------------------------ the power

    def cut_when_told(self) -> None:
        """Keep a random part of what was not synced, and stop. In a thread: FUSE's own loop hears no Python signal handler."""
        signal.sigwait({signal.SIGUSR1})
        for path, file in list(self.files.items()):
            kept = {sector for sector in file.dirty if self.dice.random() < 0.3}
            self._bring(path, file, kept)
        os._exit(0)

    def _bring(self, path: str, file: File, sectors: set[int]) -> None:
        place = self._place(path)
        if not sectors or not os.path.exists(place):
            return
        with open(place, "r+b") as disk:
            for sector in sorted(sectors):
                disk.seek(sector * SECTOR)
                disk.write(file.content[sector * SECTOR : (sector + 1) * SECTOR])

    # ------------------------------------------------------------ files

    def _place(self, path: str) -> str:
        return str(self.real / path.lstrip("/"))

    def _file(self, path: str) -> File:
        if path not in self.files:
            self.files[path] = File(bytearray(Path(self._place(path)).read_bytes()))
        return self.files[path]

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        os.close(os.open(self._place(path), os.O_CREAT | os.O_RDWR, mode))
        self.files[path] = File(bytearray())
        return 0

    def open(self, path: str, flags: int) -> int:
        self._file(path)
        if flags & os.O_TRUNC:
            self.truncate(path, 0)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._file(path).content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        file, end = self._file(path), offset + len(data)
        if len(file.content) < end:
            file.content.extend(bytes(end - len(file.content)))
        file.content[offset:end] = data
        file.dirty.update(range(offset // SECTOR, (end - 1) // SECTOR + 1))
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        file = self._file(path)
        if length < len(file.content):
            del file.content[length:]
        else:
            file.content.extend(bytes(length - len(file.content)))
        file.dirty = {sector for sector in file.dirty if sector * SECTOR < length}
        os.truncate(self._place(path), min(length, os.path.getsize(self._place(path))))
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        file = self._file(path)
        self._bring(path, file, file.dirty)
        file.dirty = set()
        os.truncate(self._place(path), len(file.content))
        return 0

    # ------------------------------------------------------------ names

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        try:
            found = os.lstat(self._place(path))
        except FileNotFoundError:
            raise mfusepy.FuseOSError(errno.ENOENT) from None
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_atime_ns", "st_mtime_ns", "st_ctime_ns", "st_ino")
        answer = {name.removesuffix("_ns"): getattr(found, name) for name in names}
        if path in self.files:
            answer["st_size"] = len(self.files[path].content)
        return answer

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._place(path))]

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._place(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._place(path))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._place(path))
        self.files.pop(path, None)
        return 0

    def rename(self, old: str, new: str, flags: int = 0) -> int:
        os.rename(self._place(old), self._place(new))
        self.files.pop(new, None)
        if old in self.files:
            self.files[new] = self.files.pop(old)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._place(path), mode)
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        return 0


if __name__ == "__main__":
    disk = ForgetfulDisk(Path(sys.argv[1]), int(sys.argv[3]))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threading.Thread(target=disk.cut_when_told, daemon=True).start()
    mfusepy.FUSE(disk, sys.argv[2], foreground=True, nothreads=True, raw_fi=False)
