"""The folder where answers arrive, here or on an SFTP server: each file read once, a half-uploaded one not before it is whole.

The cursor remembers each file that lies there by name, size, time of change and digest (`file:<name>`), and forgets what
is taken away. A file that cannot be read may be half uploaded: it is told as unreadable when it is still the same at the next
look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from ptbridge.destinations._x12_answers import answers_in, unreadable
from ptbridge.destinations._x12_sent import Sent
from ptbridge.errors import PeerUnavailable, RecordError
from ptbridge.model import Answer
from ptbridge.ports import AnswerPage
from ptbridge.wire.x12 import MAX_BYTES

_PAGE = 500  # answers made durable together
_FILE, _DOUBT = "file:", "?"  # a name in the cursor; before the stamp of a file that could not be read


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """One file of the folder; `stamp` is its size and time of change."""

    name: str
    stamp: str


class AnswerFiles(Protocol):
    """A folder that answers arrive in. Nothing in it is moved or removed."""

    async def files(self) -> list[AnswerFile]:
        """Its files, oldest first, without those that a dot hides. Raises PeerError when it cannot be read."""

    async def read(self, name: str) -> bytes | None:
        """A file's bytes; None when it is gone or changed meanwhile. Raises PeerError, RecordError for one too large."""


class LocalAnswers:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def files(self) -> list[AnswerFile]:
        """See `AnswerFiles`."""
        return await asyncio.to_thread(self._files)

    def _files(self) -> list[AnswerFile]:
        try:
            files = [path for path in self._path.iterdir() if not path.name.startswith(".") and path.is_file()]
            stats = sorted((path.stat().st_mtime_ns, path.name, path.stat().st_size) for path in files)
        except OSError as error:
            raise PeerUnavailable(
                f"{self._path}: cannot be read ({error.strerror}). Create it, or correct the option answers."
            ) from None
        return [AnswerFile(name, f"{size}:{changed}") for changed, name, size in stats]

    async def read(self, name: str) -> bytes | None:
        """See `AnswerFiles`."""
        path = self._path / name
        try:
            if path.stat().st_size > MAX_BYTES:
                raise RecordError(f"is larger than {MAX_BYTES} bytes.", where=name)
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise PeerUnavailable(f"{self._path}: cannot be read ({error.strerror}).") from None


async def news(files: AnswerFiles, sent: Sent, cursor: Mapping[str, str]) -> AsyncIterator[AnswerPage]:
    """What the folder's files say that the cursor does not cover, oldest file first. Raises PeerError."""
    listing = await files.files()
    present = {_FILE + file.name for file in listing}
    now = {name: value for name, value in cursor.items() if not name.startswith(_FILE) or name in present}
    waiting: list[Answer] = []
    for file in listing:
        known = now.get(_FILE + file.name, "")
        if known.rpartition(":")[0] == file.stamp:
            continue
        waiting += await _news_of(file, files, sent, now)
        while len(waiting) > _PAGE:
            yield AnswerPage(answers=tuple(waiting[:_PAGE]))
            waiting = waiting[_PAGE:]
    if waiting or now != dict(cursor):
        yield AnswerPage(answers=tuple(waiting), cursor=now)


async def _news_of(file: AnswerFile, files: AnswerFiles, sent: Sent, now: dict[str, str]) -> list[Answer]:
    """One file's answers; `now`, the cursor, then covers it."""
    name, known = _FILE + file.name, now.get(_FILE + file.name, "")
    content = b""
    try:
        read = await files.read(file.name)
        if read is None:
            return []
        content = read
        digest = sha256(content).hexdigest()[:16]
        answers = [] if known.endswith(f":{digest}") and _DOUBT not in known else list(answers_in(content, sent, now))
        now[name] = f"{file.stamp}:{digest}"
        return answers
    except RecordError as problem:
        if known != f"{_DOUBT}{file.stamp}":
            now[name] = f"{_DOUBT}{file.stamp}"  # it may still be on its way
            return []
        now[name] = f"{file.stamp}:unreadable"
        return [unreadable(file.name, content or file.stamp.encode(), problem)]


async def speaks_of(key: str, files: AnswerFiles, sent: Sent) -> bool:
    """Whether any file in the folder says anything of the submission with this key. Raises PeerError."""
    for file in await files.files():
        with suppress(RecordError):
            content = await files.read(file.name)
            if content and any(answer.submission_key == key for answer in answers_in(content, sent, {})):
                return True
    return False
