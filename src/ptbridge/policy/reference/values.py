"""What a look-up answers: small records that carry their source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEdit:
    """Two codes that Medicare (or Medicaid) pays together only under conditions. Column 1 is the one that is paid.

    `indicator` 0: never together; 1: together with 59, XE, XP, XS or XU where the documentation supports it. `effective` and
    `deletion` are service dates, both in force; absent: not known, and none. `period` is the edition (`2026Q4`) or `shipped`.
    """

    column1: str
    column2: str
    indicator: int
    effective: date | None
    deletion: date | None
    period: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mue:
    """The most units of a code. `mai` 1: on one claim line; 2: on a day, absolute; 3: on a day, clinical; None: not known."""

    code: str
    value: int
    mai: int | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOn:
    """A code that is paid only beside a primary code. `by_contractor`: others than `primaries` may do as well."""

    code: str
    primaries: frozenset[str]
    by_contractor: bool
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rvu:
    """A code's relative values, in hundredths of a unit; the factor in ten-thousandths of a dollar. None: not stated."""

    code: str
    modifier: str
    status: str
    pctc: str
    global_days: str
    multiple_procedure: str
    work: int | None
    practice_non_facility: int | None
    practice_facility: int | None
    malpractice: int | None
    total_non_facility: int | None
    total_facility: int | None
    factor: int
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TherapyDisposition:
    """What CMS's therapy code list says of a code: always therapy, or sometimes."""

    code: str
    always: bool
    source: str
