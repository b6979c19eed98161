"""What the inbox must know of a message to store, answer and find it again. Nothing is believed here, only looked up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ptbridge.errors import RecordError
from ptbridge.wire.hl7v2 import Message

TAKEN, IGNORED, DAMAGED = "taken", "ignored", "damaged"

CHARGES = frozenset({"DFT"})
MAY_CHARGE = frozenset({"ORM", "OMG", "OML", "ORU", "RDE", "RDS"})  # FT1 is allowed in them; each bills only if enabled
_ADT = (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 18, 23, 27, 28, 31, 34, 35, 36, 38, 40, 41, 42, 43, 45, 47, 50)
_HANDLED = frozenset(
    [f"ADT^A{number:02}" for number in _ADT]
    + ["DFT^P03", "DFT^P11", "BAR^P01", "BAR^P05", "BAR^P12", "ORU^R01"]
    + [f"SIU^S{number}" for number in (12, 13, 14, 15, 16, 17, 26)]
    + [f"MDM^T{number:02}" for number in range(1, 12)]
)
_OF_A_VISIT = frozenset({"MDM", "ORU", "BAR"})  # nothing can be done with one that names no visit
_TEST_IDS = frozenset({"T", "D"})  # MSH-11: training and debugging (table 0103)
_PLAIN_KEYS = ("PV1-19", "PID-18", "PV1-50", "SCH-1", "SCH-2", "MRG-3", "MRG-5")
VISIT_KEYS = frozenset({"PV1-19", "PID-18", "PV1-50"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a clinic's messages are sorted at the door. `charges_from`: message codes besides DFT whose FT1 bills."""

    charset: str | None = None
    charges_from: frozenset[str] = frozenset()


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
    kind = f"{message.code}^{message.trigger}"
    keys = tuple(dict.fromkeys(_keys(message)))
    reason = _ignored(message, kind, keys, rules)
    damage = "" if message.control_id else "MSH-10: the control id is absent. Ask the sender to give every message one."
    remarks = [remark.code for remark in message.remarks]
    if not reason and message.segments("FT1") and message.code not in CHARGES | rules.charges_from:
        remarks.append("charges-not-enabled")
    return Envelope(
        sender=header.value(3) or "",
        facility=header.value(4) or "",
        control_id=message.control_id or "",
        kind=kind,
        state=DAMAGED if damage else IGNORED if reason else TAKEN,
        reason=damage or reason,
        remarks=tuple(dict.fromkeys(remarks)),
        keys=keys,
        message=message,
    )


def _ignored(message: Message, kind: str, keys: tuple[tuple[str, str], ...], rules: Rules) -> str:
    """Why a whole message is only recorded and counted; empty when it is taken. Never patient data."""
    code = message.code
    processing = (message.get("MSH-11") or "").upper()
    if processing in _TEST_IDS:
        return f"processing id {processing}"
    if code in MAY_CHARGE and code in rules.charges_from and message.segments("FT1"):
        return ""
    if kind not in _HANDLED:
        return f"charges in {code}" if message.segments("FT1") else "type"
    if code in _OF_A_VISIT and not any(path in VISIT_KEYS for path, _ in keys):
        return "no visit"
    return ""


def _keys(message: Message) -> Iterator[tuple[str, str]]:
    for path in _PLAIN_KEYS:
        segments = message.segments(path[:3])
        value = segments[0].value(int(path[4:])) if segments else None
        if value is not None:
            yield path, value
    for name in ("PID", "MRG"):
        for segment in message.segments(name):
            yield from _patient_keys(message, name, 3 if name == "PID" else 1, segment.number)
    if message.code == "ADT":
        yield from _person_keys(message)
    for charge in message.segments("FT1"):
        if day := civil_day(charge.value(4)):
            yield "FT1-4", day
    if day := due_day(message):
        yield "due", day


def _person_keys(message: Message) -> Iterator[tuple[str, str]]:
    """Who is left after a merge (`survivor`); whose own facts it brings, of no one visit (`person`)."""
    if not message.segments("PID"):
        return
    about_patient = [value for _, value in _patient_keys(message, "PID", 3, 1)]
    if message.segments("MRG"):
        yield from (("survivor", value) for value in about_patient)
    elif message.trigger in ("A28", "A31") or message.get("PV1-19") is None:
        yield from (("person", value) for value in about_patient)


def _patient_keys(message: Message, name: str, position: int, number: int) -> Iterator[tuple[str, str]]:
    """Each identifier with its assigning authority, which keeps patient 7 of one clinic apart from patient 7 of another."""
    segment = message.segments(name)[number - 1]
    for repetition in segment.repetitions(position):
        value = segment.leaf(repetition, 1)
        if value is not None:
            yield f"{name}-{position}", f"{value}|{segment.leaf(repetition, 4) or ''}"


def due_day(message: Message) -> str:
    """The civil day (`2026-03-04`) on which a booked or registered visit takes place; empty for other messages."""
    if message.code == "SIU":
        paths: tuple[str, ...] = ("SCH-11.4", "TQ1-7", "AIS-4", "AIL-6", "AIP-6", "AIG-8")
    elif message.code == "ADT" and message.trigger in ("A01", "A04", "A05"):
        paths = ("PV1-44", "EVN-2", "MSH-7")
    else:
        return ""
    return next((day for path in paths if (day := civil_day(message.get(path)))), "")


def civil_day(written: str | None) -> str:
    """`20260304…` as `2026-03-04`, the day as written, without any shift of zone; empty when it is no such day."""
    digits = (written or "")[:8]
    if len(digits) != 8 or not digits.isdecimal() or not ("01" <= digits[4:6] <= "12" and "01" <= digits[6:8] <= "31"):
        return ""
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
