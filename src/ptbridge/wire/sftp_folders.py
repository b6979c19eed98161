"""What is done in the folders of an SFTP server: list, read, and write files that have no name before they are whole.

A file gets its name on the server only when all of it is there: readers that skip names with a leading dot, or that take by
pattern, never see a half of one. `sftp.connect` opens the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import stat
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncssh

from ptbridge.errors import OutcomeUnknown, PeerRefused, PeerUnavailable, RecordError

MAX_BYTES = 256 << 20
_CHUNK = 64 * 1024
_STAGED = ".ptbridge-part"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One entry of a folder, links not followed. `kind`: file, folder or other (a link, a device); `changed_at` Unix seconds.

    `size_bytes` and `changed_at` are None where the server does not say.
    """

    name: str
    kind: str
    size_bytes: int | None
    changed_at: float | None


class RemoteFolders:
    """The open session. Paths are the server's, with `/`. A lost connection is PeerUnavailable: connect again."""

    def __init__(self, client: asyncssh.SFTPClient, where: str, answer_seconds: float) -> None:
        self._client, self._where, self._answer_seconds = client, where, answer_seconds

    async def list(self, folder: str) -> list[RemoteFile]:
        """The entries of a folder by name, `.` and `..` left out. Raises PeerUnavailable when it is not there."""

        async def look() -> list[RemoteFile]:
            return [_entry(one) for one in await self._client.readdir(folder) if one.filename not in (".", "..")]

        return sorted(await self._asked(look(), "the folder"), key=lambda entry: entry.name)

    async def look(self, path: str) -> RemoteFile | None:
        """What stands under this path, a link not followed; None when nothing does."""

        async def stat_it() -> RemoteFile | None:
            try:
                found = await self._client.lstat(path)
            except asyncssh.SFTPNoSuchFile:
                return None
            return _entry(asyncssh.SFTPName(posixpath.basename(path), attrs=found))

        return await self._asked(stat_it(), "a file")

    async def read(self, path: str, limit: int = MAX_BYTES) -> bytes | None:
        """A file's bytes; None when it is gone, or changed while it was read.

        Raises RecordError for one of more than `limit` bytes and for what is no plain file.
        """
        before = await self.look(path)
        if before is None:
            return None
        if before.kind != "file":
            raise RecordError("is a link or a device, not a file.", where=posixpath.basename(path))
        content = await self._content(path, limit)
        return content if await self.look(path) == before and before.size_bytes in (None, len(content)) else None

    async def _content(self, path: str, limit: int) -> bytes:
        async def read_all() -> bytes:
            collected = bytearray()
            async with self._client.open(path, "rb", encoding=None) as file:
                while chunk := await self._timed(file.read(_CHUNK)):
                    collected += chunk.encode() if isinstance(chunk, str) else chunk
                    if len(collected) > limit:
                        raise RecordError(f"is larger than {limit} bytes.", where=posixpath.basename(path))
            return bytes(collected)

        return await self._asked(read_all(), "a file", timed=False)

    async def holds(self, path: str, content: bytes) -> bool | None:
        """Whether just these bytes stand there; None when nothing does. Where we may not read, the size decides.

        A server that neither lets us read nor tells a size is believed.
        """
        try:
            standing = await self.read(path, len(content))
        except RecordError:
            return False  # larger, or no file
        except PeerRefused:
            standing = None
        if standing is not None:
            return standing == content
        there = await self.look(path)  # not ours to read, gone, or touched while it was read
        return None if there is None else there.size_bytes in (None, len(content))

    async def make_folder(self, folder: str) -> None:
        """Make a folder unless it is there. Raises PeerRefused when that is not allowed."""
        if await self.look(folder) is None:
            await self._asked(self._client.mkdir(folder), "a new folder")

    async def write_atomic(self, folder: str, name: str, content: bytes) -> None:
        """Upload under a temporary name, compare the size, rename. The same bytes under that name already: nothing to do.

        Raises PeerRefused when other bytes stand there, PeerUnavailable when surely nothing got the name, OutcomeUnknown
        when the connection was lost in the rename: look for `name`, and for what `stage` left.
        """
        if await self.look(posixpath.join(folder, name)) is not None:
            await self._compare(folder, name, content)
            return
        await self.stage(folder, name, content)
        await self.publish(folder, name)

    async def stage(self, folder: str, name: str, content: bytes) -> None:
        """Upload all of it under the temporary name (`staged_name`), over what a broken upload left there."""
        path = posixpath.join(folder, staged_name(name))

        async def upload() -> None:
            async with self._client.open(path, "wb", encoding=None) as file:
                for start in range(0, len(content), _CHUNK):
                    await self._timed(file.write(content[start : start + _CHUNK]))
                with contextlib.suppress(asyncssh.SFTPOpUnsupported):
                    await self._timed(file.fsync())

        await self._asked(upload(), "an upload", timed=False)
        standing = await self.look(path)
        if standing is None or standing.size_bytes not in (None, len(content)):
            raise PeerUnavailable(f"{self._where}: an upload arrived incomplete. Nothing got its name; try again.")

    async def publish(self, folder: str, name: str) -> None:
        """Give what was staged its name; never over another file. Raises OutcomeUnknown when the connection is lost in it."""
        await self.rename(posixpath.join(folder, staged_name(name)), posixpath.join(folder, name))

    async def claim(self, folder: str, name: str) -> None:
        """Make sure that no file has this name yet. Raises PeerRefused when one has."""
        if await self.look(posixpath.join(folder, name)) is not None:
            raise PeerRefused(f"{self._where}: a file of that name is there already. Nothing was overwritten.")

    async def rename(self, old: str, new: str) -> None:
        """Rename; never over another file. Raises OutcomeUnknown when the connection is lost in it."""
        await self.claim(*posixpath.split(new))  # some servers rename over what is there
        try:
            await self._asked(self._client.rename(old, new), "a rename")
        except PeerUnavailable as lost:
            raise OutcomeUnknown(f"{lost} It may have taken effect.") from None

    async def remove(self, path: str) -> None:
        """Remove a file; one that is gone already is fine."""
        with contextlib.suppress(_Gone):
            await self._asked(self._client.remove(path), "a file")

    async def _compare(self, folder: str, name: str, content: bytes) -> None:
        try:
            standing = await self.read(posixpath.join(folder, name), len(content))
        except RecordError:
            standing = None
        if standing != content:
            raise PeerRefused(f"{self._where}: {name} is there already with other content. Nothing was overwritten.")

    async def _timed(self, request: Coroutine[Any, Any, _T]) -> _T:
        async with asyncio.timeout(self._answer_seconds):
            return await request

    async def _asked(self, request: Coroutine[Any, Any, _T], what: str, *, timed: bool = True) -> _T:
        with self._told(what):
            return await (self._timed(request) if timed else request)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """The library's errors as ours. Their texts are not repeated: a server may quote a path that names a patient."""
        try:
            yield
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise _Gone(f"{self._where}: {what} is not there. Check the folder's name.") from None
        except asyncssh.SFTPPermissionDenied:
            raise PeerRefused(f"{self._where}: our user may not touch {what}. Ask the other side for the right.") from None
        except (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection) as problem:
            raise PeerUnavailable(f"{self._where}: the connection was lost ({type(problem).__name__}).") from None
        except asyncssh.SFTPError as problem:
            raise PeerRefused(f"{self._where}: it refused {what} ({type(problem).__name__}).") from None
        except (TimeoutError, OSError, asyncssh.Error) as problem:
            raise PeerUnavailable(f"{self._where}: the connection was lost ({type(problem).__name__}).") from None


class _Gone(PeerUnavailable):
    """The path is not there."""


def staged_name(name: str) -> str:
    """The name that a file has on the server until all of it is there."""
    return f".{name}{_STAGED}"


def is_staged(name: str) -> bool:
    """Whether this is a file of ours that never got its name."""
    return name.startswith(".") and name.endswith(_STAGED)


def _entry(found: asyncssh.SFTPName) -> RemoteFile:
    attrs = found.attrs
    mode = attrs.permissions
    kinds: list[tuple[int, Callable[[int], bool], str]] = [
        (asyncssh.FILEXFER_TYPE_REGULAR, stat.S_ISREG, "file"),
        (asyncssh.FILEXFER_TYPE_DIRECTORY, stat.S_ISDIR, "folder"),
    ]
    told = [kind for number, is_kind, kind in kinds if (is_kind(mode) if mode is not None else attrs.type == number)]
    name = found.filename
    return RemoteFile(
        name=name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"),
        kind=told[0] if told else "other",
        size_bytes=attrs.size,
        changed_at=None if attrs.mtime is None else float(attrs.mtime),
    )
