"""What the ledger knows about a patient besides the day at hand: read before a judgement, so that judging stays pure.

Only what this clinic saw: another clinic's visits and dollars are not in it, so every total is an "at least".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """A payer's leave to treat. `counts` says what `allowed` counts: visits, units, days or cents.

    `codes` empty: any code. `used` are lines that the biller took, `in_flight` those on their way or held; both before this
    day. Dates are service dates, both inclusive.
    """

    number: str = field(repr=False)
    payer: str | None = None
    discipline: str | None = None
    counts: str = "visits"
    allowed: int = 0
    codes: frozenset[str] = frozenset()
    valid_from: date | None = None
    valid_to: date | None = None
    used: int = 0
    in_flight: int = 0

    @property
    def left(self) -> int:
        """What is left before this day; negative when overdrawn."""
        return self.allowed - self.used - self.in_flight


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherLine:
    """A line of another treatment day of the same patient and service date (another discipline, or billed before).

    `payer` is the payer policy that it was coded under, None when that is not known.
    `start` and `end` are the documented times of the line, where the source gave it its own.
    """

    procedure: str
    modifiers: tuple[str, ...]
    units: int
    discipline: str | None
    reference: str  # our reference of that treatment day
    payer: str | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientHistory:
    """One patient before one service date, in one discipline unless said otherwise.

    `treatment_days` are distinct service dates with a billable visit, ascending, before this one. `progress_reports` are
    dates of visits of type progress, re-evaluation or evaluation. `evaluations` are (date, code). `accrued_cents` is the
    Medicare allowed amount of the service date's calendar year in the KX group (PT with SLP; OT alone) as far as this
    clinic knows; None when allowed amounts are not configured. `opening_cents` came from an eligibility answer.
    `visits_in_plan_year` is by pool name.
    """

    treatment_days: tuple[date, ...] = ()
    progress_reports: tuple[date, ...] = ()
    evaluations: tuple[tuple[date, str], ...] = ()
    accrued_cents: int | None = None
    opening_cents: int | None = None
    authorizations: tuple[Authorization, ...] = ()
    visits_in_plan_year: dict[str, int] = field(default_factory=dict)
    other_lines: tuple[OtherLine, ...] = ()

    def lines_seen_by(self, payer: str | None) -> tuple[OtherLine, ...]:
        """The lines of the same date that this payer sees too: its own, and those of which the payer is not known."""
        return tuple(line for line in self.other_lines if line.payer is None or payer is None or line.payer == payer)
