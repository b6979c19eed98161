"""SFTP: the folders of another party's server, over a connection whose host key was pinned beforehand.

    async with connect(server) as folders:
        for entry in await folders.list("/outbound"):
            content = await folders.read(f"/outbound/{entry.name}", limit=1 << 20)
        await folders.write_atomic("/inbound", "claims-7.x12", content)

A host that does not show a pinned key gets no credential. Nothing of the user's own SSH set-up is read: no known_hosts, no
agent, no config file, no keys of the home folder. What is done in the folders is in `sftp_folders.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncssh

from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.wire.egress import EgressRule
from ptbridge.wire.sftp_folders import RemoteFolders

PORT = 22
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


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
