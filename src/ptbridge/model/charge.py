"""From documented lines to priced charges: what coding and pricing hand on for one treatment day."""

from __future__ import annotations

from dataclasses import dataclass

from ptbridge.model.finding import Finding
from ptbridge.model.made_fast import made_fast
from ptbridge.model.service_line import ServiceLine
from ptbridge.model.treatment_day import TreatmentDay
from ptbridge.model.visit import Diagnosis


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """A documented line that is not billed, and the rule that says so (`97035` at example 4 of the CMS manual)."""

    line_key: str  # visit_id/line_key
    procedure: str
    rule: str  # machine-readable: zero-units, bundled, not-billable …
    because: str


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class CodedDay:
    """A treatment day's service lines before prices.

    `acceptable` is the set of unit allocations that the counting rule allows, each as (procedure, units) pairs in
    documentation order; ptbridge's own choice is the first. `because` holds the reasons that concern the whole day.
    `allowed_cents`, line by line, is what Medicare's therapy threshold counts; empty where no threshold counts the day.
    """

    day: TreatmentDay
    payer: str | None  # payer policy name; None when the payer could not be told
    lines: tuple[ServiceLine, ...]
    diagnoses: tuple[Diagnosis, ...] = ()  # the day's, deduplicated, in billing order: what diagnosis pointers point into
    exclusions: tuple[Exclusion, ...] = ()
    acceptable: tuple[tuple[tuple[str, int], ...], ...] = ()
    because: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    allowed_cents: tuple[int | None, ...] = ()


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A service line with its price. Money is integer cents; `amount_cents` is the whole line's, None without a price."""

    line: ServiceLine
    payer: str | None
    unit_price_cents: int | None = None
    amount_cents: int | None = None


@made_fast
@dataclass(frozen=True, slots=True, kw_only=True)
class PricedDay:
    """A treatment day ready for the edits."""

    coded: CodedDay
    charges: tuple[Charge, ...]
    findings: tuple[Finding, ...] = ()  # price findings (PX..)

    @property
    def day(self) -> TreatmentDay:
        """The treatment day behind the charges."""
        return self.coded.day

    @property
    def amount_cents(self) -> int:
        """Sum of the priced lines, in cents."""
        return sum(charge.amount_cents or 0 for charge in self.charges)

    @property
    def units(self) -> int:
        """Sum of the units of all lines, timed and untimed."""
        return sum(charge.line.units for charge in self.charges)
