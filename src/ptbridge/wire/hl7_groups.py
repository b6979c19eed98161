"""Which segment belongs to which: the groups of HL7 v2 that matter for charges, read from the order of the segments.

- DFT^P03 (v2.8.2 ch. 6.4.2): each FT1 is followed by its own PRT, ROL, NTE, PR1 (with PRT, ROL) and orders (ORC, TQ1, OBR,
  OBX, with NTE); then DG1, DRG, GT1, IN1, ACC stand once for the whole message.
- DFT^P11 (ch. 6.4.12): the FT1 groups come last, and each may hold its own DG1, DRG, GT1 and IN1; what stands before the first
  FT1 holds for every line.
- FT1 in ORM, ORU, RDE …: belongs to the order before it and ends with the next order.

Two habits of senders are read and remarked on: a P03 with DG1 between its FT1s is read like a P11, and orders that stand
before each FT1 instead of after it go to the FT1 that follows.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from functools import cached_property

from ptbridge.wire.hl7_charset import Remark
from ptbridge.wire.hl7_paths import compile_path
from ptbridge.wire.hl7_segment import Segment

_ORDERS = frozenset({"ORC", "TQ1", "TQ2", "OBR", "OBX"})
_OF_A_LINE = frozenset({"NTE", "PR1", "ROL", "PRT"}) | _ORDERS
_OF_A_P11_LINE = frozenset({"DG1", "DRG", "GT1", "IN1", "IN2", "IN3", "RF1", "AUT"})
_OF_A_WIDE_LINE = _OF_A_LINE | _OF_A_P11_LINE
_ORDERS_AND_NOTES = _ORDERS | {"NTE"}
_UNDER = {  # what a dependent segment may stand under; the nearest one before it is its owner
    "ROL": ("FT1", "PR1", "PID", "PV1", "IN1", "OBR"),
    "PRT": ("FT1", "PR1", "PID", "PV1", "IN1", "OBR", "OBX"),
    "OBX": ("OBR", "FT1", "PID", "PV1", "TXA"),
    "OBR": ("ORC",),
    "TQ1": ("ORC", "OBR"),
    "PR1": ("FT1",),
    "IN2": ("IN1",),
    "IN3": ("IN1",),
    "RF1": ("IN1",),
    "AUT": ("IN1", "RF1"),
    "PV2": ("PV1",),
}
_PASSED_BY_NOTES = frozenset({"NTE", "ROL", "PRT"})  # an NTE stands under the nearest segment that is none of these

ByName = Mapping[str, Sequence[Segment]]
_NO_ORDER: ByName = {}


class Surroundings:
    """What the groups of one message share, worked out when somebody asks: who owns whom, and what stands outside them."""

    def __init__(
        self,
        segments: Sequence[Segment],
        by_name: ByName,
        heads: list[int],
        members: list[list[Segment]],
        allowed: frozenset[str],
    ) -> None:
        self._segments, self._by_name, self._heads, self._members = segments, by_name, heads, members
        self._allowed = allowed  # names that a member can have, beside Z segments
        self._shared: dict[str, list[Segment]] = {}

    @cached_property
    def _taken(self) -> set[int]:
        """The places of all segments that belong to a group."""
        return {*self._heads, *[one.index for own in self._members for one in own]}

    @cached_property
    def owners(self) -> list[Segment | None]:
        """For each segment the one that it stands under."""
        return owners_of(self._segments)

    def shared(self, name: str) -> Sequence[Segment]:
        """The segments of that name that belong to no group."""
        if name not in self._allowed and name[0] != "Z":
            return self._by_name.get(name, ())
        found = self._shared.get(name)
        if found is None:
            found = self._shared[name] = [one for one in self._by_name.get(name, ()) if one.index not in self._taken]
        return found


class Group:
    """One anchor segment, `head`, with `members`: the segments that belong to it, in order.

    A value of the line (NTE, PR1, OBX, ROL, orders) is only ever its own, so that a visit's minutes do not become each
    line's. Everything else (PV1, PID, DG1, IN1 …) is its own if it has one, else what holds for the whole message.
    """

    __slots__ = ("_order", "_surroundings", "head", "members")

    def __init__(self, head: Segment, members: tuple[Segment, ...], order: ByName, surroundings: Surroundings) -> None:
        self.head, self.members, self._order, self._surroundings = head, members, order, surroundings

    def __repr__(self) -> str:
        return f"<Group of {self.head.label} with {len(self.members)} segments>"

    def segments(self, name: str) -> Sequence[Segment]:
        """Its own segments of that name, the head included. NTE, ROL, PRT: only those of the head and of its PR1."""
        if name == self.head.name:
            return [self.head]
        found = []
        for one in self.members:  # one or two: a comprehension would cost a call
            if one.name == name:
                found.append(one)  # noqa: PERF401
        if name in _PASSED_BY_NOTES:
            return [one for one in found if self._is_of_line(one)]
        return found or self._order.get(name, found)

    def in_scope(self, name: str) -> Sequence[Segment]:
        """Its own segments of that name; when it has none, those that hold for every line, such as the diagnoses of a P03."""
        own = self.segments(name)
        return own if own or name in _OF_A_LINE or name == self.head.name else self._surroundings.shared(name)

    def under(self, owner: Segment, name: str) -> list[Segment]:
        """The segments of that name that stand under `owner`: the ROL of a PR1, the NTE of an OBX."""
        return [one for one in self.members if one.name == name and self._surroundings.owners[one.index] is owner]

    def get(self, path: str) -> str | None:
        """The first value at a path, among `in_scope`. None when absent or null."""
        compiled = compile_path(path)
        if compiled.plain and compiled.segment == self.head.name:
            return self.head.value(compiled.field, compiled.component, compiled.subcomponent)
        return compiled.first(self.in_scope(compiled.segment))

    def get_all(self, path: str) -> tuple[str, ...]:
        """Every value at a path, among `in_scope`."""
        compiled = compile_path(path)
        if compiled.every_repetition and compiled.segment == self.head.name:
            return self.head.values(compiled.field, compiled.component, compiled.subcomponent)
        return compiled.every(self.in_scope(compiled.segment))

    def is_null(self, path: str) -> bool:
        """True when the sender orders the value deleted."""
        compiled = compile_path(path)
        return compiled.is_null(self.in_scope(compiled.segment))

    def _is_of_line(self, segment: Segment) -> bool:
        owner = self._surroundings.owners[segment.index]
        return owner is not None and owner.name in (self.head.name, "PR1")


def owners_of(segments: Sequence[Segment]) -> list[Segment | None]:
    """For each segment the one that it stands under: the nearest before it that may own it; None for one that stands alone."""
    last: dict[str, Segment] = {}
    noted: Segment | None = None
    found: list[Segment | None] = []
    for one in segments:
        if one.name == "NTE":
            found.append(noted)
        else:
            owners = [last[name] for name in _UNDER.get(one.name, ()) if name in last]
            found.append(max(owners, key=_place, default=None))
        if one.name not in _PASSED_BY_NOTES and not one.name.startswith("Z"):
            noted = one
        last[one.name] = one
    return found


def groups_of(segments: Sequence[Segment], by_name: ByName, anchor: str, event: str) -> tuple[list[Group], tuple[Remark, ...]]:
    """The groups that start with `anchor`, and what was odd. `event` is `DFT^P03`, `DFT^P11`, `ORM^O01` …"""
    heads = [one.index for one in by_name.get(anchor, ())]
    if not heads:
        return [], ()
    financial = event.startswith("DFT^")
    mixed = financial and event != "DFT^P11" and any(heads[0] < one.index < heads[-1] for one in by_name.get("DG1", ()))
    orders_first = financial and _orders_stand_first(segments, by_name, heads)
    allowed = _OF_A_WIDE_LINE if mixed or event == "DFT^P11" else _OF_A_LINE
    members = _spans(segments, heads, allowed - _ORDERS if orders_first or not financial else allowed)
    orders: Sequence[ByName] = [_NO_ORDER] * len(heads)
    if orders_first:
        members = [before + own for before, own in zip(_orders_before(segments, heads), members, strict=True)]
    elif not financial:
        orders = _orders_around(segments, heads)
    surroundings = Surroundings(segments, by_name, heads, members, allowed | _ORDERS_AND_NOTES)
    found = [
        Group(segments[place], tuple(own), order, surroundings)
        for place, own, order in zip(heads, members, orders, strict=True)
    ]
    return found, _remarks(mixed=mixed, orders_first=orders_first)


def _place(segment: Segment) -> int:
    return segment.index


def _spans(segments: Sequence[Segment], heads: list[int], allowed: frozenset[str]) -> list[list[Segment]]:
    """For each head the run of allowed segments and Z segments, up to the next head or the first that is not allowed."""
    anchor, found, own = segments[heads[0]].name, list[list[Segment]](), list[Segment]()
    for one in segments[heads[0] :]:
        name = one.name
        if name == anchor:
            own = []
            found.append(own)
        elif name in allowed or name[0] == "Z":
            own.append(one)
        else:
            own = []  # what follows belongs to no group, until the next head
    return found


def _orders_stand_first(segments: Sequence[Segment], by_name: ByName, heads: list[int]) -> bool:
    """True when every FT1 has an order right before it and the last has none after it."""
    starts = [one.index for name in ("ORC", "OBR") for one in by_name.get(name, ())]
    if len(heads) < 2 or not starts or max(starts) > heads[-1]:
        return False
    if any(segments[place - 1].name not in _ORDERS_AND_NOTES for place in heads):
        return False
    gaps = {bisect(heads, start) for start in starts}
    return gaps.issuperset(range(len(heads)))


def _orders_before(segments: Sequence[Segment], heads: list[int]) -> list[list[Segment]]:
    """For each head the run of orders, with their notes, that stands right before it."""
    found = []
    for place in heads:
        start = place
        while start > 0 and segments[start - 1].name in _ORDERS_AND_NOTES:
            start -= 1
        while start < place and segments[start].name == "NTE":
            start += 1
        found.append(list(segments[start:place]))
    return found


def _orders_around(segments: Sequence[Segment], heads: list[int]) -> list[ByName]:
    """For each head the order that it stands in, from its ORC (or OBR) on, by name. FT1s of one order share one mapping."""
    found: list[ByName] = []
    start, order, seen = 0, dict[str, list[Segment]](), set(heads)
    for place, one in enumerate(segments):
        if one.name == "ORC" or (one.name == "OBR" and "OBR" in order):
            start, order = place, {}
        if place in seen:
            found.append(order)
        elif start:
            order.setdefault(one.name, []).append(one)
        elif one.name == "OBR":
            start, order = place, {"OBR": [one]}
    return found


def _remarks(*, mixed: bool, orders_first: bool) -> tuple[Remark, ...]:
    found = []
    if mixed:
        text = "DG1 stands between the FT1 segments of a message that is no P11: each is read as its FT1's own"
        found.append(Remark("charges-and-diagnoses-mixed", "DG1", text))
    if orders_first:
        found.append(Remark("orders-before-charges", "ORC", "each order is read as that of the FT1 after it"))
    return tuple(found)
