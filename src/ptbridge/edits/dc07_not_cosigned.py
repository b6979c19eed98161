"""DC07: an assistant's note is not co-signed.

What it checks
    Where the payer's policy asks for it (or the clinic's own copy of the policy, for a state that does): the note of every
    visit in which an assistant treated is co-signed by the therapist. When the source does not say, that is not one.
Why it matters
    Where a payer or a state asks for it, the service counts as not supervised.
Fix
    Have the supervising therapist co-sign the note. If the EMR does not tell, map it as visit.cosigned.
Source
    The payer policy decides; Medicare asks for the signature of whoever furnished the service: CMS Pub. 100-02, ch. 15,
    section 220.3.E
Cases (medicare_part_b)
    97110-GP-CQ x1 @15                                     -> ok
    97110-GP-CQ x1 @15 | terms=note_cosignature=required | cosigned=yes -> ok
    97110-GP-CQ x1 @15 | terms=note_cosignature=required | cosigned=no
        -> the note of a visit by an assistant is not co-signed
    97110-GP-CQ x1 @15 | terms=note_cosignature=required   -> the source does not say whether the note is co-signed
    97110-GP x1 @15 | terms=note_cosignature=required      -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.edits.visits import assistant_treated, billable_visits
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Have the supervising therapist co-sign the note. If the EMR does not tell, map it as visit.cosigned."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each assistant's visit whose note is not known to be co-signed."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.note_cosignature != "required":
        return
    for visit in billable_visits(priced):
        if not visit.cosigned and assistant_treated(visit):
            said = "the note of a visit by an assistant is not co-signed"
            unsaid = "the source does not say whether the note is co-signed"
            yield on_day("DC07", said if visit.cosigned is False else unsaid, FIX, visit_id=visit.visit_id)
