"""Any platform that takes files, with its folder on an SFTP server: made here durably, then brought there whole.

A file waits in the clinic's outbound folder until the server has it. Each is uploaded under a temporary name, read back, noted
here as uploaded, renamed, and read back under its name. So after any cut of the line or of the power:

    not noted                        it is uploaded again, over what a broken upload left; its name was never visible
    noted, temporary name there      it only lacks its name, and gets it
    noted, its own name there        it arrived, if it reads back as it was written; else in doubt, as the next
    noted, neither there             it arrived and was taken away, or somebody cleaned up: in doubt; a person asks, unless
                                     an answer speaks of it

Nothing is accepted before its file has its name on the server.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Any, Protocol, runtime_checkable

from ptbridge.destinations._drop_folder import altered_file
from ptbridge.errors import OutcomeUnknown, PeerError, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, PricedDay, Submission
from ptbridge.ports import (
    AnsweringDestination,
    BatchDestination,
    Capabilities,
    CorrectingDestination,
    DemandingDestination,
    Destination,
)
from ptbridge.wire.sftp import SftpServer, connect
from ptbridge.wire.sftp_folders import RemoteFolders, staged_name

_UPLOADED = ".uploaded"  # endings of our notes, beside a file that waits
_VANISHED, _ALTERED = ".vanished", ".altered"  # and of one that is not there, or not as it was written
_OPTIONAL: tuple[tuple[type, str], ...] = (
    (CorrectingDestination, "encode_replacement"),
    (DemandingDestination, "lacks"),
    (AnsweringDestination, "answers"),
)


@runtime_checkable
class OnServer(Protocol):
    """A platform that has more to do with the server than to leave files there, such as to read answers from it."""

    def over_sftp(self, server: SftpServer, ours: Path) -> None:
        """Told once, before the first call. `ours` is a folder of all clinics that send from here."""


@runtime_checkable
class Proving(Protocol):
    """A platform whose answers can show that a file arrived."""

    async def arrived(self, submission: Submission) -> bool:
        """Whether any answer speaks of this very submission, for better or worse. Raises PeerError."""


def over_sftp(inner: Destination, server: SftpServer, remote: str, outbound: Path) -> Destination:
    """`inner`, which drops its files into `outbound`, with `remote` on the server as the folder that the biller reads."""
    if isinstance(inner, OnServer):
        inner.over_sftp(server, outbound.parent)
    can = {name: _passed_on(name) for kind, name in _OPTIONAL if isinstance(inner, kind)}
    made: Destination = type("SftpDrop", (SftpDrop,), can)(inner, server, remote, outbound)
    return made


def _passed_on(name: str) -> Callable[..., Any]:
    def call(self: SftpDrop, *args: Any, **named: Any) -> Any:
        return getattr(self.inner, name)(*args, **named)

    return call


class SftpDrop:
    """See `ports.BatchDestination`; what the inner platform can do besides is passed on by `over_sftp`."""

    def __init__(self, inner: BatchDestination, server: SftpServer, remote: str, outbound: Path) -> None:
        self.inner = inner
        self._server, self._remote, self._outbound = server, remote, outbound
        self._trouble: PeerError | None = None  # of this run: a dead server is not dialled once for each item in doubt

    @property
    def capabilities(self) -> Capabilities:
        """As the inner platform: our receipts and notes can always be asked."""
        return self.inner.capabilities

    def encode(self, priced: PricedDay, *, reference: str, frequency: str, original_id: str | None) -> tuple[bytes, str]:
        """The inner platform's bytes."""
        return self.inner.encode(priced, reference=reference, frequency=frequency, original_id=original_id)

    def encode_void(self, live: bytes, *, reference: str, original_id: str | None) -> tuple[bytes, str]:
        """The inner platform's bytes."""
        return self.inner.encode_void(live, reference=reference, original_id=original_id)

    async def submit(self, submission: Submission) -> Acknowledgement:
        """A file of its own for one submission; a run uses `submit_batch`."""
        return (await self.submit_batch([submission]))[0]

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Acknowledgement]:
        """Connect, make the file, bring it there. Raises PeerUnavailable or PeerRefused when no file was made,
        OutcomeUnknown when it was made and the server may not have it: `find` brings it there."""
        async with connect(self._server) as folders:
            await self._bring_all(folders)  # what an earlier run could not finish goes first
            answers = await self.inner.submit_batch(submissions)
            try:
                await self._bring_all(folders)
            except PeerError as error:
                raise OutcomeUnknown(f"{error} The file waits in {self._outbound}; the next run brings it.") from None
        return [self._doubted(answer) or answer for answer in answers]

    async def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission, once the server has it. Raises PeerError while it cannot be brought."""
        found = await self.inner.find(submission)
        if found is None:
            return None
        if self._waiting():
            await self._finish()
        doubted = self._doubted(found)
        if doubted is not None and isinstance(self.inner, Proving) and await self.inner.arrived(submission):
            return found
        return doubted or found

    def _doubted(self, answer: Acknowledgement) -> Acknowledgement | None:
        """What stands in the way of accepting a file that was made here, by our notes on it and on its control totals."""
        name = answer.destination_id
        if name is None:
            return None
        if any(self._note(one, _ALTERED).exists() for one in (name, f"{PurePath(name).stem}.totals.json")):
            return altered_file(name, str(self._server))
        if self._note(name, _VANISHED).exists():
            text = f"{name} was uploaded and is not on the server. Ask the biller whether it arrived."
            return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="uploaded-and-gone", native_text=text)
        return None

    async def list_references(self, service_dates: tuple[str, str]) -> dict[str, tuple[int, int]] | None:
        """What we dropped and did not take back. What the biller did with it, a folder cannot tell."""
        return await self.inner.list_references(service_dates)

    async def check(self) -> list[str]:
        """Are we let in, and can we write there. Raises PeerError when not."""
        async with connect(self._server) as folders:
            await folders.list(self._remote)
            await folders.stage(self._remote, "probe", b"")
            await folders.remove(posixpath.join(self._remote, staged_name("probe")))
        return [*await self.inner.check(), f"{self._server} takes our credential, and the folder there can be written"]

    async def close(self) -> None:
        """Nothing is open between calls."""

    async def _finish(self) -> None:
        if self._trouble is not None:
            raise self._trouble
        try:
            async with connect(self._server) as folders:
                await self._bring_all(folders)
        except PeerError as error:
            self._trouble = error
            raise

    def _waiting(self) -> list[Path]:
        """Files that the server may not have; control totals before what they count."""
        found = [path for path in self._outbound.glob("[!.]*") if path.is_file()]
        return sorted(found, key=lambda path: (not path.name.endswith(".totals.json"), path.name))

    def _note(self, name: str, ending: str) -> Path:
        return self._outbound / f".{name}{ending}"

    async def _bring_all(self, folders: RemoteFolders) -> None:
        for path in self._waiting():
            await self._bring(path, folders)

    async def _bring(self, path: Path, folders: RemoteFolders) -> None:
        name, noted, content = path.name, self._note(path.name, _UPLOADED), _content(path)
        staged = posixpath.join(self._remote, staged_name(name))
        if not noted.exists():
            await folders.claim(self._remote, name)
            await folders.stage(self._remote, name, content)
            if not await folders.holds(staged, content):
                raise PeerUnavailable(f"{self._server}: an upload reads back otherwise. It got no name; it is uploaded again.")
            _make(noted)
        waits = await folders.look(staged) is not None
        if waits:
            await folders.publish(self._remote, name)
        stands = await folders.holds(posixpath.join(self._remote, name), content)
        if stands is False:
            _make(self._note(name, _ALTERED))
        elif stands is None and not waits:  # just published, it was taken by the biller
            _make(self._note(name, _VANISHED))
        _forget(path, noted)


def _content(path: Path) -> bytes:
    return path.read_bytes()


def _forget(path: Path, noted: Path) -> None:
    """Its bytes stand in the ledger; patient data is not kept twice."""
    path.unlink()
    noted.unlink()


def _make(note: Path) -> None:
    """An empty file, durable with its name."""
    os.close(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    folder = os.open(note.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
