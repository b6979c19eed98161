"""Acknowledgements: which are due, and their bytes, in the delimiters, character set and version of the message they answer.

Original mode (MSH-15 and MSH-16 empty): one application answer, AA, AE or AR. Enhanced mode (either is present): an accept
answer CA, CE or CR as MSH-15 says, then an application answer as MSH-16 says, each AL (always), NE (never), ER (on error) or
SU (on success). HL7 v2.8.2 ch. 2.9; tables 0008, 0155, 0357.

Texts in an answer come from here or from the code, never from the message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Literal

from ptbridge.errors import RecordError
from ptbridge.wire.hl7_delimiters import Delimiters
from ptbridge.wire.hl7v2 import Message

AckMode = Literal["as-asked", "original", "enhanced", "always"]

_NEVER_ECHOED = str.maketrans("", "", "\r\n\x0b\x1c")  # a line end echoed into an answer would start a segment of its own
_MAX_HEADER_BYTES = 4096
_VERSION = re.compile(r"2\.([0-9])")
_LOCATION = re.compile(r"([A-Z][A-Z0-9]{2})(?:\[([0-9]+)\])?(?:-([0-9]+)(?:\.([0-9]+)(?:\.([0-9]+))?)?)?")
# Table 0357, the ones that a receiver like ours says.
_CONDITIONS = {
    0: "Message accepted",
    100: "Segment sequence error",
    101: "Required field missing",
    102: "Data type error",
    103: "Table value not found",
    200: "Unsupported message type",
    201: "Unsupported event code",
    202: "Unsupported processing id",
    203: "Unsupported version id",
    207: "Application internal error",
}


class Verdict(Enum):
    """What the receiver says: taken; this message can never be right; not for us. A trouble of our own has no answer."""

    ACCEPT = "A"
    ERROR = "E"
    REJECT = "R"


@dataclass(frozen=True, slots=True, kw_only=True)
class AckError:
    """Why not: `condition` from table 0357, `where` a path such as `FT1[2]-7.1`, `text` for a person, without content."""

    condition: int = 207
    where: str = ""
    text: str = ""


def codes_due(message: Message, verdict: Verdict, mode: AckMode = "as-asked") -> tuple[str, ...]:
    """The codes for MSA-1 of the answers to send, in order; empty when the sender wants none.

    `mode` overrides what the message asks: `original` one application answer, `enhanced` one accept answer, `always` as
    asked but never silent. An answer (an ACK, anything with MSA) gets no application answer, and an accept answer only where
    its own MSH-15 asks for one, as an application's later answer over a connection of its own may.
    """
    accept, application = message.header.value(15), message.header.value(16)
    if message.code == "ACK" or message.segments("MSA"):
        return (f"C{verdict.value}",) if mode != "original" and _wanted(accept, verdict) else ()
    if mode == "original" or (mode != "enhanced" and accept is None and application is None):
        return (f"A{verdict.value}",)
    if mode == "enhanced":
        return (f"C{verdict.value}",)
    due = (
        f"C{verdict.value}" if _wanted(accept, verdict) else "",
        f"A{verdict.value}" if _wanted(application, verdict) else "",
    )
    found = tuple(code for code in due if code)
    return found or ((f"C{verdict.value}",) if mode == "always" else ())


def acknowledge(
    message: Message, code: str, *, control_id: str, now: datetime, error: AckError | None = None, text: str = ""
) -> bytes:
    """The bytes of one answer: MSH with 3 to 6 swapped, MSA with the sender's MSH-10, and ERR when there is an `error`.

    `code` is from `codes_due`, `control_id` our own new id (at most 20 characters to fit any version), `now` aware.
    """
    marks, header = message.delimiters, message.header
    minor = _minor_version(message)

    field, escaped = header.field, marks.escaped
    values = [field(5), field(6), field(3), field(4), _stamp(now), "", _message_type(message, minor), escaped(control_id)]
    values += [field(11) or "P", field(12) or "2.3", "", "", "", "", "", field(18)]
    segments = [marks.separator.join(["MSH" + marks.separator + (marks.declared or "^~\\&"), *values])]
    segments.append(marks.separator.join(["MSA", code, field(10), escaped(text) if text else ""]))
    if error is not None:
        segments.append(_err_new(error, marks) if minor >= 5 else _err_old(error, marks, minor))
    lines = [segment.rstrip(marks.separator).translate(_NEVER_ECHOED) for segment in segments]
    return ("\r".join(lines) + "\r").encode(message.charset, "replace")


def acknowledge_unreadable(raw: bytes, code: str, *, control_id: str, now: datetime, error: AckError) -> bytes:
    """The answer to a frame that is no readable message: with what its header line still tells, else with nothing of it."""
    message = header_only(raw) or Message.parse(b"MSH|^~\\&|||||||||P|2.3\r")
    return acknowledge(message, code, control_id=control_id, now=now, error=error)


def header_only(raw: bytes, charset: str | None = None) -> Message | None:
    """The first line of a message as a message of its own, without reading the rest; None when it is not a header."""
    start = raw[:_MAX_HEADER_BYTES].lstrip(b"\x0b\r\n\t \xef\xbb\xbf")
    try:
        return Message.parse(start.replace(b"\n", b"\r").partition(b"\r")[0] or b"", charset)
    except RecordError:
        return None


def _wanted(condition: str | None, verdict: Verdict) -> bool:
    """Table 0155. An absent half of enhanced mode is `NE`; a word that is not in the table is read as `AL`."""
    if condition is None or condition == "NE":
        return False
    if condition in ("ER", "SU"):
        return (condition == "SU") == (verdict is Verdict.ACCEPT)
    return True


def _minor_version(message: Message) -> int:
    """5 for 2.5.1; an absent or unknown version is read as 2.3."""
    found = _VERSION.match(message.header.value(12) or "")
    return int(found[1]) if found else 3


def _message_type(message: Message, minor: int) -> str:
    """`ACK^P03^ACK`; older versions know fewer components. The trigger is repeated only when it looks like one."""
    mark = message.delimiters.component
    trigger = message.trigger
    if mark is None or minor < 3 or not re.fullmatch(r"[A-Z][A-Z0-9]{2}", trigger):
        return "ACK"
    return mark.join(("ACK", trigger, "ACK") if message.header.field(12).startswith("2.3.1") or minor > 3 else ("ACK", trigger))


@lru_cache(maxsize=16)  # the answers of one commit share their moment
def _stamp(now: datetime) -> str:
    return now.strftime("%Y%m%d%H%M%S%z")


def _location(error: AckError) -> list[str]:
    """Segment, occurrence, field, component, sub-component of `where`; empty when it is no path."""
    found = _LOCATION.fullmatch(error.where)
    return [found[1], found[2] or "1", *(part or "" for part in found.groups()[2:])] if found else []


def _err_new(error: AckError, marks: Delimiters) -> str:
    """From 2.5 on: ERR-2 location (ERL), ERR-3 condition, ERR-4 severity, ERR-8 text for a person."""
    mark = marks.component or ""
    place = _location(error)
    erl = mark.join([*place[:3], "1" if place[3:] and place[3] else "", *place[3:]]).rstrip(mark) if place else ""
    condition = (
        mark.join([str(error.condition), _CONDITIONS.get(error.condition, ""), "HL70357"]) if mark else str(error.condition)
    )
    return marks.separator.join(["ERR", "", erl, condition, "E", "", "", "", marks.escaped(error.text)])


def _err_old(error: AckError, marks: Delimiters, minor: int) -> str:
    """Before 2.5: ERR-1 segment, occurrence, field, condition; in 2.1 only the condition's number fits."""
    mark, inner = marks.component, marks.subcomponent
    condition = str(error.condition)
    if mark is None or minor < 2:
        return marks.separator.join(["ERR", condition])
    if inner is not None:
        condition = inner.join([condition, _CONDITIONS.get(error.condition, ""), "HL70357"])
    place = [*_location(error), "", "", ""][:3]
    return marks.separator.join(["ERR", mark.join([*place, condition])])
