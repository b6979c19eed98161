"""What the inbox must know of a message to store, answer and find it again. Nothing is believed here, only looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from ptbridge.errors import RecordError
from ptbridge.wire.hl7v2 import Message, Segment

TAKEN, IGNORED, DAMAGED = "taken", "ignored", "damaged"

CHARGES = frozenset({"DFT"})
MAY_CHARGE = frozenset({"ORM", "OMG", "OML", "ORU", "RDE", "RDS"})  # FT1 is allowed in them; each bills only if enabled
_ADT = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 18, 23, 27, 28, 29, 31, 34, 35, 36, 37, 38, 40, 41, 42, 43, 45, 47, 50)
_HANDLED = frozenset(
    [f"ADT^A{number:02}" for number in _ADT]
    + ["DFT^P03", "DFT^P11", "BAR^P01", "BAR^P05", "BAR^P12", "ORU^R01"]
    + [f"SIU^S{number}" for number in (12, 13, 14, 15, 16, 17, 26)]
    + [f"MDM^T{number:02}" for number in range(1, 12)]
)
_REVOKED = frozenset({"A29", "A37"})  # a person's record is deleted, or two that were linked are of two persons after all
_OF_A_VISIT = frozenset({"MDM", "ORU", "BAR"})  # nothing can be done with one that names no visit
_TEST_IDS = frozenset({"T", "D"})  # MSH-11: training and debugging (table 0103)
VISIT_KEYS = frozenset({"PV1-19", "PID-18", "PV1-50"})
ANSWERED = "MSA-2"  # the control id of the message that an answer is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a clinic's messages are sorted at the door. `charges_from`: message codes besides DFT whose FT1 bills."""

    charset: str | None = None
    charges_from: frozenset[str] = frozenset()
    answers_only: bool = False  # a biller's door: whatever is no answer to us is recorded and never becomes a visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """Who sent it, what it is, what becomes of it, and where it is found: (path, value) pairs."""

    sender: str = ""
    facility: str = ""
    control_id: str = ""
    kind: str = ""
    state: str = TAKEN
    reason: str = ""
    remarks: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    message: Message | None = field(default=None, repr=False)


def envelope_of(raw: bytes, rules: Rules) -> Envelope:
    """Read a message as far as the inbox needs it. Damage is a state, never an exception."""
    try:
        message = Message.parse(raw, rules.charset)
    except RecordError as error:
        return Envelope(state=DAMAGED, reason=str(error))
    header = message.header
    code, trigger = message.code, message.trigger
    kind = f"{code}^{trigger}"
    keys = tuple(dict.fromkeys(_keys(message, code, trigger)))
    reason = _ignored(message, code, kind, keys, rules)
    control_id = message.control_id or ""
    damage = "" if control_id else "MSH-10: the control id is absent. Ask the sender to give every message one."
    remarks = [remark.code for remark in message.remarks]
    if not reason and message.segments("FT1") and code not in CHARGES and code not in rules.charges_from:
        remarks.append("charges-not-enabled")
    return Envelope(
        sender=header.value(3) or "",
        facility=header.value(4) or "",
        control_id=control_id,
        kind=kind,
        state=DAMAGED if damage else IGNORED if reason else TAKEN,
        reason=damage or reason,
        remarks=tuple(dict.fromkeys(remarks)),
        keys=keys,
        message=message,
    )


def _ignored(message: Message, code: str, kind: str, keys: tuple[tuple[str, str], ...], rules: Rules) -> str:
    """Why a whole message is only recorded and counted; empty when it is taken. Never patient data."""
    if code == "ACK":
        return "" if any(path == ANSWERED for path, _ in keys) else "an answer to nothing"
    if rules.answers_only:
        return "not an answer"
    processing = (message.header.value(11) or "").upper()
    if processing in _TEST_IDS:
        return f"processing id {processing}"
    if code in MAY_CHARGE and code in rules.charges_from and message.segments("FT1"):
        return ""
    if kind not in _HANDLED:
        return f"charges in {code}" if message.segments("FT1") else "type"
    if code in _OF_A_VISIT and not any(path in VISIT_KEYS for path, _ in keys):
        return "no visit"
    return ""


def _keys(message: Message, code: str, trigger: str) -> Iterator[tuple[str, str]]:
    """Every (path, value) under which the message is looked for; each segment is asked once."""
    if code == "ACK":
        for segment in message.segments("MSA")[:1]:
            yield from _plain(segment, 2)
        return
    patients: list[str] = []
    for segment in message.segments("PID")[:1]:
        patients = _identifiers(segment, 3)
        yield from (("PID-3", value) for value in patients)
        yield from _plain(segment, 18)
    visits = message.segments("PV1")[:1]
    for segment in visits:
        yield from _plain(segment, 19, 50)
    for segment in message.segments("SCH")[:1]:
        yield from _plain(segment, 1, 2)
    separator, last = message.delimiters.separator, ""
    for segment in message.segments("FT1"):  # of each charge only its start is split: many stand in a message, most of one day
        written = segment.text.split(separator, 5)[4:5]
        if written and written[0] != last and (day := civil_day(last := written[0])):
            yield "FT1-4", day
    if code == "ADT" and trigger in _REVOKED:
        for segment in message.segments("PID"):  # an A37 names both
            yield from (("revoked", value) for value in _identifiers(segment, 3))
    elif code == "ADT":
        yield from _of_person(message, trigger, patients, bool(visits) and visits[0].value(19) is not None)
    if code in ("ADT", "SIU") and (day := due_day(message, code, trigger)):
        yield "due", day


def _plain(segment: Segment, *positions: int) -> Iterator[tuple[str, str]]:
    for position in positions:
        value = segment.value(position)
        if value is not None:
            yield f"{segment.name}-{position}", value


def _of_person(message: Message, trigger: str, patients: list[str], of_visit: bool) -> Iterator[tuple[str, str]]:
    """Who is left after a merge (`survivor`), and whose own facts it brings, of no one visit (`person`)."""
    merged = message.segments("MRG")
    for segment in merged:
        yield from (("MRG-1", value) for value in _identifiers(segment, 1))
        yield from _plain(segment, 3, 5)
    if merged:
        yield from (("survivor", value) for value in patients)
    elif trigger in ("A28", "A31") or not of_visit:
        yield from (("person", value) for value in patients)


def _identifiers(segment: Segment, position: int) -> list[str]:
    """Each identifier with its assigning authority, which keeps patient 7 of one clinic apart from patient 7 of another."""
    leaf = segment.leaf
    return [
        f"{value}|{leaf(repetition, 4) or ''}"
        for repetition in segment.repetitions(position)
        if (value := leaf(repetition)) is not None
    ]


def due_day(message: Message, code: str, trigger: str) -> str:
    """The civil day (`2026-03-04`) on which a booked or registered visit takes place; empty for other messages."""
    if code == "SIU":
        paths: tuple[str, ...] = ("SCH-11.4", "TQ1-7", "AIS-4", "AIL-6", "AIP-6", "AIG-8")
    elif trigger in ("A01", "A04", "A05"):
        paths = ("PV1-44", "EVN-2", "MSH-7")
    else:
        return ""
    return next((day for path in paths if (day := civil_day(message.get(path)))), "")


@lru_cache(maxsize=4096)
def civil_day(written: str | None) -> str:
    """`20260304…` as `2026-03-04`, the day as written, without any shift of zone; empty when it is no such day."""
    digits = (written or "")[:8]
    if len(digits) != 8 or not digits.isdecimal() or not ("01" <= digits[4:6] <= "12" and "01" <= digits[6:8] <= "31"):
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
