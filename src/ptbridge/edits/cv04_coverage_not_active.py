"""CV04: the primary coverage was not in force on the service date.

What it checks
    The coverage's dates, where it gives any, and its status. A status other than active on a coverage whose dates hold is
    a warning: it may be the status of today.
Why it matters
    The payer denies it (adjustment reason 26 or 27).
Fix
    Check the patient's eligibility for that date and correct the coverage.
Source
    HL7 FHIR R4, Coverage.period and Coverage.status; X12 adjustment reasons 26 and 27
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | coverage_period=..                   -> ok
    97110-GP x1 @15 | coverage_period=2026-03-02..2026-03-02 -> ok
    97110-GP x1 @15 | coverage_period=2025-01-01..2026-02-28 -> the primary coverage ended on 2026-02-28
    97110-GP x1 @15 | coverage_period=2026-03-03..         -> the primary coverage begins on 2026-03-03
    97110-GP x1 @15 | coverage_status=cancelled            -> warning: the primary coverage is cancelled
    97110-GP x1 @15 | coverage_status=entered-in-error     -> the primary coverage is entered-in-error
    97110-GP x1 @15 | coverage_status=none                 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Check the patient's eligibility for that date and correct the coverage."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding when the primary coverage's dates or status speak against the service date."""
    coverage = priced.day.primary_coverage
    on = priced.day.service_date
    if coverage is None or on is None or not bills_a_payer(facts):
        return
    if coverage.period_end is not None and coverage.period_end < on:
        yield on_day("CV04", f"the primary coverage ended on {coverage.period_end}; the service date is {on}", FIX)
    if coverage.period_start is not None and on < coverage.period_start:
        yield on_day("CV04", f"the primary coverage begins on {coverage.period_start}; the service date is {on}", FIX)
    status = coverage.status
    if status in ("cancelled", "draft"):
        yield on_day("CV04", f"the primary coverage is {status}", FIX, Severity.WARNING)
    elif status == "entered-in-error":
        yield on_day("CV04", f"the primary coverage is {status}", FIX)
