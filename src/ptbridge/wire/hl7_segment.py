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

    __slots__ = ("_fields", "_shift", "charset", "delimiters", "index", "line", "name", "number", "text")

    def __init__(
        self, text: str, delimiters: Delimiters, charset: str, *, number: int = 1, line: int = 1, index: int = 0
    ) -> None:
        self.text = text
        self.name = text[:3]
        self.number, self.line, self.index = number, line, index
        self.delimiters, self.charset = delimiters, charset
        self._fields: list[str] | None = None
        self._shift = 1 if self.name in HEADERS else 0

    def __repr__(self) -> str:
        return f"<Segment {self.label} on line {self.line}, {len(self.text)} characters>"

    @property
    def label(self) -> str:
        """`FT1[2]`: how errors name this segment."""
        return f"{self.name}[{self.number}]"

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
        fields = self._fields or self._split()
        place = position - self._shift
        if place < 1 or place >= len(fields):
            return self.delimiters.separator if place == 0 and self._shift else None
        whole = fields[place]
        if not whole or whole == NULL:
            return None
        if self._shift and position == 2:
            return whole
        mark = self.delimiters.repetition
        if mark is not None and mark in whole:
            parts = whole.split(mark, repetition)
            whole = parts[repetition - 1] if repetition <= len(parts) else ""
        elif repetition != 1:
            return None
        return self.leaf(whole, component, subcomponent)

    def leaf(self, repetition: str, component: int = 1, subcomponent: int = 1) -> str | None:
        """One decoded value inside a repetition as `repetitions` gave it; None when it is absent or null."""
        marks = self.delimiters
        for mark, wanted in ((marks.component, component), (marks.subcomponent, subcomponent)):
            if mark is not None and mark in repetition:
                parts = repetition.split(mark, wanted)
                repetition = parts[wanted - 1] if wanted <= len(parts) else ""
            elif wanted != 1:
                return None
        return self._decoded(repetition)

    def whole(self, part: str) -> str | None:
        """A part decoded with its delimiters left in place: for free text, where an unescaped `&` is only a character."""
        return self._decoded(part)

    def is_null(self, position: int, component: int = 1, subcomponent: int = 1) -> bool:
        """True when the sender orders this value deleted: the part, or the field around it, is two quotation marks."""
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

    def _decoded(self, text: str) -> str | None:
        if not text or text == NULL:
            return None
        escape = self.delimiters.escape
        return self.delimiters.unescape(text, self.charset) if escape is not None and escape in text else text

    def _is_delimiters(self, position: int) -> bool:
        return self._shift == 1 and position <= 2

    def _split(self) -> list[str]:
        if self._fields is None:
            self._fields = self.text.split(self.delimiters.separator)
        return self._fields
