"""What a receiver says of the form of our files: TA1 (the interchange) and 999 005010X231A1 (group, transaction, segment)."""

from __future__ import annotations

from dataclasses import dataclass, field

from ptbridge.errors import RecordError
from ptbridge.wire.x12 import Segment, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class InterchangeAcknowledgement:
    """TA1: `control` is the ISA13 that it answers; `verdict` A accepted, E accepted with errors, R rejected."""

    control: str
    verdict: str
    note: str  # TA105, 000 to 031


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionVerdict:
    """One AK2 loop of a 999: `verdict` A, E, M, R, W, X; `errors` as `IK3-04:8 segment SV1 22` and `IK4-03:7 element 2`."""

    control: str  # ST02 of what it answers
    verdict: str
    codes: tuple[str, ...] = ()  # IK5-02 to 06
    errors: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # (code, where)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAcknowledgement:
    """One 999: `control` is the GS06 that it answers, `verdict` AK901: A, E, P (partly), R, and M, W, X."""

    kind: str  # AK101: HC for claims
    control: str
    verdict: str
    codes: tuple[str, ...]  # AK905 to 09
    transactions: tuple[TransactionVerdict, ...]


def read_ta1(segment: Segment) -> InterchangeAcknowledgement:
    """One TA1. Raises RecordError for one without control number or verdict."""
    if segment.get(4) not in ("A", "E", "R") or not segment.get(1):
        raise RecordError("names no interchange, or no verdict.", where="TA1")
    return InterchangeAcknowledgement(control=segment.get(1), verdict=segment.get(4), note=segment.get(5))


def read_999(transaction: Transaction) -> GroupAcknowledgement:
    """One 999. Raises RecordError where the group or a verdict cannot be told."""
    kind = control = verdict = ""
    group_codes: tuple[str, ...] = ()
    found: list[TransactionVerdict] = []
    open_control, errors = "", list[tuple[str, str]]()
    place = ""
    for segment in transaction.segments():
        match segment.id:
            case "AK1":
                kind, control = segment.get(1), segment.get(2)
            case "AK2":
                open_control, errors = segment.get(2), []
            case "IK3":
                place = f"{segment.get(3) or 'no loop'} {segment.get(1)} at segment {segment.get(2)}"
                errors.append((f"IK3-04:{segment.get(4)}", place))
            case "IK4":
                errors.append((f"IK4-03:{segment.get(3)}", f"{place}, element {_position(segment)}"))
            case "IK5":
                found.append(_verdict(open_control, segment, errors))
            case "AK9":
                verdict, group_codes = segment.get(1), _several(segment, 5)
    if not control or not verdict:
        raise RecordError("AK1 or AK9 is missing: it says of no group what became of it.", where=f"999 {transaction.control}")
    return GroupAcknowledgement(kind=kind, control=control, verdict=verdict, codes=group_codes, transactions=tuple(found))


def _verdict(control: str, ik5: Segment, errors: list[tuple[str, str]]) -> TransactionVerdict:
    if not control or not ik5.get(1):
        raise RecordError("IK5 without a verdict, or without the AK2 that it ends.", where=f"segment {ik5.place}")
    return TransactionVerdict(control=control, verdict=ik5.get(1), codes=_several(ik5, 2), errors=tuple(errors))


def _position(ik4: Segment) -> str:
    """IK4-01: element, and the part of a composite."""
    part = ik4.get(1, 2)
    return f"{ik4.get(1, 1)}-{part}" if part else ik4.get(1, 1)


def _several(segment: Segment, first: int) -> tuple[str, ...]:
    return tuple(code for at in range(first, first + 5) if (code := segment.get(at)))
