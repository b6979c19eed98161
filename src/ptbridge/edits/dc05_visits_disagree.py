"""DC05: the visits of the day disagree about what a claim says once.

What it checks
    Two visits of one patient and discipline on one day are billed together: the same place of service, authorization
    number and referring provider, where they give one. Two rendering therapists are no disagreement: each line names its
    own.
Why it matters
    A claim carries one place of service, one authorization and one referring provider for all its lines; with two of
    them one line is wrong.
Fix
    Correct the visit that is wrong in the EMR. If both are right, exclude the day and bill it as two claims by hand.
Source
    X12 005010X222A1 (837P), loop 2300 CLM05-1 and REF*G1, loop 2310A (one per claim);
    CMS Pub. 100-04, ch. 5, section 20.2 (one count a day)
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
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the visit that is wrong in the EMR. If both are right, exclude the day and bill it as two claims by hand."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each fact of the claim that two visits give differently; a visit that is silent agrees."""
    if len(priced.coded.day.visits) < 2:
        return
    visits = billable_visits(priced)
    facts_of_claim = {
        "place of service": {visit.place_of_service for visit in visits},
        "authorization number": {visit.authorization_number for visit in visits},
        "referring NPI": {visit.referring.npi for visit in visits if visit.referring is not None},
    }
    for name, given in facts_of_claim.items():
        if len(given - {None}) > 1:
            yield on_day("DC05", f"the day's visits disagree on the {name}", FIX)
