"""CV02: the member id of the primary coverage is missing.

What it checks
    The coverage that the day is billed to has the member's id with the payer. A self-pay day bills no payer.
Why it matters
    The payer cannot find the person and rejects the claim (adjustment reason 31).
Fix
    Enter the member id from the card in the patient's coverage.
Source
    X12 005010X222A1 (837P), loop 2010BA, NM109
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | member_id=none                       -> the member id of the primary coverage is missing
Cases (self_pay)
    97110-GP x1 @15 | member_id=none                       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Enter the member id from the card in the patient's coverage."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding when the primary coverage is known and has no member id."""
    coverage = priced.day.primary_coverage
    if coverage is not None and not (coverage.member_id or "").strip() and bills_a_payer(facts):
        yield on_day("CV02", "the member id of the primary coverage is missing", FIX)
