"""TF02: few days are left to file with the payer.

What it checks
    Thirty days or fewer until the last day on which the payer takes a claim for the service date (TF01 says when it is over).
Why it matters
    A correction, or an answer of the payer, may take longer than what is left.
Fix
    Clear what else holds the day, and send it now.
Source
    42 CFR 424.44 (Medicare: one calendar year); other payers: the contract; the thirty days are ptbridge's choice
Cases (medicare_part_b)
    97110-GP x1 @15 | today=2027-01-30                     -> ok
    97110-GP x1 @15 | today=2027-01-31                     -> warning: 30 days left to file with medicare_part_b
    97110-GP x1 @15 | today=2027-03-01                     -> warning: 1 day left to file with medicare_part_b
    97110-GP x1 @15 | today=2027-03-02                     -> warning: 0 days left to file with medicare_part_b
    97110-GP x1 @15 | today=2027-03-03                     -> ok
    97110-GP x1 @15 | on=2024-02-29 | today=2025-02-27     -> warning: 1 day left to file
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.filing import last_day_to_file
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Clear what else holds the day, and send it now."
NEAR_DAYS = 30


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one warning in the last thirty days."""
    on = priced.day.service_date
    terms = facts.terms(on)
    last = last_day_to_file(terms, on) if terms is not None and on is not None else None
    if terms is None or last is None:
        return
    left = (last - facts.today).days
    if 0 <= left <= NEAR_DAYS:
        message = f"{left} {'day' if left == 1 else 'days'} left to file with {terms.payer}; the last is {last}"
        yield on_day("TF02", message, FIX, Severity.WARNING)
