r"""The payload of a visit that came as HL7 v2 messages: the raw messages in order of arrival, each behind one line of header.

    17 charges - 812\n<812 bytes, exactly as received>\n
    23 facts 8859/1 640\n<640 bytes>\n

The header is: number in the inbox, use, character set as configured (`-` for none), length in bytes. The uses:

    charges     its FT1 segments are charges, added to those before
    snapshot    its FT1 segments are all charges of the visit so far
    facts       everything but FT1 counts: ADT, BAR, SIU, MDM, ORU
    person      facts about the patient, not about this visit: they fill what the visit's own messages leave open
    merge       one patient's record went into another's before this visit was sent
    late-merge  the same, after it was sent
    moved       the visit went to another number, account or patient
    revoked     the patient's record was deleted or taken off another's after the visit's last message
    early       charges that came before the ADT that this sender always sends

Before the first header may stand `only 2026-03-04`: of a visit number that spans many days, this record is that day.
A payload that starts with MSH is one message without a header: a sample file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ptbridge.errors import RecordError

MEDIA_TYPE = "x-application/hl7-v2+er7-batch"
USES = frozenset({"charges", "snapshot", "facts", "person", "merge", "late-merge", "moved", "revoked", "early"})
CHARGING = frozenset({"charges", "snapshot", "early"})

_HEADER = re.compile(rb"([0-9]{1,18}) ([a-z-]{1,12}) ([!-~]{1,40}) ([0-9]{1,12})\n")
_ONLY = re.compile(rb"only ([0-9]{4}-[0-9]{2}-[0-9]{2})\n")
_CUT = "Pull the visit again; its record in the ledger is cut off."


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a visit: its number in the inbox, what it is used for, its sender's character set, its bytes."""

    seq: int
    use: str
    charset: str | None
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Payload:
    """A visit's messages. `only_day` is the civil day (2026-03-04) that the record is restricted to, empty for none."""

    parts: tuple[Part, ...]
    only_day: str = ""


def join_parts(parts: Iterable[Part], only_day: str = "") -> bytes:
    """The payload of these messages, in the order given."""
    framed = [b"%d %s %s %d\n%s\n" % (part.seq, part.use.encode(), _name(part), len(part.raw), part.raw) for part in parts]
    return b"".join([b"only %s\n" % only_day.encode(), *framed] if only_day else framed)


def split_parts(payload: bytes) -> Payload:
    """The messages of a payload. Raises RecordError for one that is cut off or is no such payload."""
    if payload.lstrip(b"\x0b\r\n\xef\xbb\xbf")[:3] == b"MSH":
        return Payload((Part(0, "charges", None, payload),))
    only = _ONLY.match(payload)
    at = only.end() if only else 0
    found: list[Part] = []
    while at < len(payload):
        part, at = _part(payload, at)
        found.append(part)
    if not found:
        raise RecordError("the record holds no message.", where="payload", fix=_CUT)
    return Payload(tuple(found), only[1].decode("ascii") if only else "")


def _part(payload: bytes, at: int) -> tuple[Part, int]:
    """The message whose header starts at byte `at`, and where the next header starts."""
    header = _HEADER.match(payload, at)
    if header is None:
        raise RecordError(f"no header at byte {at}.", where="payload", fix=_CUT)
    start, end = header.end(), header.end() + int(header[4])
    if payload[end : end + 1] != b"\n":
        raise RecordError(f"the message at byte {start} is cut off.", where="payload", fix=_CUT)
    charset = header[3].decode("ascii")
    return Part(int(header[1]), header[2].decode("ascii"), None if charset == "-" else charset, payload[start:end]), end + 1


def _name(part: Part) -> bytes:
    return (part.charset or "-").replace(" ", "_").encode("ascii")
