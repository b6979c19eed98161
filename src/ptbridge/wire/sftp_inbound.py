"""A folder on somebody's SFTP server that files for us arrive in: complete ones in order, and where each goes afterwards.

A file is complete when it has no name of an unfinished upload, has not changed for `settle_seconds`, and is the same after it
was read as before. Afterwards it is renamed into `processed` or `errors` on the server; where we may not rename, a list of
our own (`TakenNames`) remembers which file we had, by name, size and time of change.
"""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

import orjson

from ptbridge.errors import LedgerError, PeerRefused
from ptbridge.wire.extract_folder import is_unfinished
from ptbridge.wire.sftp_folders import MAX_BYTES, RemoteFile, RemoteFolders

PROCESSED, ERRORS = "processed", "errors"


class TakenNames:
    """Which files of a server were taken, durable: a file of JSON lines that only grows. Raises LedgerError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            lines = path.read_bytes().splitlines() if path.exists() else []
        except OSError as error:
            raise LedgerError(f"{path}: cannot be read ({error.strerror}). Check its owner.") from None
        self._known = {identity for line in lines if (identity := _remembered(line)) is not None}

    def has(self, file: RemoteFile) -> bool:
        """True when this very file was taken; one that was changed since is another."""
        return (file.name, file.size_bytes, file.changed_at) in self._known

    def add(self, file: RemoteFile) -> None:
        """Remember it; durable when this returns."""
        entry = [file.name, file.size_bytes, file.changed_at]
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            try:
                os.write(descriptor, b"\n" + orjson.dumps(entry))  # in front: a line that a crash cut off ends here
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LedgerError(f"{self._path}: cannot be written ({error.strerror}). Make room, check its owner.") from None
        self._known.add(tuple(entry))


def _remembered(line: bytes) -> tuple[object, ...] | None:
    """One file; None for a line that a crash cut off: its file is taken again, which changes nothing."""
    try:
        entry = orjson.loads(line)
    except ValueError:
        return None
    return tuple(entry) if isinstance(entry, list) else None


@dataclass(slots=True, kw_only=True)
class InboundFolder:
    """One folder of an open session. `taken` set: nothing is moved there, and what it knows is not offered."""

    folders: RemoteFolders
    folder: str
    settle_seconds: float = 60
    patterns: tuple[str, ...] = ("*",)
    taken: TakenNames | None = None
    _names: dict[str, set[str]] = field(default_factory=dict)

    async def arrivals(self, now: datetime) -> list[RemoteFile]:
        """What is complete and was not taken, by name; links and devices too, as `kind` other. Raises PeerError."""
        return [file for file in await self.folders.list(self.folder) if self._wanted(file) and self._settled(file, now)]

    def _wanted(self, file: RemoteFile) -> bool:
        return (
            file.kind != "folder"
            and not file.name.startswith(".")
            and not is_unfinished(file.name)
            and any(fnmatchcase(file.name.lower(), pattern.lower()) for pattern in self.patterns)
            and not (self.taken is not None and self.taken.has(file))
        )

    def _settled(self, file: RemoteFile, now: datetime) -> bool:
        """Not changed for a while by the server's clock, which may differ from ours either way; unknown: judged by reading."""
        return file.changed_at is None or abs(now.timestamp() - file.changed_at) >= self.settle_seconds

    async def read(self, file: RemoteFile, limit: int = MAX_BYTES) -> bytes | None:
        """Its bytes; None when it changed since it was listed, so that it is not complete. Raises RecordError, PeerError."""
        path = posixpath.join(self.folder, file.name)
        content = await self.folders.read(path, limit)
        return content if content is not None and await self.folders.look(path) == file else None

    async def processed(self, file: RemoteFile) -> None:
        """What it held is durable here."""
        await self._move(file, PROCESSED)

    async def refused(self, file: RemoteFile, reason: str) -> None:
        """Something of it did not add up; `reason` holds no patient data and is laid beside it."""
        moved = await self._move(file, ERRORS)
        if moved:
            await self.folders.write_atomic(posixpath.join(self.folder, ERRORS), f"{moved}.reason.txt", f"{reason}\n".encode())

    async def _move(self, file: RemoteFile, target: str) -> str:
        """Rename it into a folder beside it; its new name, or nothing when it stays. Raises PeerRefused with what to do."""
        if self.taken is not None:
            self.taken.add(file)
            return ""
        place = posixpath.join(self.folder, target)
        try:
            name = await self._free_name(place, file.name)
            await self.folders.rename(posixpath.join(self.folder, file.name), posixpath.join(place, name))
        except PeerRefused as error:
            raise PeerRefused(f"{error} If files must stay where they are, set drop_after: keep.") from None
        self._names[place].add(name)
        return name

    async def _free_name(self, place: str, name: str) -> str:
        if place not in self._names:
            await self.folders.make_folder(place)
            self._names[place] = {entry.name for entry in await self.folders.list(place)}
        stem, ending = posixpath.splitext(name)
        number, free = 1, name
        while free in self._names[place]:
            number += 1
            free = f"{stem}-{number}{ending}"
        return free
