"""Files into the inbox from an SFTP server: what `files` does for a folder of this machine, over a connection."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ptbridge.errors import LedgerBusy, RecordError
from ptbridge.inbox import database
from ptbridge.inbox.envelope import Rules
from ptbridge.inbox.files import Taken, file_problems
from ptbridge.inbox.inbox import Inbox
from ptbridge.wire.sftp import SftpServer, connect
from ptbridge.wire.sftp_folders import RemoteFile
from ptbridge.wire.sftp_inbound import InboundFolder, TakenNames


async def take_remote_files(
    state: Path,
    clinic: str,
    server: SftpServer,
    folder: str,
    rules: Rules,
    *,
    now: datetime,
    settle_seconds: int = 60,
    keep: bool = False,
) -> Taken:
    """Store what the complete files of the server's `folder` hold, then move them there; `keep` leaves them and remembers.

    A folder that another process takes from is left to it. Raises LedgerError when nothing can be stored, PeerError when
    the server cannot be reached, is not the pinned one, or does not let us read or move.
    """
    taken = Taken()
    with Inbox.open(state) as inbox:
        try:
            lock = database.Lock(state / f"inbox-files-{clinic}.lock", "takes files of this clinic")
        except LedgerBusy:
            return taken
        try:
            async with connect(server) as folders:
                names = TakenNames(state / "taken" / f"{clinic}.jsonl") if keep else None
                incoming = InboundFolder(folders=folders, folder=folder, settle_seconds=settle_seconds, taken=names)
                for file in await incoming.arrivals(now):
                    await _take(file, incoming, inbox, clinic, rules, now, taken)
        finally:
            lock.release()
    return taken


async def _take(
    file: RemoteFile, incoming: InboundFolder, inbox: Inbox, clinic: str, rules: Rules, now: datetime, taken: Taken
) -> None:
    try:
        content = await incoming.read(file)
        if content is None:  # it is still being written
            return
        problems = file_problems(content, file.name, inbox, clinic, rules, now, taken)
    except RecordError as error:
        problems = str(error)
    if problems:
        await incoming.refused(file, problems)
        taken.refused.append(file.name)
    else:
        await incoming.processed(file)
        taken.files += 1
