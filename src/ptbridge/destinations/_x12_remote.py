"""Answers that arrive in a folder of an SFTP server. In a file of its own: the SSH library is loaded where it is used."""

from __future__ import annotations

import posixpath

from ptbridge.destinations._x12_inbound import AnswerFile
from ptbridge.wire.sftp import SftpServer, connect
from ptbridge.wire.x12 import MAX_BYTES


class RemoteAnswers:
    """See `_x12_inbound.AnswerFiles`. One connection for each call: answer files are few."""

    def __init__(self, server: SftpServer, folder: str) -> None:
        self._server, self._folder = server, folder

    async def files(self) -> list[AnswerFile]:
        """Its files, oldest first."""
        async with connect(self._server) as folders:
            found = [one for one in await folders.list(self._folder) if one.kind == "file" and not one.name.startswith(".")]
        found.sort(key=lambda one: (one.changed_at or 0, one.name))
        return [AnswerFile(one.name, f"{one.size_bytes}:{one.changed_at}") for one in found]

    async def read(self, name: str) -> bytes | None:
        """A file's bytes; None when it is gone, or changed while it was read."""
        async with connect(self._server) as folders:
            return await folders.read(posixpath.join(self._folder, name), MAX_BYTES)
