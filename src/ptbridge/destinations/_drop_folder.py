"""A folder that somebody else reads: files appear whole or not at all, and receipts remember what went into them.

Every file is read back before it gets its name, and once more under it: what stands there with other bytes is never accepted.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import orjson

from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Acknowledgement, Disposition, Frequency, Submission

_OTHERWISE = "what was written reads back otherwise"
_OURS = ".ptbridge"  # per clinic: receipts, and files that have no name yet; mode 0700


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One submission in a file. `parts`: what a platform notes of a day that it writes in several parts."""

    key: str
    reference: str
    frequency: str
    service_date: str
    lines: int
    units: int
    amount_cents: int
    parts: str = ""

    @classmethod
    def of(cls, submission: Submission, parts: str = "") -> Entry:
        """What a receipt keeps of a submission: no patient data."""
        return cls(
            key=submission.key,
            reference=submission.reference,
            frequency=submission.frequency.value,
            service_date=submission.service_date,
            lines=submission.lines,
            units=submission.units,
            amount_cents=submission.amount_cents,
            parts=parts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is in one file."""

    file: str
    sha256: str
    entries: tuple[Entry, ...]

    def encoded(self) -> bytes:
        """As JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def decoded(cls, content: bytes) -> Receipt:
        """From JSON."""
        document = orjson.loads(content)
        entries = tuple(Entry(**entry) for entry in document["entries"])
        return cls(file=document["file"], sha256=document["sha256"], entries=entries)


class DropFolder:
    """One clinic's part of a folder; it has one writer (the ledger's lock sees to that). Created by the first write."""

    def __init__(self, path: Path, clinic: str, *, ending: str = ".csv") -> None:
        self.path, self.clinic = path, clinic
        self._ending = ending
        self.shared = path / _OURS  # of all clinics that drop into this folder
        self._ours = self.shared / clinic
        self._by_key: dict[str, Receipt] | None = None

    def free_name(self, stem: str) -> str:
        """A file name that was never used here: `stem.csv`, else `stem-2.csv`, and so on (or with this folder's ending)."""
        used = {receipt.file for receipt in self.receipts()}
        number = 1
        end = self._ending
        while (name := f"{stem}{end}" if number == 1 else f"{stem}-{number}{end}") in used or (self.path / name).exists():
            number += 1
        return name

    def prepare(self, receipt: Receipt, content: bytes, control_totals: bytes | None) -> None:
        """Write file and control totals, the file without its name yet. Raises OSError: then nothing happened."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        _write(self._unnamed(receipt), content)
        if control_totals is not None:
            _write_whole(self.path / f"{receipt.file.removesuffix(self._ending)}.totals.json", control_totals)

    def commit(self, receipt: Receipt) -> None:
        """Receipt, then name. Once the receipt is durable the file is certain to get its name, now or after a crash.

        Raises OSError: then it is unknown which of the two it is until `receipt_of` is asked.
        """
        self._by_key = None
        last = max((int(path.name.partition("-")[0]) for path in self._ours.glob("*.json")), default=0)
        _write_whole(self._ours / f"{last + 1:08d}-{receipt.file}.json", receipt.encoded())
        self.give_name(receipt)

    def give_name(self, receipt: Receipt) -> None:
        """Make the file visible if it is not yet. Raises OSError, also when somebody else's file has the name, and when it does
        not read back as it was written."""
        unnamed, named = self._unnamed(receipt), self.path / receipt.file
        if not unnamed.exists():
            return
        if named.exists():
            raise FileExistsError(errno.EEXIST, f"{receipt.file} is there already", str(named))
        unnamed.rename(named)
        _sync_folder(self.path)
        _sync_folder(self._ours)
        if self.is_altered(receipt):
            raise OSError(errno.EIO, _OTHERWISE)

    def is_altered(self, receipt: Receipt) -> bool:
        """Whether the file stands there with other bytes than went into it; one that was taken away is not. Raises OSError."""
        try:
            content = (self.path / receipt.file).read_bytes()
        except FileNotFoundError:
            return False
        return sha256(content).hexdigest() != receipt.sha256

    def receipts(self) -> Iterator[Receipt]:
        """All receipts, oldest first."""
        for path in sorted(self._ours.glob("*.json")) if self._ours.is_dir() else ():
            yield Receipt.decoded(path.read_bytes())

    def receipt_of(self, key: str) -> Receipt | None:
        """The receipt that names this submission's key; None when it never got into a file."""
        if self._by_key is None:
            self._by_key = {entry.key: receipt for receipt in self.receipts() for entry in receipt.entries}
        return self._by_key.get(key)

    def probe(self) -> None:
        """Write and remove a file. Raises OSError."""
        self._ours.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self._ours / "probe"
        _write(probe, b"")
        probe.unlink()

    def _sweep(self) -> None:
        """Remove what a crash left without a receipt: it was never visible, and it holds patient data."""
        promised = {self._unnamed(receipt) for receipt in self.receipts()}
        for path in self._ours.glob("*.part"):
            if path not in promised:
                path.unlink()

    def _unnamed(self, receipt: Receipt) -> Path:
        return self._ours / f"{receipt.file}.part"


def clinics_of(path: Path) -> list[DropFolder]:
    """Every clinic's part of a folder, to read receipts from."""
    ours = path / _OURS
    return [DropFolder(path, part.name) for part in sorted(ours.iterdir()) if part.is_dir()] if ours.is_dir() else []


class FileDrop:
    """One run's way into a drop folder: a file, its receipt, and what the receipts tell. For any platform that takes files."""

    def __init__(self, folder: DropFolder, clinic: str, run_id: str) -> None:
        self.folder = folder
        self._stem = f"ptbridge-{plain(clinic)}-{plain(run_id)}"

    def drop(
        self,
        submissions: Sequence[Submission],
        content: bytes,
        control_totals: Callable[[Receipt], bytes] | None = None,
        parts: Callable[[Submission], str] = lambda _: "",
    ) -> Acknowledgement:
        """Write one file that holds all of them; returns only when it is on the disk under its name.

        Raises PeerUnavailable when nothing became visible, OutcomeUnknown when the disk gave up at the end: `find` tells.
        """
        try:
            receipt = Receipt(
                file=self.folder.free_name(self._stem),
                sha256=sha256(content).hexdigest(),
                entries=tuple(Entry.of(one, parts(one)) for one in submissions),
            )
            self.folder.prepare(receipt, content, control_totals(receipt) if control_totals else None)
        except OSError as error:
            raise PeerUnavailable(f"{self.folder.path}: {_trouble(error)} Nothing was dropped.") from None
        try:
            self.folder.commit(receipt)
        except OSError as error:
            raise OutcomeUnknown(f"{self.folder.path}: {_trouble(error)} The next run looks what stands there.") from None
        return _accepted(receipt.file)

    def find(self, submission: Submission) -> Acknowledgement | None:
        """The file that holds this very submission, by our receipts; a file that a crash left unnamed gets its name."""
        receipt = self.folder.receipt_of(submission.key)
        if receipt is None:
            return None
        try:
            self.folder.give_name(receipt)
            altered = self.folder.is_altered(receipt)
        except OSError as error:
            raise PeerUnavailable(f"{self.folder.path}: {_trouble(error)}") from None
        return altered_file(receipt.file, str(self.folder.path)) if altered else _accepted(receipt.file)

    def live(self, first: str, last: str) -> dict[str, tuple[int, int]]:
        """What we dropped and did not take back, by our receipts: reference -> (units, cents). Service dates as 2026-11-02."""
        found: dict[str, tuple[int, int]] = {}
        for entry in (entry for receipt in self.folder.receipts() for entry in receipt.entries):
            found.pop(entry.reference, None)
            if entry.frequency != Frequency.VOID and first <= entry.service_date <= last:
                found[entry.reference] = (entry.units, entry.amount_cents)
        return found

    def check(self) -> str:
        """Can we write there. Raises PeerUnavailable when not."""
        try:
            self.folder.probe()
        except OSError as error:
            raise PeerUnavailable(f"{self.folder.path}: {_trouble(error)}") from None
        return f"the folder {self.folder.path} can be written"


def plain(name: str) -> str:
    """A clinic's or run's name as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", name)


def altered_file(file: str, where: str) -> Acknowledgement:
    """It stands where the biller reads, and not as it was written: a person asks what the biller took."""
    text = f"{file} does not read back from {where} as it was written. Ask the biller what arrived of it."
    return Acknowledgement(disposition=Disposition.IN_DOUBT, native_code="file-altered", native_text=text)


def _accepted(file: str) -> Acknowledgement:
    return Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=file, native_code="dropped")


def _trouble(error: OSError) -> str:
    return f"cannot write there ({error.strerror}). Check that it exists, its owner and the space on its disk."


def _write_whole(path: Path, content: bytes) -> None:
    """Write beside it, then rename: readers see the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    _write(part, content)
    part.replace(path)
    _sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    """A file of mode 0600 under any umask, on the disk when this returns. Raises OSError, also when it reads back otherwise."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:  # noqa: PTH123
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if path.read_bytes() != content:
        raise OSError(errno.EIO, _OTHERWISE)
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
