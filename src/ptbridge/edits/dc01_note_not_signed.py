"""DC01: the treatment note is not signed.

What it checks
    Where the payer requires it: the note of every visit is signed. When the source does not say whether it is, that is
    not a signature.
Why it matters
    An unsigned note documents nothing on review, and everything billed from it is repaid.
Fix
    Have the therapist sign the note; the visit goes by itself at the next run. If the EMR does not tell, map its signature.
Source
    CMS Pub. 100-02, ch. 15, section 220.3.E (signature and credentials); the payer policy decides for others
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | note_signed=no                       -> the note is not signed
    97110-GP x1 @15 | note_signed=none                     -> the source does not say whether the note is signed
    97110-GP x0 @15 | status=no-show | note_signed=no      -> ok
Cases (none)
    97110-GP x1 @15 | note_signed=no                       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Have the therapist sign the note; the visit goes by itself at the next run. If the EMR does not tell, map its signature."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each visit with lines whose note is not known to be signed."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.note_signature != "required":
        return
    for visit in billable_visits(priced):
        if not visit.note_signed:
            said = "the note is not signed"
            message = said if visit.note_signed is False else "the source does not say whether the note is signed"
            yield on_day("DC01", message, FIX, visit_id=visit.visit_id)
