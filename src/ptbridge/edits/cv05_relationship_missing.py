"""CV05: the patient's relationship to the subscriber is missing.

What it checks
    The primary coverage says whether the patient is the subscriber, the spouse, a child or somebody else.
Why it matters
    The claim names the subscriber and the patient in different places; guessing "self" rejects a child's claim.
Fix
    Enter the relationship in the patient's coverage.
Source
    X12 005010X222A1 (837P), loops 2000B SBR02 and 2000C PAT01
Cases (commercial_midpoint)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | relationship=none                    -> warning: the patient's relationship to the subscriber is missing
Cases (medicare_part_b)
    97110-GP x1 @15 | relationship=none                    -> warning: the patient's relationship to the subscriber is missing
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.coverage import bills_a_payer
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Enter the relationship in the patient's coverage."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one warning when the primary coverage does not say."""
    coverage = priced.day.primary_coverage
    if coverage is not None and coverage.relationship is None and bills_a_payer(facts):
        message = "the patient's relationship to the subscriber is missing"
        yield on_day("CV05", message, FIX, Severity.WARNING)
