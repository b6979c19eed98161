"""One segment: fields, repetitions, components and sub-components, split only when somebody asks.

Positions count from 1 as in the standard; in MSH, FHS and BHS field 1 is the separator itself. A value that was not sent
and the HL7 null (two quotation marks) both read as None: null is an order to delete, never a value. `is_null` tells them
apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptbridge.wire.hl7_delimiters import Delimiters

if TYPE_CHECKING:
    from collections.abc import Iterator

NULL = '""'
HEADERS = frozenset({"MSH", "FHS", "BHS"})


class Segment:
    """One line of a message: `name` (FT1), `number` (which FT1, from 1), `line` (from 1), `text` as it stands."""

    __slots__ = ("_fields", "delimiters", "index", "line", "name", "number", "text")
    _shift = 0  # 1 in a header, whose field 1 is the separator itself

    def __init__(self, text: str, name: str, number: int, line: int, index: int, delimiters: Delimiters) -> None:
        self.text = text
        self.name = name
        self.number = number
        self.line = line
        self.index = index
        self.delimiters = delimiters
        self._fields: list[str] | None = None

    def __repr__(self) -> str:
        return f"<Segment {self.label} on line {self.line}, {len(self.text)} characters>"

    @property
    def label(self) -> str:
        """`FT1[2]`: how errors name this segment."""
        return f"{self.name}[{self.number}]"

    @property
    def is_header(self) -> bool:
        """True for MSH, FHS and BHS."""
        return self._shift == 1

    @property
    def field_count(self) -> int:
        """The number of the last field that is on the line, empty or not."""
        return len(self._split()) - 1 + self._shift

    def field(self, position: int) -> str:
        """The whole field as it stands, escapes not decoded; empty when it was not sent."""
        fields = self._fields or self._split()
        place = position - self._shift
        if place <= 0:
            return self.delimiters.separator if self._shift and position == 1 else ""
        return fields[place] if place < len(fields) else ""

    def row(self, length: int) -> list[str]:
        """All fields as they stand, `length` at least: those after the last one on the line are empty. Not of a header."""
        assert not self._shift
        fields = self._fields or self._split()
        return fields if len(fields) >= length else fields + [""] * (length - len(fields))

    def keyed_row(self, length: int) -> list[str]:
        """The same, with the declared delimiters in place of the name: what is equal in two such rows says the same."""
        fields = self._fields or self._split()
        row = fields + [""] * (length - len(fields))
        row[0] = self.delimiters.declared
        return row

    def repetitions(self, position: int) -> list[str]:
        """Each repetition as it stands, in order; empty ones stay, an absent field gives an empty list."""
        whole = self.field(position)
        repetition = self.delimiters.repetition
        if not whole:
            return []
        if repetition is None or repetition not in whole or self._is_delimiters(position):
            return [whole]
        return whole.split(repetition)

    def value(self, position: int, component: int = 1, subcomponent: int = 1, repetition: int = 1) -> str | None:
        """One decoded value; None when it is absent or null. Without numbers: the first, as an older receiver reads."""
        place = position - self._shift
        fields = self._fields or self._split()
        if place >= len(fields):
            return None
        whole = fields[place]
        first = component == subcomponent == repetition == 1
        if whole.isalnum() and place > 0:  # no delimiter is a letter or digit: most codes, dates and numbers are read here
            return whole if first else None
        if place < 1 or (self._shift and place == 1):
            return self._of_header(position)
        if not first:
            found = self.repetitions(position)
            return self.leaf(found[repetition - 1], component, subcomponent) if repetition <= len(found) else None
        marks = self.delimiters
        for mark in marks.cuts:
            if mark in whole:
                whole = whole.partition(mark)[0]
        if not whole or whole == NULL:
            return None
        return marks.unescape(whole) if marks.escape is not None and marks.escape in whole else whole

    def values(self, position: int, component: int = 1, subcomponent: int = 1) -> tuple[str, ...]:
        """The decoded value of each repetition, in order, without the absent and null ones."""
        whole = self.field(position)
        if whole.isalnum():
            return (whole,) if component == subcomponent == 1 else ()
        found = (self.leaf(one, component, subcomponent) for one in self.repetitions(position))
        return tuple([value for value in found if value is not None])

    def leaf(self, repetition: str, component: int = 1, subcomponent: int = 1) -> str | None:
        """One decoded value inside a repetition as `repetitions` gave it; None when it is absent or null."""
        if component == subcomponent == 1 and repetition.isalnum():
            return repetition
        marks = self.delimiters
        if (mark := marks.component) is not None and mark in repetition:
            repetition = _part(repetition, mark, component)
            if subcomponent == 1 and repetition.isalnum():
                return repetition
        elif component != 1:
            return None
        if subcomponent == 1:
            return self._of_component(repetition)
        if (mark := marks.subcomponent) is None or mark not in repetition:
            return None
        return self._decoded(_part(repetition, mark, subcomponent))

    def leaves(self, repetition: str, count: int) -> list[str | None]:
        """The first `count` components as `leaf` gives each, split once."""
        mark = self.delimiters.component
        parts = repetition.split(mark, count)[:count] if mark is not None else [repetition]
        found = [self._of_component(part) for part in parts]
        return found + [None] * (count - len(found))

    def whole(self, part: str) -> str | None:
        """A part decoded with its delimiters left in place: for free text, where an unescaped `&` is only a character."""
        return self._decoded(part)

    def is_null(self, position: int, component: int = 1, subcomponent: int = 1) -> bool:
        """True when the sender orders this value deleted: the part, or the field around it, is two quotation marks."""
        if NULL not in self.field(position):
            return False
        whole = next(iter(self.repetitions(position)), "")
        marks = self.delimiters
        for mark, wanted in ((marks.component, component), (marks.subcomponent, subcomponent)):
            if whole == NULL:
                return True
            parts = whole.split(mark, wanted) if mark is not None else [whole]
            whole = parts[wanted - 1] if wanted <= len(parts) else ""
        return whole == NULL

    def parts(self, repetition: str) -> Iterator[tuple[int, int, str]]:
        """(component, sub-component, text as it stands) of every leaf of a repetition, empty ones included."""
        marks = self.delimiters
        components = repetition.split(marks.component) if marks.component else [repetition]
        for number, component in enumerate(components, 1):
            subcomponents = component.split(marks.subcomponent) if marks.subcomponent else [component]
            for inner, leaf in enumerate(subcomponents, 1):
                yield number, inner, leaf

    def _of_component(self, text: str) -> str | None:
        """The first sub-component of a component."""
        if text.isalnum():
            return text
        mark = self.delimiters.subcomponent
        return self._decoded(text.partition(mark)[0] if mark is not None else text)

    def _decoded(self, text: str) -> str | None:
        if not text or text == NULL:
            return None
        escape = self.delimiters.escape
        return self.delimiters.unescape(text) if escape is not None and escape in text else text

    def _of_header(self, position: int) -> str | None:
        """MSH-1 and MSH-2, which are the delimiters and hold none."""
        if not self._shift:
            return None
        return self.delimiters.separator if position == 1 else self.delimiters.declared or None

    def _is_delimiters(self, position: int) -> bool:
        return self._shift == 1 and position <= 2

    def _split(self) -> list[str]:
        if self._fields is None:
            self._fields = self.text.split(self.delimiters.separator)
        return self._fields


class HeaderSegment(Segment):
    """MSH, FHS or BHS: field 1 is the separator itself."""

    __slots__ = ()
    _shift = 1


def _part(text: str, mark: str, wanted: int) -> str:
    if wanted == 1:
        return text.partition(mark)[0]
    parts = text.split(mark, wanted)
    return parts[wanted - 1] if wanted <= len(parts) else ""
