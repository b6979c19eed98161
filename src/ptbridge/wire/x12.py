"""X12 5010 files: interchanges, groups, transactions, segments. Nothing of a transaction's meaning.

    for interchange in interchanges(raw):
        for transaction in interchange.transactions():
            transaction.kind, transaction.control      # "277", "0001"
            for segment in transaction.segments(): segment.id, segment.get(1), segment.get(1, 2)

The separators are the ones that each interchange names in its ISA. Whatever the bytes, this ends in an answer or in a
RecordError that names the place by its number and never quotes what stands there. Time and memory are linear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ptbridge.errors import RecordError

MAX_BYTES = 64 << 20  # the largest remittance seen in the field has a tenth of it
_ISA_CHARACTERS = 106
_ISA_SEPARATORS = (3, 6, 17, 20, 31, 34, 50, 53, 69, 76, 81, 83, 89, 99, 101, 103)
_BETWEEN = " \t\r\n\x00\x1a\ufeff"  # what editors, line breaks and old transfer programs leave between segments
_NOT_WHOLE = "is not a whole X12 file"


@dataclass(frozen=True, slots=True)
class Separators:
    """One interchange's own: ISA element separator, ISA11, ISA16, and what ends a segment."""

    element: str
    repetition: str
    component: str
    segment: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; `place` counts from 1 in its transaction (the ST is 1), as IK3-02 and SE01 do."""

    id: str
    elements: tuple[str, ...] = field(repr=False)  # the id is elements[0]
    place: int
    component: str = field(default=":", repr=False)

    def get(self, element: int, part: int = 0) -> str:
        """An element, or a part of a composite, both counted from 1; empty when it is not there. Spaces around are cut."""
        text = self.elements[element] if element < len(self.elements) else ""
        if part:
            parts = text.split(self.component)
            text = parts[part - 1] if part <= len(parts) else ""
        return text.strip()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One ST to SE. `version` is ST03, or GS08 where there is no ST03."""

    kind: str
    control: str
    version: str
    group_date: str  # GS04, CCYYMMDD
    texts: tuple[str, ...] = field(repr=False)
    separators: Separators = field(repr=False)

    def segments(self) -> Iterator[Segment]:
        """All of it, the ST first."""
        for place, text in enumerate(self.texts, start=1):
            yield _segment(text, place, self.separators)


@dataclass(frozen=True, slots=True)
class Group:
    """One GS to GE."""

    code: str
    control: str
    transactions: tuple[Transaction, ...]


@dataclass(frozen=True, slots=True)
class Interchange:
    """One ISA to IEA; `said_at` is ISA09 and ISA10 as `2026-11-02T14:05`, empty when they are no time."""

    sender: str
    receiver: str
    control: str
    said_at: str
    groups: tuple[Group, ...]
    acknowledgements: tuple[Segment, ...] = field(repr=False)  # TA1 segments

    def transactions(self) -> Iterator[Transaction]:
        """Of all groups, in order."""
        for group in self.groups:
            yield from group.transactions


def interchanges(raw: bytes) -> list[Interchange]:
    """Every interchange of a file, each whole: counts and control numbers of all trailers agree with what is there.

    Raises RecordError: the file is no X12, is cut off, or contradicts itself. Then none of it counts.
    """
    if len(raw) > MAX_BYTES:
        raise RecordError(f"is larger than {MAX_BYTES} bytes.", where="file", fix="Ask for smaller files.")
    text = _decoded(raw)
    found: list[Interchange] = []
    at = _skip(text, 0)
    while at < len(text):
        one = _Reader(text, at, len(found) + 1)
        found.append(one.interchange())
        at = _skip(text, one.at)
    if not found:
        raise RecordError(f"{_NOT_WHOLE}: it is empty.", where="file")
    return found


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _segment(text: str, place: int, separators: Separators) -> Segment:
    elements = tuple(text.split(separators.element))
    return Segment(elements[0].strip(), elements, place, separators.component)


def separators_of(head: str) -> Separators | None:
    """The separators that an ISA of 106 characters names; None when it is none, or they cannot be told apart."""
    element = head[3:4]
    if len(head) < _ISA_CHARACTERS or not head.startswith("ISA") or any(head[at] != element for at in _ISA_SEPARATORS):
        return None
    found = Separators(element, head[82], head[104], head[105])
    distinct = {found.element, found.component, found.segment}
    if len(distinct) != 3 or any(one.isalnum() or one == " " for one in distinct):
        return None
    return found


class _Reader:
    """One interchange, segment by segment; `at` is where the next one begins."""

    def __init__(self, text: str, at: int, number: int) -> None:
        self._where = f"interchange {number}"
        separators = separators_of(text[at : at + _ISA_CHARACTERS])
        if separators is None:
            raise RecordError(f"{_NOT_WHOLE}: no ISA segment stands at its beginning.", where=self._where)
        self._text, self.at, self._separators = text, at, separators
        self._place = 0

    def interchange(self) -> Interchange:
        """Up to the IEA. Raises RecordError."""
        isa = self._next()
        acknowledgements: list[Segment] = []
        groups: list[Group] = []
        while (segment := self._next()).id != "IEA":
            if segment.id == "TA1" and not groups:
                acknowledgements.append(segment)
            elif segment.id == "GS":
                groups.append(self._group(segment))
            else:
                raise self._wrong("a segment stands where only GS, TA1 or IEA can")
        self._agree(segment, len(groups), isa.get(13))
        return Interchange(
            sender=isa.get(6),
            receiver=isa.get(8),
            control=isa.get(13),
            said_at=_time(isa.get(9), isa.get(10)),
            groups=tuple(groups),
            acknowledgements=tuple(acknowledgements),
        )

    def _group(self, gs: Segment) -> Group:
        transactions: list[Transaction] = []
        while (segment := self._next()).id != "GE":
            if segment.id != "ST":
                raise self._wrong("a segment stands where only ST or GE can")
            transactions.append(self._transaction(segment, gs))
        self._agree(segment, len(transactions), gs.get(6))
        return Group(gs.get(1), gs.get(6), tuple(transactions))

    def _transaction(self, st: Segment, gs: Segment) -> Transaction:
        texts = [self._separators.element.join(st.elements)]
        while True:
            text = self._text_of_next()
            name = text.split(self._separators.element, 1)[0].strip()
            if name in ("ST", "GE", "GS", "IEA", "ISA"):
                raise self._wrong(f"{name} stands inside a transaction that has no SE")
            texts.append(text)
            if name == "SE":
                break
        self._agree(_segment(text, 0, self._separators), len(texts), st.get(2))
        return Transaction(st.get(1), st.get(2), st.get(3) or gs.get(8), gs.get(4), tuple(texts), self._separators)

    def _agree(self, trailer: Segment, count: int, control: str) -> None:
        """A trailer counts what it ends and repeats its control number."""
        told, number = trailer.get(1), trailer.get(2)
        if not (told.isascii() and told.isdecimal() and len(told) < 12 and int(told) == count):
            raise self._wrong(f"{trailer.id} counts otherwise than the {count} that are there")
        if _bare(number) != _bare(control):
            raise self._wrong(f"{trailer.id} repeats another control number")

    def _next(self) -> Segment:
        return _segment(self._text_of_next(), self._place, self._separators)

    def _text_of_next(self) -> str:
        """The next segment that is not empty. Raises RecordError at the end of the text: the file is cut off."""
        while True:
            self._place += 1
            end = self._text.find(self._separators.segment, self.at)
            if end < 0:
                raise self._wrong("it ends before its IEA segment; a part is missing")
            text = self._text[self.at : end].strip(_BETWEEN)
            self.at = end + 1
            if text:
                return text

    def _wrong(self, what: str) -> RecordError:
        return RecordError(f"{_NOT_WHOLE}: {what}.", where=f"{self._where}, segment {self._place}", fix="Ask for it again.")


def _bare(number: str) -> str:
    return number.lstrip("0")


def _time(day: str, clock: str) -> str:
    """ISA09 (YYMMDD) and ISA10 (HHMM)."""
    date = iso_date(f"20{day}")
    if not date or len(clock) != 4 or not (clock.isascii() and clock.isdecimal()) or clock[:2] > "23" or clock[2:] > "59":
        return date
    return f"{date}T{clock[:2]}:{clock[2:]}"


def iso_date(text: str) -> str:
    """`20261102` as `2026-11-02`; empty when it is no date (the day of the month is not checked against the month)."""
    if len(text) != 8 or not (text.isascii() and text.isdecimal()):
        return ""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if "01" <= text[4:6] <= "12" and "01" <= text[6:] <= "31" else ""


_MOST_DIGITS = 13  # a hundred billion dollars is no claim


def cents(text: str) -> int | None:
    """An X12 amount (`60`, `-60.5`, `.75`) in cents; None when it is none. More than two decimals are none."""
    sign = -1 if text.startswith("-") else 1
    whole, _, part = text.removeprefix("-").removeprefix("+").partition(".")
    part = part.rstrip("0") if len(part) > 2 else part
    digits = whole + part
    if not (digits.isascii() and digits.isdecimal()) or len(part) > 2 or len(whole) > _MOST_DIGITS:
        return None
    return sign * (int(whole or "0") * 100 + int(part.ljust(2, "0")))
