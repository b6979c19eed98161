"""Files into the inbox: a message or a batch (FHS, BHS) a file, from a folder where a sender drops them.

A file is taken when it is complete, moves to `processed` once its messages are durable, and to `errors` with the reasons by
line when anything of it did not add up. Its good messages are stored even then: the same message again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ptbridge.errors import LedgerBusy, RecordError
from ptbridge.inbox import database
from ptbridge.inbox.envelope import DAMAGED, Rules, envelope_of
from ptbridge.inbox.inbox import Arrival, Inbox
from ptbridge.wire.extract_folder import Arrival as File
from ptbridge.wire.extract_folder import ExtractFolder, read_file
from ptbridge.wire.extract_rows import BrokenFile
from ptbridge.wire.hl7_batch import Batch, split_batch

_TOGETHER = 500  # messages in one transaction
_SHOWN = 20  # problems that the note beside a file names


@dataclass(slots=True)
class Taken:
    """What a look at the folder brought: files that were taken, messages that are new, and the files that were refused."""

    files: int = 0
    messages: int = 0
    repeated: int = 0
    refused: list[str] = field(default_factory=list)


def take_files(state: Path, clinic: str, folder: Path, rules: Rules, *, now: datetime, settle_seconds: int = 60) -> Taken:
    """Store what the complete files of `folder` hold, then move them. A folder that another process takes from is left to it.

    Raises LedgerError when nothing can be stored, PeerUnavailable when the folder cannot be read or written.
    """
    options = {"folder": str(folder), "files": "*", "settle_seconds": str(settle_seconds)}
    incoming = ExtractFolder(None, options, sidecar_ending=None)
    files = [file for file in incoming.arrivals(now) if file.strange != "a folder"]
    taken = Taken()
    if not files:
        return taken
    with Inbox.open(state) as inbox:
        try:
            lock = database.Lock(state / database.FILES_LOCK, "takes files")
        except LedgerBusy:
            return taken
        try:
            for file in files:
                _take(file, incoming, inbox, clinic, rules, now, taken)
        finally:
            lock.release()
    return taken


def _take(file: File, incoming: ExtractFolder, inbox: Inbox, clinic: str, rules: Rules, now: datetime, taken: Taken) -> None:
    try:
        if file.strange:
            raise BrokenFile(f"is {file.strange}, not a file.")
        content = read_file(file.path)
        if content is None:  # it changed while it was read: not complete after all
            return
        problems = file_problems(content, file.name, inbox, clinic, rules, now, taken)
    except (BrokenFile, RecordError) as error:
        problems = str(error)
    if problems:
        incoming.refused(file, problems)
        taken.refused.append(file.name)
    else:
        incoming.processed(file)
        taken.files += 1


def file_problems(content: bytes, name: str, inbox: Inbox, clinic: str, rules: Rules, now: datetime, taken: Taken) -> str:
    """Store each message of a file; what did not add up, as the note beside it, or nothing. Raises RecordError, LedgerError."""
    batch = split_batch(content)
    problems = [*_stored(batch, name, inbox, clinic, rules, now, taken), *(problem.text for problem in batch.problems)]
    if not batch.messages:
        problems.append("the file holds no message")
    return _note(batch, problems) if problems else ""


def _stored(batch: Batch, name: str, inbox: Inbox, clinic: str, rules: Rules, now: datetime, taken: Taken) -> Iterator[str]:
    """Store every message and yield what was wrong with one, by line."""
    for start in range(0, len(batch.messages), _TOGETHER):
        arrivals = [
            Arrival(
                clinic=clinic,
                origin=f"file:{name}:{one.line}",
                received_at=now,
                raw=one.raw,
                envelope=envelope_of(one.raw, rules),
            )
            for one in batch.messages[start : start + _TOGETHER]
        ]
        for arrival, stored in zip(arrivals, inbox.store(arrivals), strict=True):
            taken.repeated += stored.repeated
            taken.messages += not stored.repeated
            if arrival.envelope.state == DAMAGED:
                yield f"line {arrival.origin.rpartition(':')[2]}: {arrival.envelope.reason}"


def _note(batch: Batch, problems: list[str]) -> str:
    more = f"\nand {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f"{len(batch.messages)} messages were stored; these did not add up:\n" + "\n".join(problems[:_SHOWN]) + more
