"""DC05: the visits of the day disagree about what a charge says once.

What it checks
    Two visits of one patient and discipline on one day are billed together. Where both give a place of service or an
    authorization number, it must be the same (an error); different referring providers are a warning. Two rendering
    therapists are no disagreement: each line names its own.
Why it matters
    A charge says these once for all its lines. Where visits differ, one line would be billed with the other's, or the
    biller would get none.
Fix
    Correct the visit that is wrong in the EMR. If both are right, exclude the day and have the biller enter it line by line.
Source
    X12 005010X222A1 (837P): CLM05-1, REF*G1 and loop 2310A once a claim; exceptions by line in SV105, REF*G1, loop 2420F
Cases (medicare_part_b)
    97110-GP x1 @15, 97140-GP x1 @15 | second_visit=11     -> ok
    97110-GP x1 @15, 97140-GP x1 @15 | second_visit=12     -> the day's visits disagree on the place of service
    97110-GP x1 @15, 97140-GP x1 @15 | authorization=A1 | second_visit=11 A2 -> the day's visits disagree on the authorization
    97110-GP x1 @15, 97140-GP x1 @15 | authorization=A1 | second_visit=11 -> ok
    97110-GP x1 @15                                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = (
    "Correct the visit that is wrong in the EMR. If both are right, exclude the day and have the biller enter it line by line."
)
FIX_REFERRING = "Check which provider certified the plan of care; tell the biller if the lines have different ones."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each fact of the charge that two visits give differently; a visit that is silent agrees."""
    if len(priced.coded.day.visits) < 2:
        return
    visits = billable_visits(priced)
    places = {visit.place_of_service for visit in visits}
    authorizations = {visit.authorization_number for visit in visits}
    for name, given in (("place of service", places), ("authorization number", authorizations)):
        if len(given - {None}) > 1:
            yield on_day("DC05", f"the day's visits disagree on the {name}", FIX)
    referring = {visit.referring.npi for visit in visits if visit.referring is not None}
    if len(referring - {None}) > 1:
        yield on_day("DC05", "the day's visits disagree on the referring NPI", FIX_REFERRING, Severity.WARNING)
