"""KX01: KX below the year's threshold.

What it checks
    A line with KX while all that is known of the year (what this clinic billed, and the amount from an eligibility answer)
    is below the threshold even with the whole of this day. Without an eligibility answer nothing is said: another clinic
    may have used the rest. That KX is missing above the threshold is KX10, and KX beside GA or GZ is MD08.
Why it matters
    KX attests that the patient is past the threshold and still needs the treatment. On every claim from January on it is a
    mark that reviewers look for.
Fix
    Check the patient's used amount; take KX off in the EMR if the threshold is not reached.
Source
    SSA 1833(g); CMS Pub. 100-04, ch. 5, section 10.3; amounts by year: a loaded table, else
    mappings/codes/therapy_thresholds.csv; the finding says which
Cases (medicare_part_b)
    97110-GP-KX x1 @15                                     -> ok
    97110-GP-KX x1 @15 | accrued_cents=20000               -> ok
    97110-GP-KX x1 @15 | accrued_cents=20000 | opening_cents=10000
        -> information: KX, and $300.00 of $2,480.00 are known to be used in 2026
    97110-GP-KX x1 @15 | accrued_cents=200000 | opening_cents=43000 -> ok
    97110-GP-KX x1 @15 | accrued_cents=200000 | opening_cents=42999 -> information: KX, and $2,429.99 of $2,480.00
    97110-GP x1 @15 | accrued_cents=20000 | opening_cents=10000 -> ok
    97110-GP-KX x1 @15 | on=2027-03-02 | today=2027-03-03 | accrued_cents=20000 | opening_cents=10000 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
    dollars,
)
from ptbridge.policy.facts import Facts
from ptbridge.policy.thresholds import kx_group, threshold_of
from ptbridge.ports import edit

FIX = "Check the patient's used amount; take KX off in the EMR if the threshold is not reached."


@edit(severity=Severity.INFORMATION)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one remark for a day with KX that cannot have passed the threshold as far as is known."""
    if not any("KX" in charge.line.modifiers for charge in priced.charges):
        return
    on, history, group = priced.day.service_date, facts.history, kx_group(priced.day.discipline)
    if on is None or history is None or history.opening_cents is None or group is None:
        return
    limit = threshold_of(facts.reference, group, on.year)
    used = history.opening_cents + (history.accrued_cents or 0)
    if limit is not None and used + priced.amount_cents < limit.kx_cents:
        message = f"KX, and {dollars(used)} of {dollars(limit.kx_cents)} are known to be used in {on.year} ({limit.cited})"
        yield on_day("KX01", message, FIX, Severity.INFORMATION)
