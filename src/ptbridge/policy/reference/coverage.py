"""`ptbridge reference check`: which edition covers which service dates, what is missing, what is about to run out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from ptbridge.policy.reference.kinds import KINDS, Period
from ptbridge.policy.reference.lookup import Reference

SOON_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """One kind on one day. `state`: covered, runs_out, missing or not_loaded (never loaded, and no edit needs it).

    `until` is the last service date that is covered without a gap from the day on; `gaps` lie between covered dates.
    """

    kind: str
    title: str
    state: str
    source: str
    periods: tuple[str, ...]
    until: date | None
    gaps: tuple[tuple[date, date], ...]
    what_to_do: str

    @property
    def asks_for_a_person(self) -> bool:
        """True when a file must be loaded now or within the month."""
        return self.state in ("missing", "runs_out")


def coverage(reference: Reference, today: date) -> tuple[Coverage, ...]:
    """Every kind of file, in the order of its worth. A kind that was loaded once is expected to stay covered."""
    return tuple(_coverage(reference, kind, today) for kind in KINDS)


def _coverage(reference: Reference, kind: str, today: date) -> Coverage:
    periods = reference.periods(kind)
    until = _until(periods, today)
    state = _state(kind, periods, until, today)
    return Coverage(
        kind=kind,
        title=KINDS[kind].title,
        state=state,
        source=reference.source(kind, today),
        periods=tuple(period.name for period in periods),
        until=until,
        gaps=_gaps(periods),
        what_to_do=_advice(kind, state, until),
    )


def _state(kind: str, periods: tuple[Period, ...], until: date | None, today: date) -> str:
    if until is None:
        return "missing" if KINDS[kind].needed or periods else "not_loaded"
    return "runs_out" if until < today + timedelta(days=SOON_DAYS) else "covered"


def _until(periods: tuple[Period, ...], today: date) -> date | None:
    """The end of the unbroken stretch that holds today."""
    until: date | None = None
    for period in periods:
        if today in period or (until is not None and period.first <= until + timedelta(days=1)):
            until = max(until or period.last, period.last)
    return until


def _gaps(periods: tuple[Period, ...]) -> tuple[tuple[date, date], ...]:
    gaps: list[tuple[date, date]] = []
    covered: date | None = None
    for period in periods:
        if covered is not None and period.first > covered + timedelta(days=1):
            gaps.append((covered + timedelta(days=1), period.first - timedelta(days=1)))
        covered = max(covered or period.last, period.last)
    return tuple(gaps)


def _advice(kind: str, state: str, until: date | None) -> str:
    if kind == "thresholds":
        load = "Write the amounts of the next year into a table (docs/reference-files.md) and run ptbridge reference load FILE."
        return load if state == "missing" else f"Known until {until}. {load}" if state == "runs_out" else ""
    load = f"Download the current {KINDS[kind].title} from cms.gov and run ptbridge reference load FILE."
    if state == "missing":
        return load
    if state == "runs_out":
        return f"It covers service dates until {until}. {load.replace('the current', 'the next')}"
    return ""
