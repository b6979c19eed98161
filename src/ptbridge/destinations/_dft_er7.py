"""ER7, the text form of HL7 v2 messages, written and taken apart: separators, escapes, fields by their number.

Taking apart is for messages that we wrote ourselves (a void is made from the bytes that the biller accepted); what others
send is read by `ptbridge.wire.hl7v2`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CR = "\r"
_CONTROLS = {chr(code): f"X{code:02X}" for code in (*range(0x20), 0x7F)}


@dataclass(frozen=True, slots=True)
class Er7:
    """One way to write: `separators` is MSH-1 and MSH-2 in one text. With `spaces`, a separator inside text becomes a blank."""

    separators: str
    spaces: bool = False
    _signs: dict[int, str] = field(init=False, repr=False, compare=False)
    _quote: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        field_sign, component, repetition, escape, subcomponent, *truncation = list(self.separators)
        names = {field_sign: "F", component: "S", repetition: "R", escape: "E", subcomponent: "T"}
        names |= dict.fromkeys(truncation, "P") | _CONTROLS
        signs = {sign: " " if self.spaces else f"{escape}{name}{escape}" for sign, name in names.items()}
        object.__setattr__(self, "_signs", str.maketrans(signs))
        object.__setattr__(self, "_quote", " " if self.spaces else f"{escape}X22{escape}")

    def text(self, value: object) -> str:
        """One value; None and empty stay empty. Separators and control characters, framing bytes among them, are escaped.

        A text of two quotation marks would be the order to delete the field (HL7 v2, chapter 2.5.3), so it is escaped too.
        """
        written = "" if value is None else str(value).translate(self._signs)
        return written.replace('"', self._quote, 1) if written == '""' else written

    def components(self, *parts: object) -> str:
        """A field of several components, each escaped; trailing empty ones are left out."""
        return self.joined(1, (self.text(part) for part in parts))

    def money(self, amount: str, currency: str | None) -> str:
        """A CP: the price's quantity, and its denomination when the receiver wants it."""
        return self.joined(4, (self.text(amount), self.text(currency)))

    def repeats(self, written: Iterable[str]) -> str:
        """Repetitions of a field, each already written."""
        return self.separators[2].join(written)

    def joined(self, sign: int, written: Iterable[str]) -> str:
        """Written parts joined by the separator at that place, trailing empty ones left out."""
        return self.separators[sign].join(written).rstrip(self.separators[sign])

    def segment(self, name: str, fields: Mapping[int, str]) -> str:
        """A segment from written fields by their number; those that are empty or absent stay empty."""
        last = max((number for number, written in fields.items() if written), default=0)
        return self.separators[0].join([name, *(fields.get(number, "") for number in range(1, last + 1))])

    def header(self, fields: Mapping[int, str]) -> str:
        """MSH (FHS, BHS), whose first two fields are the separators themselves."""
        first = self.separators[0]
        last = max(number for number, written in fields.items() if written)
        return first.join(["MSH", self.separators[1:], *(fields.get(number, "") for number in range(3, last + 1))])


@dataclass(frozen=True, slots=True)
class Line:
    """A segment of our own taken apart: `fields[0]` is its name, `fields[n]` field n (for MSH, field n is `fields[n - 1]`)."""

    fields: tuple[str, ...]

    @classmethod
    def read(cls, text: str, separator: str) -> Line:
        """From one segment's text."""
        return cls(tuple(text.split(separator)))

    @property
    def name(self) -> str:
        """FT1, PR1 …"""
        return self.fields[0]

    def get(self, number: int) -> str:
        """Field `number` as written; empty when the segment ends before it."""
        return self.fields[number] if number < len(self.fields) else ""

    def having(self, changes: Mapping[int, str]) -> Line:
        """The same segment with other fields; only fields that the segment has are changed."""
        return Line(tuple(changes.get(number, written) for number, written in enumerate(self.fields)))

    def written(self, separator: str) -> str:
        """As text again."""
        return separator.join(self.fields)


def lines_of(message: str) -> list[Line]:
    """The segments of a message that we wrote."""
    separator = message[3]
    return [Line.read(text, separator) for text in message.split(CR) if text]


def stamped(body: bytes, control_id: str) -> bytes:
    """The message with its control id in MSH-10, which stored bodies leave empty. Pure: same body and id, same bytes.

    The id is the submission's key, which the ledger stores beside the body before the first byte leaves: every repetition
    of a revision is the same bytes, and another revision of the same content has another id.
    """
    head, end, rest = body.partition(b"\r")
    separator = head[3:4]
    fields = head.split(separator)
    assert head.startswith(b"MSH") and not fields[9], "MSH-10 of a stored message is empty"
    fields[9] = control_id.encode("ascii")
    return separator.join(fields) + end + rest


def control_id_of(key: str) -> str:
    """MSH-10 for a submission's key: 20 characters, the most that versions before 2.7 allow; 80 bits of a SHA-256."""
    return re.sub(r"[^A-Za-z0-9-]", "-", key)[:20]
