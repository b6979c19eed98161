"""DX09: aftercare or a second phase beside an injury that is still coded.

What it checks
    An aftercare code (Z47, Z48, Z51.89) beside an injury (S00 to T88) with a seventh character: aftercare of an injury is
    the injury itself with D. And one injury in two phases on a day (S83.511A with S83.511D). Read from the characters; the
    rule is from the guidelines, not checked against every category, so it is a warning.
Why it matters
    Payers deny the pair as contradictory, or ask for records.
Fix
    Keep the injury with the seventh character of its phase, and drop the aftercare code if it is for the same injury.
Source
    ICD-10-CM official guidelines, sections I.C.21.c.7 (aftercare) and I.C.19.a (seventh characters); unverified in detail
Cases (medicare_part_b)
    97110-GP x1 @15 | diagnoses=S83.511D                   -> ok
    97110-GP x1 @15 | diagnoses=Z47.1, M17.11              -> ok
    97110-GP x1 @15 | diagnoses=Z47.1, M80.051D            -> ok
    97110-GP x1 @15 | diagnoses=S83.511D, Z47.89
        -> warning: Z47.89 beside S83.511D: aftercare of an injury is coded as the injury
    97110-GP x1 @15 | diagnoses=S83.511A, S83.511D -> warning: S83.511A and S83.511D are one injury in two phases
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Keep the injury with the seventh character of its phase, and drop the aftercare code if it is for the same injury."
AFTERCARE = ("Z47", "Z48", "Z51.89", "Z5189")


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each aftercare code beside an injury, and for each injury in two phases."""
    codes = [diagnosis.code for diagnosis in priced.coded.diagnoses]
    injuries = [code for code in codes if code[:1] in ("S", "T") and len(code.replace(".", "")) == 7] if len(codes) > 1 else []
    if not injuries:
        return
    for code in codes:
        if code.startswith(AFTERCARE):
            message = f"{code} beside {injuries[0]}: aftercare of an injury is coded as the injury"
            yield on_day("DX09", message, FIX, Severity.WARNING)
    phases: dict[str, str] = {}
    for code in injuries:
        first = phases.setdefault(code[:-1], code)
        if first != code:
            yield on_day("DX09", f"{first} and {code} are one injury in two phases", FIX, Severity.WARNING)
