"""The file around the claims: ISA, GS, one transaction set for each treatment day, and control numbers that never repeat.

A day has a transaction set of its own, so that a 999 which turns one away turns away one day. ISA13 and GS06 are one number,
ST02 counts in the file, BHT03 is both (`000000123-0001`): a TA1, a 999 or a 277CA names exactly what it answers.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ptbridge.destinations._x12_correction import sendable
from ptbridge.destinations._x12_facts import Facts, text
from ptbridge.destinations._x12_rows import segments
from ptbridge.destinations._x12_tables import TRANSACTION
from ptbridge.destinations._x12_text import COMPONENT, ELEMENT, REPETITION, SEGMENT
from ptbridge.specs.clinic import BillingProviderSpec

_LARGEST = 999_999_999  # ISA13 has nine digits
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_TICK_SECONDS = 2  # one number in two seconds lasts until 2083


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    """Who sends to whom, as the clearinghouse assigned it. `usage` is ISA15: P production, T test."""

    submitter_id: str
    submitter_qualifier: str
    receiver_id: str
    receiver_qualifier: str
    receiver_name: str
    group_sender: str
    group_receiver: str
    usage: str
    wants_ta1: bool


def file_bytes(bodies: Sequence[bytes], parties: Parties, billing: BillingProviderSpec, *, number: int, now: datetime) -> bytes:
    """One interchange with one group that holds all of them; `now` is in the zone that the dates are written in."""
    control, day, clock = f"{number:09d}", f"{now:%Y%m%d}", f"{now:%H%M}"
    gs = ("GS", "HC", parties.group_sender, parties.group_receiver, day, clock, str(number), "X", "005010X222A1")
    sets = [_transaction(body, at, parties, billing, control, day, clock) for at, body in enumerate(bodies, start=1)]
    trailers = f"GE*{len(sets)}*{number}{SEGMENT}IEA*1*{control}{SEGMENT}"
    return "".join([_isa(parties, control, day, clock), ELEMENT.join(gs) + SEGMENT, *sets, trailers]).encode("ascii")


def _isa(parties: Parties, control: str, day: str, clock: str) -> str:
    elements = (
        "ISA",
        "00",
        " " * 10,
        "00",
        " " * 10,
        parties.submitter_qualifier,
        parties.submitter_id.ljust(15),
        parties.receiver_qualifier,
        parties.receiver_id.ljust(15),
        day[2:],
        clock,
        REPETITION,
        "00501",
        control,
        "1" if parties.wants_ta1 else "0",
        parties.usage,
        COMPONENT,
    )
    return ELEMENT.join(elements) + SEGMENT


def _transaction(
    body: bytes, at: int, parties: Parties, billing: BillingProviderSpec, control: str, day: str, clock: str
) -> str:
    transaction = f"{at:04d}"
    facts = Facts()
    facts.put("submitter_name", billing.name, text(60))
    facts.put("contact", billing.contact, text(60))
    facts.values |= {
        "phone": "".join(one for one in billing.phone or "" if one in "0123456789"),
        "transaction": transaction,
        "batch": f"{control}-{transaction}",
        "date": day,
        "time": clock,
        "submitter_id": parties.submitter_id,
        "receiver_id": parties.receiver_id,
        "receiver_name": parties.receiver_name,
    }
    head = segments(TRANSACTION, facts.values)
    whole = head + sendable(body).decode("ascii")
    return f"{whole}SE*{whole.count(SEGMENT) + 1}*{transaction}{SEGMENT}"


# ---------------------------------------------------------------- control numbers


def next_control_number(folder: Path, now: datetime) -> int:
    """A number that no interchange from this folder had before, durable before it is used. Raises OSError.

    At least half the seconds since 2020, so that a folder restored from a backup, or lost, does not repeat what was
    used since; one more than the last, so that neither a clock that goes back nor a burst does.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "control-number"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # two state folders may share a drop folder
        number = max(_last(os.read(descriptor, 64)) + 1, int((now - _EPOCH).total_seconds()) // _TICK_SECONDS)
        if not 0 < number <= _LARGEST:
            raise OSError(34, "no control number is left: check this machine's clock")
        os.pwrite(descriptor, f"{number:09d}\n".encode(), 0)  # always ten bytes, within one sector
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _sync(folder)
    return number


def _last(content: bytes) -> int:
    """What the file says; 0 for none, or one that a power cut left empty: the clock then gives the next number."""
    text_ = content.strip()
    return int(text_) if text_.isdigit() else 0


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
