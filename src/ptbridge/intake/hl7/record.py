"""The messages of one visit, parsed and in the order in which they were written, newest facts first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from ptbridge.errors import RecordError
from ptbridge.intake.hl7 import values
from ptbridge.intake.values import Unreadable
from ptbridge.model import SourceRecord
from ptbridge.wire.hl7_record import CHARGING, split_parts
from ptbridge.wire.hl7v2 import Group, Message, Segment

_FIRST = datetime.min.replace(tzinfo=UTC)
# What a line may take from the visit's other messages when its own has none. PR1, NTE and OBX are only ever a line's own.
_SHARED = frozenset(
    {"MSH", "EVN", "PID", "PD1", "PV1", "PV2", "DG1", "IN1", "IN2", "GT1", "SCH", "TXA", "AIS", "AIP", "AIL", "ACC"}
)


class Seen:
    """One message of the visit: what it is used for, and when it was written (MSH-7, else when the one before it was)."""

    __slots__ = ("at", "message", "seq", "use")

    def __init__(self, seq: int, use: str, message: Message, at: datetime) -> None:
        self.seq, self.use, self.message, self.at = seq, use, message, at

    @property
    def charges(self) -> bool:
        """True when its FT1 segments are charges."""
        return self.use in CHARGING


class VisitRecord:
    """All messages of a visit. `messages` are oldest first by MSH-7, then by arrival: an old message that comes late is old."""

    def __init__(self, record: SourceRecord, zone: ZoneInfo) -> None:
        payload = split_parts(record.payload)
        self.only_day = payload.only_day
        at, found = _FIRST, list[Seen]()
        for part in payload.parts:
            message = _parsed(part.raw, part.charset)
            at = (_written_at(message, zone) or at) if len(payload.parts) > 1 else at  # only their order asks for it
            found.append(Seen(part.seq, part.use, message, at))
        if len(found) > 1:
            found.sort(key=lambda seen: seen.at)
        self.messages = found
        newest = found[::-1]
        own = [seen.message for seen in newest if seen.use in ("facts", "charges", "snapshot", "early")]
        self.layers = own + [seen.message for seen in newest if seen.use == "person"]
        self._found: dict[str, list[Sequence[Segment]]] = {}
        self.charging_only = [seen.message for seen in newest if seen.charges]
        self.charging_first = self.charging_only + [message for message in self.layers if message not in self.charging_only]

    def segments(self, name: str) -> Sequence[Sequence[Segment]]:
        """The segments of that name of each message that has any, newest first, the visit's own before the patient's."""
        found = self._found.get(name)
        if found is None:
            messages = self.charging_only if name == "FT1" else self.layers
            found = self._found[name] = [one for message in messages if (one := message.segments(name))]
        return found

    def texts(self, names: Iterable[str]) -> tuple[tuple[object, ...], ...]:
        """The segments of those names as they stand, message by message: what a memory of their meaning goes by."""
        return tuple(
            [
                (
                    message in self.charging_only,
                    message.delimiters.declared,
                    *[one.text for name in names for one in message.segments(name)],
                )
                for message in self.layers
            ]
        )

    def merges(self) -> list[Seen]:
        """Messages that say that one patient's record went into another's, oldest first."""
        return [seen for seen in self.messages if seen.use in ("merge", "late-merge")]


LENGTH = 44  # of a line's row: FT1 has 43 fields in v2.8.2. What a mapping asks for beyond is not read by the row


class LineScope:
    """What a charge line may read: its own group, then what is shared of its message, then the visit's other messages.

    `row` are the fields of its FT1 as they stand, `LENGTH` at least, with the declared delimiters for its name: what is equal
    in the rows of two lines says the same. `procedures` are its PR1 segments.
    """

    __slots__ = ("group", "procedures", "record", "row")

    def __init__(self, group: Group, record: VisitRecord) -> None:
        self.group, self.record = group, record
        self.row = group.head.keyed_row(LENGTH)
        self.procedures = group.segments("PR1")

    def segments(self, name: str) -> Sequence[Sequence[Segment]]:
        """The segments of that name, nearest first."""
        if name == "FT1":
            return [[self.group.head]]
        own = self.group.in_scope(name)
        return [own] if own else self.record.segments(name) if name in _SHARED else ()


class SegmentScope:
    """What an item of a group reads: the segment itself (an IN1) and those under it, then the visit's messages."""

    __slots__ = ("message", "record", "segment")

    def __init__(self, segment: Segment, message: Message, record: VisitRecord) -> None:
        self.segment, self.message, self.record = segment, message, record

    def segments(self, name: str) -> Sequence[Sequence[Segment]]:
        """The segments of that name, nearest first."""
        if name == self.segment.name:
            return [[self.segment]]
        under = [one for one in self.message.segments(name) if self.message.owner(one) is self.segment]
        return [under] if under else () if name in ("IN2", "IN3") else self.record.segments(name)


Scope = VisitRecord | LineScope | SegmentScope


def _parsed(raw: bytes, charset: str | None) -> Message:
    try:
        return Message.parse(raw, charset)
    except ValueError:
        raise RecordError(
            "the character set is not known.", where="payload", fix="Set source.options.charset to a name of HL7 table 0211."
        ) from None


def _written_at(message: Message, zone: ZoneInfo) -> datetime | None:
    written = message.header.value(7)
    try:
        return values.instant(written, zone).astimezone(UTC) if written else None
    except Unreadable:
        return None
