"""Paths into HL7 v2 messages, spelled as the standard spells them.

    FT1-7               field 7 of the first FT1: its first repetition, component and sub-component
    FT1-7.1  FT1-11.1.2 component; sub-component
    FT1-26[*]           every repetition (`get_all`); the first that is present (`get`)
    FT1-19[2].1         the second repetition
    FT1[2]-4  DG1[*]-3  the second FT1; every DG1
    PID-3[authority=X]  the repetition whose assigning authority (any part of it) is X; also [type=MR]
    PID-3[5=MR].1       the repetition whose component 5 is MR; [4.2=…] for a sub-component
    OBX[3=MINUTES]-5    the OBX whose field 3 is MINUTES; [3.2=…] for a component
    ZFT-3               Z segments are like any other

A field without a component is its first leaf, as HL7 asks of a receiver whose version had a simpler type there, with one
exception: NTE-3, and OBX-5 where OBX-2 is TX, FT or ST, are text, and an unescaped `^` or `&` in them is only a character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ptbridge.wire.hl7_segment import Segment

MAX_LENGTH = 200

_SHAPE = re.compile(
    r"(?P<segment>[A-Z][A-Z0-9]{2})(?P<which>(?:\[[^\[\]]+\])*)"
    r"-(?P<field>[1-9][0-9]{0,2})(?P<repetition>(?:\[[^\[\]]+\])*)"
    r"(?:\.(?P<component>[1-9][0-9]{0,2})(?:\.(?P<subcomponent>[1-9][0-9]{0,2}))?)?"
)
_PART = re.compile(r"([1-9][0-9]{0,2})(?:\.([1-9][0-9]{0,2}))?")
_EXAMPLES = "Examples: FT1-7.1, FT1-26[*], PID-3[authority=CLINIC].1, OBX[3=MINUTES]-5."

# Where the assigning authority (HD) and the identifier type stand: CX-4/CX-5, XCN-9/XCN-13, XON-6/XON-7, EI-2 (v2.8.2 2A).
# A field that is not listed is read as CX. tests/unit/hl7/test_paths.py compares this with hl7apy's tables.
_XCN = {
    "EVN": (5,),
    "FT1": (20, 21, 24),
    "PR1": (8, 11, 12),
    "PV1": (7, 8, 9, 17, 52),
    "PV2": (13,),
    "DG1": (16,),
    "OBR": (10, 16, 28),
    "OBX": (16,),
    "ORC": (10, 11, 12, 19),
    "ROL": (4,),
    "PD1": (4,),
    "TXA": (5, 9, 10, 11, 22),
    "AIP": (3,),
    "SCH": (12, 16, 20),
}
_XON = {"PD1": (3,), "IN1": (4, 11), "FT1": (32, 33), "GT1": (21, 51), "ORC": (21,), "OBX": (23,)}
_EI = {"FT1": (23,), "OBR": (2, 3), "ORC": (2, 3, 4), "SCH": (1, 2), "TXA": (12, 13, 14, 15)}
_TEXTS = {("OBX", 5), ("NTE", 3)}


class PathSyntaxError(ValueError):
    """The path is not one that `compile_path` reads; the message says where."""


@dataclass(frozen=True, slots=True)
class Selector:
    """One bracket: `number` (0 for `*`), or the part that must equal `value` (`subcomponent` 0: any of them)."""

    number: int = 0
    part: int = 0
    subcomponent: int = 1
    value: str = ""


@dataclass(frozen=True, slots=True)
class SegmentPath:
    """A compiled path. It is applied to the segments of its name, from a message or from a group."""

    text: str
    segment: str
    field: int
    component: int = 1
    subcomponent: int = 1
    which: tuple[Selector, ...] = ()
    repetition: tuple[Selector, ...] = ()
    names_component: bool = False
    plain: bool = False  # no brackets and not free text: `Segment.value` with the three numbers gives the answer
    every_repetition: bool = False  # `[*]` on the field and nothing else: `Segment.values` gives the answer

    def first(self, segments: Sequence[Segment]) -> str | None:
        """The first value that is present, or None. Without brackets only the first segment and repetition are looked at."""
        if self.plain:
            return segments[0].value(self.field, self.component, self.subcomponent) if segments else None
        return next(self._values(segments), None)

    def every(self, segments: Sequence[Segment]) -> tuple[str, ...]:
        """All values that are present, in order."""
        if self.every_repetition:
            return segments[0].values(self.field, self.component, self.subcomponent) if segments else ()
        return tuple(self._values(segments))

    def is_null(self, segments: Sequence[Segment]) -> bool:
        """True when the first segment that the path names holds the HL7 null there."""
        found = next(self._chosen(segments), None) if self.which else segments[0] if segments else None
        return found is not None and found.is_null(self.field, self.component, self.subcomponent)

    def _values(self, segments: Sequence[Segment]) -> Iterator[str]:
        for segment in self._chosen(segments):
            text = self._is_text(segment)
            for repetition in self._repetitions(segment):
                value = segment.whole(repetition) if text else segment.leaf(repetition, self.component, self.subcomponent)
                if value is not None:
                    yield value

    def _chosen(self, segments: Sequence[Segment]) -> Iterator[Segment]:
        found: Sequence[Segment] = segments
        for selector in self.which:
            if selector.part:
                found = [one for one in found if one.value(selector.part, selector.subcomponent or 1) == selector.value]
            elif selector.number:
                found = found[selector.number - 1 : selector.number]
        return iter(found if self.which else found[:1])

    def _repetitions(self, segment: Segment) -> Sequence[str]:
        found: Sequence[str] = segment.repetitions(self.field)
        if not self.repetition:
            return found[:1] if not self._is_text(segment) or not found else (segment.field(self.field),)
        for selector in self.repetition:
            if selector.part:
                found = [one for one in found if _matches(segment, one, selector)]
            elif selector.number:
                found = found[selector.number - 1 : selector.number]
        return found

    @property
    def is_first(self) -> bool:
        """Whether it asks for the first value of a field, with no bracket: a field of letters and digits is that value."""
        return self.plain and self.component == self.subcomponent == 1

    @property
    def is_text(self) -> bool:
        """Whether it may lead to free text, whose delimiters are only characters."""
        return (self.segment, self.field) in _TEXTS

    def _is_text(self, segment: Segment) -> bool:
        if self.names_component:
            return False
        if self.segment == "OBX" and self.field == 5:
            return segment.value(2) in ("TX", "FT", "ST")
        return self.segment == "NTE" and self.field == 3


def _matches(segment: Segment, repetition: str, selector: Selector) -> bool:
    if selector.subcomponent:
        return segment.leaf(repetition, selector.part, selector.subcomponent) == selector.value
    return any(segment.leaf(repetition, selector.part, inner) == selector.value for inner in (1, 2, 3))


@lru_cache(maxsize=4096)
def compile_path(text: str) -> SegmentPath:
    """Read a path. Raises PathSyntaxError with the reason and examples."""
    shape = _SHAPE.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if shape is None:
        raise PathSyntaxError(f"`{text[:MAX_LENGTH]}` is not an HL7 v2 path. {_EXAMPLES}")
    segment, field = shape["segment"], int(shape["field"])
    return SegmentPath(
        text=text,
        segment=segment,
        field=field,
        component=int(shape["component"] or 1),
        subcomponent=int(shape["subcomponent"] or 1),
        which=tuple(_selector(inner, text) for inner in _brackets(shape["which"])),
        repetition=tuple(_selector(inner, text, segment, field) for inner in _brackets(shape["repetition"])),
        names_component=shape["component"] is not None,
        plain=not shape["which"] and not shape["repetition"] and (segment, field) not in _TEXTS,
        every_repetition=not shape["which"] and shape["repetition"] == "[*]" and (segment, field) not in _TEXTS,
    )


def _brackets(text: str) -> list[str]:
    return text[1:-1].split("][") if text else []


def _selector(inner: str, path: str, segment: str = "", field: int = 0) -> Selector:
    if inner == "*":
        return Selector()
    if inner.isascii() and inner.isdigit() and int(inner):
        return Selector(number=int(inner))
    name, equals, value = inner.partition("=")
    part = _PART.fullmatch(name)
    if equals and value and part:
        return Selector(part=int(part[1]), subcomponent=int(part[2] or 1), value=value)
    if equals and value and field and name in ("authority", "type"):
        authority, kind = _identifier_parts(segment, field)
        return Selector(
            part=authority if name == "authority" else kind, subcomponent=0 if name == "authority" else 1, value=value
        )
    raise PathSyntaxError(f"`{path}`: cannot read `[{inner}]`. {_EXAMPLES}")


def _identifier_parts(segment: str, field: int) -> tuple[int, int]:
    """(component of the assigning authority, component of the identifier type) by the field's data type."""
    if field in _XCN.get(segment, ()):
        return 9, 13
    if field in _XON.get(segment, ()):
        return 6, 7
    return (2, 4) if field in _EI.get(segment, ()) else (4, 5)
