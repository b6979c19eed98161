"""From documented minutes to units. Two rules, chosen by name; the answer is the whole set that the rule accepts.

`eight_minute_total`  CMS Pub. 100-04, ch. 5, section 20.2: the day's timed minutes decide how many units there are; each
                      code has one for every full 15 minutes; what is left goes to the largest left-over minutes.
`midpoint_each_code`  CPT, introduction, "Time": a unit counts once more than half of its time has passed; each code alone.

Under both: an untimed code counts once a day; one code documented twice is one service; a chain (97129 -> 97130) has one
count of minutes, its first code bills at most one unit and the add-on the rest. No official text says whether codes of
another unit length join the 15-minute total: they stay out of it and count by the midpoint. Minutes are whole minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from math import comb

from ptbridge.policy.codes import ProcedureCode

MAX_ANSWERS = 256  # answers listed for one day; `Allocation.accepts` still knows all of them

Line = tuple[ProcedureCode, int | None]
Units = tuple[tuple[str, int], ...]


def allowed_units(total_minutes: int) -> int:
    """The CMS table: units that a day's timed minutes allow (0-7 none, 8-22 one, 23-37 two, and so on)."""
    return (total_minutes + 7) // 15


def midpoint_units(minutes: int, minutes_per_unit: int) -> int:
    """Units of one code where each counts after more than half of its time: 8 of 15, 16 of 30, 31 of 60 minutes."""
    return (minutes + (minutes_per_unit - 1) // 2) // minutes_per_unit


@dataclass(slots=True)
class Service:
    """What is counted as one: a code, or a chain of a first code and its add-on. `sure` units are beyond choice."""

    codes: tuple[str, ...]
    row: ProcedureCode
    minutes: int | None
    sure: int = 0
    add_on_documented: bool = False

    def split(self, units: int) -> Units:
        """A chain's units by code: at most one under the first code, the rest under the add-on."""
        first, add_on = self.codes
        if units > 1 or self.add_on_documented:
            return ((first, min(units, 1)), (add_on, max(units - 1, 0)))
        return ((first, units),)


@dataclass(slots=True)
class Allocation:
    """The units of one treatment day. Among the `tied` services (positions), any `choose` of them have one unit more.

    `units` is our own choice: of tied services those documented first, never the dearest.
    """

    rule: str
    services: list[Service]
    tied: list[int]
    choose: int
    pool_minutes: int
    pool_units: int

    @property
    def units(self) -> Units:
        """(code, units) in documentation order, zeros included."""
        return self._spell(self.tied[: self.choose])

    @property
    def acceptable(self) -> tuple[Units, ...]:
        """Every answer that the rule accepts, ours first; at most `MAX_ANSWERS` of them (see `complete`)."""
        if not self.choose:
            return (self.units,)
        return tuple(self._spell(chosen) for chosen in islice(combinations(self.tied, self.choose), MAX_ANSWERS))

    @property
    def complete(self) -> bool:
        """False when there are more acceptable answers than `acceptable` lists."""
        return comb(len(self.tied), self.choose) <= MAX_ANSWERS

    def accepts(self, units: Mapping[str, int]) -> bool:
        """Whether these units by code (absent: 0) are one of the acceptable answers, listed or not."""
        return self._fits(units, exactly=True)

    def covers(self, units: Mapping[str, int]) -> bool:
        """Whether an acceptable answer has at least these units of every code: nothing is billed that minutes do not bear."""
        return self._fits(units, exactly=False)

    def _fits(self, units: Mapping[str, int], *, exactly: bool) -> bool:
        extra = 0
        known = 0
        for position, service in enumerate(self.services):
            first = service.codes[0]
            given = units.get(first, 0)
            known += first in units
            if len(service.codes) == 2:
                later = service.codes[1]
                given += units.get(later, 0)
                known += later in units
                if units.get(first, 0) != min(given, 1):
                    return False
            more = given - service.sure
            if more > 0:
                extra += more
                if more > 1 or position not in self.tied:
                    return False
            elif exactly and more < 0:
                return False
        return known == len(units) and (extra == self.choose if exactly else extra <= self.choose)

    def _spell(self, chosen: Sequence[int]) -> Units:
        spelled: list[tuple[str, int]] = []
        for position, service in enumerate(self.services):
            units = service.sure + (position in chosen)
            if len(service.codes) == 1:
                spelled.append((service.codes[0], units))
            else:
                spelled += service.split(units)
        return tuple(spelled)


def allocate(rule: str, lines: Sequence[Line]) -> Allocation:
    """Units for the (code, minutes) lines of one patient, discipline and service date, in documentation order.

    Minutes of untimed codes do not matter and may be None. Raises ValueError for a timed code without minutes, for
    negative minutes, for a code that counts quantities, and for a rule that is not in `RULES`.
    """
    count = RULES.get(rule)
    if count is None:
        raise ValueError(f"no counting rule {rule!r}; known: {', '.join(RULES)}")
    return count(_services(lines))


def _eight_minute_total(services: list[Service]) -> Allocation:
    total = 0
    sure = 0
    pool: list[tuple[int, int]] = []  # (left-over minutes, position)
    for position, service in enumerate(services):
        minutes = service.minutes
        if minutes is None or not service.row.pooled:
            service.sure = _alone(service)
            continue
        total += minutes
        service.sure = minutes // 15
        sure += service.sure
        pool.append((minutes % 15, position))
    cap = allowed_units(total)
    left = cap - sure
    if not left:
        return Allocation("eight_minute_total", services, [], 0, total, cap)
    least = sorted(remainder for remainder, _ in pool)[-left]  # the smallest left-over that can still earn a unit
    tied = []
    for remainder, position in pool:
        if remainder > least:
            services[position].sure += 1
            left -= 1
        elif remainder == least:
            tied.append(position)
    if left == len(tied):
        for position in tied:
            services[position].sure += 1
        return Allocation("eight_minute_total", services, [], 0, total, cap)
    return Allocation("eight_minute_total", services, tied, left, total, cap)


def _midpoint_each_code(services: list[Service]) -> Allocation:
    total = cap = 0
    for service in services:
        service.sure = _alone(service)
        if service.row.pooled:
            total += service.minutes or 0
            cap += service.sure
    return Allocation("midpoint_each_code", services, [], 0, total, cap)


def _alone(service: Service) -> int:
    """Units of a service that shares its minutes with none: once if untimed, else by the midpoint of each unit."""
    if service.minutes is None:
        return 1
    first = service.row.minutes_per_unit or 15
    later = (service.row.add_on_minutes if len(service.codes) == 2 else None) or first
    if later == first or service.minutes < first:
        return midpoint_units(service.minutes, first)
    return 1 + midpoint_units(service.minutes - first, later)


def _services(lines: Sequence[Line]) -> list[Service]:
    """One service for each code or chain, minutes added up, in the order of first mention."""
    found: dict[str, Service] = {}
    for row, minutes in lines:
        code = row.code
        if row.counts == "session":
            found.setdefault(code, Service((code,), row, None))
            continue
        if row.counts == "quantity":
            raise ValueError(f"{code} counts a quantity, not minutes; its units must be documented")
        if minutes is None or minutes < 0:
            raise ValueError(f"{code}: a timed code needs whole minutes of 0 or more, not {minutes}")
        key = row.add_on_of or code
        service = found.get(key)
        if service is None:
            codes = (code,) if row.add_on is None else (code, row.add_on)
            found[key] = Service(codes, row, minutes, 0, row.add_on_of is not None)
            continue
        service.minutes = (service.minutes or 0) + minutes
        if row.add_on_of is not None:
            service.add_on_documented = True
        elif service.row is not row and row.add_on is not None:  # the add-on was written first
            service.row, service.codes = row, (code, row.add_on)
    return list(found.values())


RULES: dict[str, Callable[[list[Service]], Allocation]] = {
    "eight_minute_total": _eight_minute_total,
    "midpoint_each_code": _midpoint_each_code,
}
