"""SFTP: the folders of another party's server, over a connection whose host key was pinned beforehand.

    async with connect(server) as folders:
        for entry in await folders.list("/outbound"):
            content = await folders.read(f"/outbound/{entry.name}", limit=1 << 20)
        await folders.write_atomic("/inbound", "claims-7.x12", content)

A host that does not show a pinned key gets no credential. Nothing of the user's own SSH set-up is read: no known_hosts, no
agent, no config file, no keys of the home folder. A file gets its name on the server only when all of it is there: readers
that skip names with a leading dot, or that take by pattern, never see a half of one.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import re
import socket
import stat
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import asyncssh

from ptbridge.errors import ConfigError, OutcomeUnknown, PeerRefused, PeerUnavailable, RecordError
from ptbridge.wire.egress import EgressRule

PORT = 22
MAX_BYTES = 256 << 20
_CHUNK = 64 * 1024
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_STAGED = ".ptbridge-part"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftpServer:
    """Where to connect and as whom. `host_keys` are pins: `SHA256:…` fingerprints, or public key lines `ssh-ed25519 AAAA…`.

    Exactly one of `password` and `private_key` (OpenSSH or PEM text, not protected by a pass phrase).
    """

    host: str
    user: str
    host_keys: tuple[str, ...]
    port: int = PORT
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)
    connect_seconds: float = 20.0
    answer_seconds: float = 60.0  # one request: a chunk read or written, a rename

    def __str__(self) -> str:
        return f"sftp://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One entry of a folder, links not followed. `kind`: file, folder or other (a link, a device); `changed_at` Unix seconds.

    `size_bytes` and `changed_at` are None where the server does not say.
    """

    name: str
    kind: str
    size_bytes: int | None
    changed_at: float | None


def split_address(address: str) -> tuple[str, int, str]:
    """Host, port and folder of `sftp://host:port/folder`; an empty folder is the one the server starts in (`.`).

    Raises ConfigError; what is refused is never repeated when it could hold a credential.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or PORT
    except ValueError:
        host, port = "", PORT
    if not host or not address.startswith("sftp://") or parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("not an SFTP address. Write it as sftp://host/folder; user and key stand under auth.")
    return host, port, unquote(parts.path) or "."


def pinned(written: Sequence[str]) -> frozenset[str]:
    """Host key pins as fingerprints. Raises ConfigError for none, or one that is neither a fingerprint nor a key line."""
    found = set()
    for pin in (one.strip() for one in written if one.strip()):
        found.add(pin if _FINGERPRINT.fullmatch(pin) else _key_line(pin).get_fingerprint("sha256"))
    if not found:
        raise ConfigError(
            "host_key is missing: the server's own key, SHA256:… or a line such as ssh-ed25519 AAAA…. Ask the other side "
            "for it, or compare what `ssh-keygen -lf` shows there."
        )
    return frozenset(found)


def _key_line(pin: str) -> asyncssh.SSHKey:
    words = pin.split()
    starts = [place for place, word in enumerate(words) if word.startswith(("ssh-", "ecdsa-sha2-"))]
    try:
        return asyncssh.import_public_key(" ".join(words[starts[0] :]))  # a line of known_hosts has the host's name in front
    except (IndexError, ValueError, asyncssh.KeyImportError):
        raise ConfigError(
            "host_key is neither a fingerprint (SHA256:… with 43 characters) nor a public key line (ssh-ed25519 AAAA…)."
        ) from None


@asynccontextmanager
async def connect(server: SftpServer) -> AsyncIterator[RemoteFolders]:
    """Connect, compare the host key, log in. Closed on the way out.

    Raises ConfigError for a key or pin that cannot be read, PeerUnavailable when there is no connection, PeerRefused for
    another host key, a refused credential or a server without SFTP.
    """
    pins = pinned(server.host_keys)
    options = _login(server)
    try:
        async with asyncio.timeout(server.connect_seconds):
            connection, client = await _dial(server, pins, options)
    except (TimeoutError, OSError, asyncssh.Error) as problem:
        raise _no_session(server, problem) from None
    try:
        yield RemoteFolders(client, str(server), server.answer_seconds)
    finally:
        client.exit()
        connection.close()
        with contextlib.suppress(TimeoutError, OSError, asyncssh.Error):
            async with asyncio.timeout(5):
                await connection.wait_closed()


def _login(server: SftpServer) -> dict[str, Any]:
    """The credential that was configured, and no other."""
    if (server.password is None) == (server.private_key is None):
        raise ConfigError("SFTP needs either a private key or a password, and not both.", where="auth")
    if server.private_key is None:
        return {"password": server.password, "client_keys": None, "preferred_auth": "password,keyboard-interactive"}
    key = read_private_key(server.private_key)
    return {"client_keys": [key], "preferred_auth": "publickey"}


def read_private_key(text: str) -> asyncssh.SSHKey:
    """An SSH private key. Raises ConfigError, which never shows any of it."""
    try:
        return asyncssh.import_private_key(text)
    except (ValueError, asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise ConfigError("is no SSH private key that can be read: OpenSSH or PEM text without a pass phrase.") from None


class _Pinned(asyncssh.SSHClient):
    """Takes a host for what it says only when its key is a pinned one."""

    def __init__(self, pins: frozenset[str], shown: list[str]) -> None:
        self._pins, self._shown = pins, shown

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self._shown.append(key.get_fingerprint("sha256"))
        return self._shown[-1] in self._pins


async def _dial(
    server: SftpServer, pins: frozenset[str], options: dict[str, Any]
) -> tuple[asyncssh.SSHClientConnection, asyncssh.SFTPClient]:
    shown: list[str] = []
    address = await _resolve(server)
    try:
        connection, _ = await asyncssh.create_connection(
            lambda: _Pinned(pins, shown),
            address,
            server.port,
            username=server.user,
            known_hosts=b"",  # empty, so that every key comes to `_Pinned`
            config=[],
            agent_path=None,
            gss_auth=False,
            gss_kex=False,
            keepalive_interval=30,
            login_timeout=server.connect_seconds,
            **_host_key_algorithms(server),
            **options,
        )
    except asyncssh.HostKeyNotVerifiable:
        found = shown[-1] if shown else "none"
        raise PeerRefused(
            f"{server}: its host key is {found}, which is not the pinned one; no credential was sent. Ask the other side "
            "whether the key was changed; only then change host_key."
        ) from None
    try:
        return connection, await connection.start_sftp_client(path_errors="surrogateescape")
    except (asyncssh.Error, OSError):
        connection.abort()
        raise PeerRefused(f"{server}: it lets us in and has no SFTP for us. Ask the other side to enable it.") from None


def _host_key_algorithms(server: SftpServer) -> dict[str, list[str]]:
    """Ask for the kind of key that is pinned: a server with several shows only one. A fingerprint does not tell its kind."""
    if any(_FINGERPRINT.fullmatch(pin.strip()) for pin in server.host_keys):
        return {}
    kinds = {_key_line(pin).get_algorithm() for pin in server.host_keys if pin.strip()}
    rsa = ["rsa-sha2-512", "rsa-sha2-256"]
    return {"server_host_key_algs": [name for kind in sorted(kinds) for name in (rsa if kind == "ssh-rsa" else [kind])]}


async def _resolve(server: SftpServer) -> str:
    """The address to dial, one that the egress rule admits: never a link-local or metadata one."""
    bracketed = f"[{server.host}]" if ":" in server.host else server.host
    rule = EgressRule(f"https://{bracketed}:{server.port}")
    found = await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    admitted = [str(one[4][0]) for one in found if rule.admits_address(server.host, str(one[4][0]))]
    if not admitted:
        raise PeerRefused(f"{server}: the name stands for an address that must not be dialled. Check the host.")
    return admitted[0]


def _no_session(server: SftpServer, problem: Exception) -> Exception:
    if isinstance(problem, asyncssh.PermissionDenied):
        return PeerRefused(f"{server}: it refused our credential. Check the user under auth, and the key or password.")
    return PeerUnavailable(f"{server}: no connection ({type(problem).__name__}).")


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
