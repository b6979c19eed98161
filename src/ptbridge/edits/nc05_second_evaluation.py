"""NC05: a second evaluation in one episode of care.

What it checks
    A PT or OT evaluation (97161 to 97163, 97165 to 97167) when the ledger knows an earlier one of the same discipline and no
    gap of more than 60 days between treatment days since. SLP evaluations differ in what they test and are not compared.
    Two on one day are NC01.
Why it matters
    One evaluation opens an episode; another one is paid for a new condition only.
Fix
    Bill a re-evaluation if the condition is the same. If it is a new one, check that note and diagnosis say so.
Source
    CMS Pub. 100-02, ch. 15, sections 220.A (episode) and 220.3.C; the 60 days are ptbridge's choice
Cases (medicare_part_b)
    97161-GP x1 @40                                        -> ok
    97161-GP x1 @40 | evaluations=none                     -> ok
    97161-GP x1 @40 | evaluations=2026-01-01 97161         -> warning: 97161-GP x1: 97161 was billed on 2026-01-01
    97161-GP x1 @40 | evaluations=2025-12-31 97161         -> ok
    97161-GP x1 @40 | evaluations=2026-03-02 97161         -> ok
    97162-GP x1 @40 | evaluations=2026-02-16 97161 | treatment_days=2026-02-16 2026-02-23
        -> warning: 97162-GP x1: 97161 was billed on 2026-02-16
    97161-GP x1 @40 | evaluations=2025-06-02 97161 | treatment_days=2025-06-02 2025-07-01 -> ok
    97161-GP x1 @40 | evaluations=2026-01-02 97164 | treatment_days=2026-01-02 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Bill a re-evaluation if the condition is the same. If it is a new one, check that note and diagnosis say so."
EVALUATIONS = frozenset({"97161", "97162", "97163", "97165", "97166", "97167"})
GAP = timedelta(days=60)


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each evaluation that follows another one without a gap in care."""
    on = priced.day.service_date
    if facts.history is None or on is None or not facts.history.evaluations:
        return
    again = [charge.line for charge in priced.charges if charge.line.procedure in EVALUATIONS]
    earlier = [(day, code) for day, code in facts.history.evaluations if day < on and code in EVALUATIONS] if again else []
    if not earlier:
        return
    day, code = max(earlier)
    if _unbroken(day, on, facts.history.treatment_days):
        for line in again:
            yield on_line("NC05", line, f"{code} was billed on {day}, in the same episode", FIX, Severity.WARNING)


def _unbroken(since: date, on: date, treatment_days: tuple[date, ...]) -> bool:
    days = [since, *(day for day in treatment_days if since < day < on), on]
    return all(later - earlier <= GAP for earlier, later in pairwise(days))
