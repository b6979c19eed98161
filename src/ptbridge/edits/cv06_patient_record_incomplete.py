"""CV06: the patient's record lacks what every claim needs.

What it checks
    Family name, given name and birth date (an error), and sex (a warning). The finding names the fields, never a value.
Why it matters
    The payer cannot tell who was treated; the claim is rejected before it is read.
Fix
    Complete the patient's record in the EMR.
Source
    X12 005010X222A1 (837P), loops 2010BA and 2010CA: NM103, NM104, DMG02, DMG03
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | patient_lacks=birth_date             -> the patient's record lacks: birth date
    97110-GP x1 @15 | patient_lacks=family given           -> the patient's record lacks: family name, given name
    97110-GP x1 @15 | patient_lacks=sex                    -> warning: the patient's record lacks: sex
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Complete the patient's record in the EMR."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding that names the fields that are absent."""
    patient = priced.day.patient
    if not (patient.family and patient.given and patient.birth_date):
        fields = {"family name": patient.family, "given name": patient.given, "birth date": patient.birth_date}
        lacking = ", ".join(name for name, value in fields.items() if not value)
        yield on_day("CV06", f"the patient's record lacks: {lacking}", FIX)
    if not patient.sex:
        yield on_day("CV06", "the patient's record lacks: sex", FIX, Severity.WARNING)
