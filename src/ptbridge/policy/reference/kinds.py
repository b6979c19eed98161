"""The kinds of reference files, and the service dates that one edition of a file speaks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from ptbridge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file. `needed`: an edit relies on it, so its absence is worth a word every day."""

    name: str
    title: str
    needed: bool
    cadence: str  # quarter, year or fiscal_year


KINDS = {
    kind.name: kind
    for kind in (
        Kind("ptp", "Medicare NCCI pair edits, practitioner", True, "quarter"),
        Kind("mue", "Medicare NCCI unit maximums (MUE), practitioner", True, "quarter"),
        Kind("add_on", "Medicare NCCI add-on code edits", True, "quarter"),
        Kind("icd10", "ICD-10-CM order file", True, "fiscal_year"),
        Kind("thresholds", "Medicare therapy thresholds", True, "year"),
        Kind("rvu", "Medicare relative values, non-qualifying APM factor", False, "quarter"),
        Kind("rvu_qpp", "Medicare relative values, qualifying APM factor", False, "quarter"),
        Kind("therapy", "Medicare therapy code list", False, "year"),
        Kind("ptp_medicaid", "Medicaid NCCI pair edits, practitioner", False, "quarter"),
        Kind("mue_medicaid", "Medicaid NCCI unit maximums (MUE), practitioner", False, "quarter"),
    )
}
"""Every kind by name."""

_NCCI_VERSION = re.compile(r"v(\d\d)([0-3])r\d+", re.IGNORECASE)
_QUARTER = re.compile(r"(20\d\d)[-_ ]?q([1-4])(?!\d)", re.IGNORECASE)
_EFFECTIVE = re.compile(r"eff[-_ ](\d\d)[-_](\d\d)[-_](20\d\d)", re.IGNORECASE)
_RVU = re.compile(r"pprrvu(20\d\d|\d\d)[-_]?(jan|apr|jul|oct)", re.IGNORECASE)
_MONTHS = {"jan": 1, "apr": 4, "jul": 7, "oct": 10}
_YEAR = re.compile(r"(?<!\d)(20\d\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Period:
    """The service dates, both inclusive, that one edition speaks for: `2026Q4`, `2026` or `FY2026`."""

    name: str
    first: date
    last: date

    def __contains__(self, on: date) -> bool:
        return self.first <= on <= self.last


def quarter(year: int, number: int) -> Period:
    """A calendar quarter, 1 to 4."""
    first = date(year, 3 * number - 2, 1)
    return Period(f"{year}Q{number}", first, _month_after(first, 3) - timedelta(days=1))


def calendar_year(year: int) -> Period:
    """A calendar year."""
    return Period(str(year), date(year, 1, 1), date(year, 12, 31))


def fiscal_year(year: int, first: date | None = None) -> Period:
    """A federal fiscal year: October 1 of the year before to September 30, from `first` for a release within it."""
    start = date(year - 1, 10, 1)
    name = f"FY{year}" if first in (None, start) else f"FY{year}from{first:%m%d}"
    return Period(name, first or start, date(year, 9, 30))


def _month_after(first: date, months: int) -> date:
    total = first.year * 12 + first.month - 1 + months
    return date(total // 12, total % 12 + 1, 1)


def period_named(text: str) -> Period:
    """What a person writes: `2026Q4`, `2026`, `FY2026`. Raises ConfigError for anything else."""
    if match := re.fullmatch(r"(20\d\d)Q([1-4])", text, re.IGNORECASE):
        return quarter(int(match[1]), int(match[2]))
    if match := re.fullmatch(r"(FY)?(20\d\d)", text, re.IGNORECASE):
        return fiscal_year(int(match[2])) if match[1] else calendar_year(int(match[2]))
    raise ConfigError(f"period {text!r} is not a quarter, a year or a fiscal year. Write 2026Q4, 2026 or FY2026.")


def period_of(kind: str, names: tuple[str, ...]) -> Period | None:
    """The period that the names of a file and of the zip around it state; None when they state none.

    NCCI's own version counts years from 1994 and quarters from 0: v323r0 is 2026Q4 (CMS file names of 2026, the zip says
    `2026q4`). Raises ConfigError when two names contradict each other.
    """
    found = {period for name in names if (period := _period_in(kind, name)) is not None}
    if len(found) > 1:
        said = ", ".join(sorted(period.name for period in found))
        raise ConfigError(f"{names[0]}: the names state different periods ({said}). Say which one with --period.")
    return found.pop() if found else None


def _period_in(kind: str, name: str) -> Period | None:
    cadence = KINDS[kind].cadence
    if cadence == "quarter":
        return _quarter_in(name)
    match = _YEAR.search(name)
    if match is None:
        return None
    year = int(match[1])
    if cadence == "year":
        return calendar_year(year)
    return fiscal_year(year, date(year, 4, 1) if re.search(r"apr", name, re.IGNORECASE) else None)


def _quarter_in(name: str) -> Period | None:
    if match := _NCCI_VERSION.search(name):
        return quarter(1994 + int(match[1]), int(match[2]) + 1)
    if match := _QUARTER.search(name):
        return quarter(int(match[1]), int(match[2]))
    if match := _EFFECTIVE.search(name):
        return quarter(int(match[3]), (int(match[1]) + 2) // 3)
    if match := _RVU.search(name):
        return quarter(int(match[1]) % 100 + 2000, (_MONTHS[match[2].lower()] + 2) // 3)
    return None
