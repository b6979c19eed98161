"""Documented minutes and billed units of a day's timed services, side by side: what the unit edits compare.

A second, independent count beside the one that chose the units (`policy.counting`): it never looks at that answer.
A chain such as 97129 with 97130 is one service here, under its first code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from ptbridge.edits.visits import billable_visits, line_minutes
from ptbridge.model import PricedDay
from ptbridge.policy.codes import CodeTable, ProcedureCode

EIGHT_MINUTE = "eight_minute_total"
MIDPOINT = "midpoint_each_code"


@dataclass(slots=True)
class TimedService:
    """One timed service of the day. `minutes` is None when a documented line of it has none."""

    first: ProcedureCode
    further: ProcedureCode | None = None
    minutes: int | None = 0
    units: int = 0

    @property
    def midpoint_units(self) -> int | None:
        """Units of this service alone: each counts once more than half of its time has passed (CPT, "Time")."""
        if self.minutes is None:
            return None
        return _midpoint_units(self.minutes, self.first, self.further)


def eight_minute_units(minutes: int) -> int:
    """Units that a total of 15-minute services allows (CMS Pub. 100-04, ch. 5, section 20.2.C): 8 to 22 is one, then +15."""
    return max(0, (minutes + 7) // 15)


def timed_services(priced: PricedDay, codes: CodeTable) -> list[TimedService]:
    """The day's timed services, documented or billed. Codes that the table does not know or that are not timed are left out.

    Several edits ask about the same day one after the other: the last answer is kept, with the day and table it is for.
    """
    global _last
    day, table, known = _last
    if day is priced and table is codes:
        return known
    found = _timed_services(priced, codes)
    _last = (priced, codes, found)
    return found


_last: tuple[PricedDay | None, CodeTable | None, list[TimedService]] = (None, None, [])


def _timed_services(priced: PricedDay, codes: CodeTable) -> list[TimedService]:
    services: dict[str, TimedService] = {}
    get = codes.get
    for visit in billable_visits(priced):
        for done in visit.interventions:
            if done.code is not None and not done.not_done and (row := get(done.code)) is not None and row.timed:
                service = _service(services, row, codes)
                minutes = line_minutes(done)
                service.minutes = None if minutes is None or service.minutes is None else service.minutes + minutes
    for charge in priced.charges:
        if (row := get(charge.line.procedure)) is not None and row.timed:
            _service(services, row, codes).units += charge.line.units
    return list(services.values())


class Pool(NamedTuple):
    """The day's 15-minute services together: units billed, minutes documented, and the units that those allow."""

    units: int
    minutes: int
    allowed: int


def pool(services: list[TimedService], priced: PricedDay, codes: CodeTable) -> Pool | None:
    """What the 8-minute rule looks at; None where the minutes are not known."""
    minutes = _pooled_minutes(services, priced, codes)
    units = sum(service.units for service in services if service.first.pooled)
    return None if minutes is None else Pool(units, minutes, eight_minute_units(minutes))


def _pooled_minutes(services: list[TimedService], priced: PricedDay, codes: CodeTable) -> int | None:
    """Minutes of the 15-minute pool: of the lines, else of the notes' timed totals, which can only be more; else None."""
    minutes = 0
    for service in services:
        if service.first.pooled:
            if service.minutes is None:
                return _noted_total(priced, codes)
            minutes += service.minutes
    return minutes


def _noted_total(priced: PricedDay, codes: CodeTable) -> int | None:
    """The notes' totals; a visit without one counts by its lines, if all of them have minutes."""
    total = 0
    for visit in billable_visits(priced):
        timed = [done for done in visit.interventions if not done.not_done and _is_timed(done.code, codes)]
        parts = [line_minutes(done) for done in timed] if visit.timed_minutes_total is None else [visit.timed_minutes_total]
        if timed and None in parts:
            return None
        total += sum(part for part in parts if part is not None) if timed else 0
    return total


def _is_timed(code: str | None, codes: CodeTable) -> bool:
    row = codes.get(code) if code else None
    return row is not None and row.timed


def _service(services: dict[str, TimedService], row: ProcedureCode, codes: CodeTable) -> TimedService:
    head = row.add_on_of or row.code
    service = services.get(head)
    if service is None:
        first = row if head == row.code else codes.get(head)
        assert first is not None, f"{head} leads a chain and is not in the code table"
        further = codes.get(first.add_on) if first.add_on else None
        service = services[head] = TimedService(first, further)
    return service


def _midpoint_units(minutes: int, first: ProcedureCode, further: ProcedureCode | None) -> int:
    length = first.minutes_per_unit or 0
    if further is None or not further.minutes_per_unit:
        return _beyond_half(minutes, length)
    return min(1, _beyond_half(minutes, length)) + _beyond_half(max(0, minutes - length), further.minutes_per_unit)


def _beyond_half(minutes: int, length: int) -> int:
    """How many units of `length` minutes have more than half of their time: 8 of 15, 16 of 30, 31 of 60."""
    return (minutes + length - length // 2 - 1) // length
