"""The folder that extracts arrive in: complete files in order, and where each goes afterwards.

A file is read only when nobody writes it any more: its marker is there, or it has not changed for a while. What is not a
plain file (a link, a device, a pipe) is refused by its kind, never opened. Nothing is deleted: files move to `processed`
or `errors`, the refused ones with the reason beside them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.wire.extract_rows import MAX_BYTES, BrokenFile

PATTERNS = "*.csv *.tsv *.txt *.xlsx"
SETTLE_SECONDS = 60
PARAMETERS: Mapping[str, str] = {
    "folder": "where extracts arrive; relative to the config folder, or sftp://host/folder",
    "drop_after": "what becomes of taken files on an SFTP server: move (default: into processed or errors there) or keep",
    "files": f"file name patterns, separated by blanks; {PATTERNS} when left out",
    "settle_seconds": f"a file is complete when it has not changed for so long; {SETTLE_SECONDS} when left out",
    "marker": "a file is complete when a second one of its name and this ending is there (.done); then nothing is waited for",
    "order": "name or time: which file is newer; name when left out. Names need dates that sort (2026-11-19)",
    "processed": "the folder, inside `folder`, for files that were taken; processed when left out",
    "dropped_columns": "columns, separated by blanks, that files had before and need not have any more",
    "errors": "the folder, inside `folder`, for files that were refused; errors when left out",
}
_UNFINISHED = (".part", ".tmp", ".filepart", ".crdownload", ".swp", "~")


def is_unfinished(name: str) -> bool:
    """Whether programs that copy files give this name to one that is not all there yet."""
    return name.endswith(_UNFINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file in the folder. `age` sorts after everything older; `companions` move along with it (sidecar, marker)."""

    path: Path
    age: str
    companions: tuple[Path, ...] = ()
    strange: str = ""  # what it is when it is no plain file

    @property
    def name(self) -> str:
        """The file's name without the folder."""
        return self.path.name


class ExtractFolder:
    """One clinic's incoming folder. Raises ConfigError for options that cannot work."""

    def __init__(self, base: Path | None, options: Mapping[str, object], *, sidecar_ending: str | None) -> None:
        def option(name: str, default: str = "") -> str:
            return str(options.get(name, default)).strip()

        if not option("folder"):
            raise ConfigError("source.options.folder is missing: the folder where extracts arrive. Add it.")
        self.path = (base or Path()) / Path(option("folder")).expanduser()
        self._patterns = option("files", PATTERNS).split()
        self._marker = option("marker")
        self._sidecar_ending = sidecar_ending
        self._by_name = _one_of("order", option("order", "name"), ("name", "time")) == "name"
        self._settle_seconds = _seconds(option("settle_seconds", str(SETTLE_SECONDS)))
        self._processed = self._inside("processed", option("processed", "processed"))
        self._errors = self._inside("errors", option("errors", "errors"))

    def _inside(self, name: str, written: str) -> Path:
        if Path(written).name != written or written in ("", ".", ".."):
            raise ConfigError(f"source.options.{name}: {written!r} is not the name of a folder inside `folder`.")
        return self.path / written

    def arrivals(self, now: datetime) -> list[Arrival]:
        """What is complete, oldest first. Raises PeerUnavailable when the folder is not there or cannot be read."""
        return sorted((found for found in self._look(now) if found is not None), key=lambda found: (found.age, found.name))

    def unfinished(self, now: datetime) -> int:
        """How many files are there and not complete yet."""
        return sum(found is None for found in self._look(now))

    def _look(self, now: datetime) -> Iterator[Arrival | None]:
        try:
            with os.scandir(self.path) as entries:
                found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
        except OSError as error:
            raise PeerUnavailable(
                f"{self.path}: cannot be read ({error.strerror}). Is it mounted, and does this user own it?"
            ) from None
        for name in sorted(found):
            if self._wanted(name):
                yield self._arrival(name, found, now)

    def _wanted(self, name: str) -> bool:
        ours = (self._sidecar_ending, self._marker)
        return (
            not name.startswith(".")
            and not name.endswith((*_UNFINISHED, *(ending for ending in ours if ending)))
            and any(fnmatchcase(name.lower(), pattern.lower()) for pattern in self._patterns)
        )

    def _arrival(self, name: str, found: Mapping[str, os.stat_result], now: datetime) -> Arrival | None:
        status = found[name]
        if stat.S_ISDIR(status.st_mode):
            return Arrival(path=self.path / name, age="", strange="a folder")
        age = name if self._by_name else f"{status.st_mtime_ns:020d}"
        if not stat.S_ISREG(status.st_mode):
            return Arrival(path=self.path / name, age=age, strange="a link or a device")
        companions = []
        if self._sidecar_ending:
            companions.append(name.rpartition(".")[0] + self._sidecar_ending)
        if self._marker:
            companions.append(name + self._marker)
        if any(companion not in found or not stat.S_ISREG(found[companion].st_mode) for companion in companions):
            return None
        looked_at = [name, *companions]
        if not self._marker and any(self._young(found[each].st_mtime, now) for each in looked_at):
            return None
        return Arrival(path=self.path / name, age=age, companions=tuple(self.path / companion for companion in companions))

    def _young(self, changed_at: float, now: datetime) -> bool:
        """Changed a short while ago; a clock that is ahead of ours counts the same in both directions."""
        return abs(now.timestamp() - changed_at) < self._settle_seconds

    def sidecar(self, arrival: Arrival) -> Path:
        """The control totals beside a file."""
        return arrival.companions[0]

    # ------------------------------------------------------------ afterwards

    def processed(self, arrival: Arrival) -> None:
        """Its rows are durable."""
        self._move((arrival.path, *arrival.companions), self._processed)

    def refused(self, arrival: Arrival, reason: str) -> None:
        """Nothing of it was taken; `reason` holds no patient data."""
        moved = self._move((arrival.path, *arrival.companions), self._errors)
        note = moved.with_name(f"{moved.name}.reason.txt")
        with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
            file.write(f"{reason}\n")

    def _move(self, paths: Sequence[Path], target: Path) -> Path:
        """Rename into the folder; returns the first one's new place. Raises PeerUnavailable when that is not allowed."""
        try:
            target.mkdir(mode=0o700, exist_ok=True)
            moved = [path.rename(_free(target / path.name)) for path in paths if path.is_symlink() or path.exists()]
        except OSError as error:
            raise PeerUnavailable(f"{target}: cannot be written ({error.strerror}). ptbridge moves each file there.") from None
        return moved[0] if moved else target / paths[0].name


def read_file(path: Path, *, most: int = MAX_BYTES) -> bytes | None:
    """A plain file's bytes; None when it changed while it was read. Raises BrokenFile for what is too large or no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BrokenFile(f"cannot be opened ({error.strerror}).") from None
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise BrokenFile("is a link or a device, not a file.")
        if before.st_size > most:
            raise BrokenFile(f"has {before.st_size} bytes; at most {most} are read. Split it.")
        content = file.read(most + 1)
        after = os.fstat(descriptor)
    return content if (after.st_size, after.st_mtime_ns) == (len(content), before.st_mtime_ns) else None


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.is_symlink() or free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _one_of(name: str, written: str, known: Sequence[str]) -> str:
    if written not in known:
        raise ConfigError(f"source.options.{name}: {written!r} is not one of {', '.join(known)}.")
    return written


def _seconds(written: str) -> float:
    try:
        seconds = float(written)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 86400:
        raise ConfigError(f"source.options.settle_seconds: {written!r} is not a number of seconds from 0 to 86400.")
    return seconds
