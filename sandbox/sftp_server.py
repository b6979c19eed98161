"""A pretend biller's or EMR's SFTP server: a real SSH server over a real folder, with faults on demand.

async with SftpSandbox(folder) as server:
    server.port, server.fingerprint, server.host_key
    server.faults.cut_upload_after = 1000       # bytes of an upload, then the connection is gone
    server.faults.cut_rename = "before"         # or "after": the rename happened and nobody was told
    server.faults.spoil = "cut"                 # an upload is half of what was sent, and nothing says so
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD = "ptbridge", "only-for-the-sandbox"


@dataclass(slots=True, kw_only=True)
class SftpFaults:
    """What goes wrong, once each. `forbidden`: operations that are refused for as long as they stand here.

    `spoil`, silently: `cut` an upload in half, `alter` a byte of it, or cut the file in half when it gets its name (`rename`).
    """

    cut_upload_after: int | None = None  # bytes
    cut_rename: str = ""  # before | after
    cut_rename_of: str = ""  # of names with this ending only
    spoil: str = ""  # cut | alter | rename
    tells_size: bool = True  # as long as it stands here
    forbidden: set[str] = field(default_factory=set)  # rename, mkdir, write, read


@dataclass(slots=True)
class SftpSandbox:
    """The server. `folder` is the root that a client sees; `keys` are public keys that may log in as `USER`."""

    folder: Path
    keys: tuple[asyncssh.SSHKey, ...] = ()
    password: str = PASSWORD
    host_key_kind: str = "ssh-ed25519"
    port: int = 0
    faults: SftpFaults = field(default_factory=SftpFaults)
    logins: int = 0
    tried: int = 0  # logins with a key or password, refused ones included
    _key: asyncssh.SSHKey = field(init=False)
    _acceptor: asyncssh.SSHAcceptor | None = None

    def __post_init__(self) -> None:
        self._key = asyncssh.generate_private_key(self.host_key_kind)

    @property
    def fingerprint(self) -> str:
        """The host key as `SHA256:…`."""
        return str(self._key.get_fingerprint("sha256"))

    @property
    def host_key(self) -> str:
        """The host key as a public key line."""
        return self._key.export_public_key().decode().strip()

    async def start(self) -> None:
        """Listen on loopback; a port that was had before is taken again."""
        self._acceptor = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self._key],
            server_factory=lambda: _Door(self),
            sftp_factory=lambda channel: _Files(channel, self),
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Close everything."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None

    async def __aenter__(self) -> SftpSandbox:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class _Door(asyncssh.SSHServer):
    def __init__(self, sandbox: SftpSandbox) -> None:
        self._sandbox = sandbox

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._let_in(username == USER and password == self._sandbox.password)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._let_in(username == USER and any(key.public_data == one.public_data for one in self._sandbox.keys))

    def _let_in(self, right: bool) -> bool:
        self._sandbox.tried += 1
        self._sandbox.logins += right
        return right


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], sandbox: SftpSandbox) -> None:
        super().__init__(channel, chroot=bytes(sandbox.folder))
        self._channel, self._sandbox = channel, sandbox
        self._uploaded = 0

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        faults = self._sandbox.faults
        if "write" in faults.forbidden:
            raise asyncssh.SFTPPermissionDenied("no")
        self._uploaded += len(data)
        if faults.cut_upload_after is not None and self._uploaded > faults.cut_upload_after:
            faults.cut_upload_after = None
            self._cut()
        written = data
        if faults.spoil == "alter":
            faults.spoil, written = "", bytes([data[0] ^ 1]) + data[1:]
        elif faults.spoil == "cut":
            faults.spoil, written = "", data[: len(data) // 2]
        super().write(file_obj, offset, written)
        return len(data)

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if pflags & asyncssh.FXF_READ and "read" in self._sandbox.faults.forbidden:
            raise asyncssh.SFTPPermissionDenied("no")
        return super().open(path, pflags, attrs)

    def lstat(self, path: bytes) -> Any:
        found = os.lstat(self.map_path(path))
        attrs = asyncssh.SFTPAttrs.from_local(found)
        if not self._sandbox.faults.tells_size:
            attrs.size = None
        return attrs

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> Any:
        if "mkdir" in self._sandbox.faults.forbidden:
            raise asyncssh.SFTPPermissionDenied("no")
        return super().mkdir(path, attrs)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        faults = self._sandbox.faults
        if "rename" in faults.forbidden:
            raise asyncssh.SFTPPermissionDenied("no")
        cut = faults.cut_rename if newpath.decode().endswith(faults.cut_rename_of) else ""
        if cut:
            faults.cut_rename = ""
        if cut == "before":
            self._cut()
        answer = super().rename(oldpath, newpath)
        if faults.spoil == "rename":
            faults.spoil, path = "", Path(self.map_path(newpath).decode())
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if cut == "after":
            self._cut()
        return answer

    def _cut(self) -> None:
        self._channel.get_connection().abort()
        raise asyncssh.SFTPConnectionLost("cut off")
