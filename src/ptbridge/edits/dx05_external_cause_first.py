"""DX05: an external cause stands first.

What it checks
    The first diagnosis of the day, and the first that each line points to, is not a code from V00 to Y99.
Why it matters
    These codes say how an injury happened, never what is treated; payers deny a claim that leads with one.
Fix
    Put the treated condition first and the cause after it.
Source
    ICD-10-CM official guidelines, section I.C.20 (never first-listed)
Cases (medicare_part_b)
    97110-GP x1 @15 | diagnoses=S83.511A, W18.39XA         -> ok
    97110-GP x1 @15 | diagnoses=W18.39XA, S83.511A         -> warning: W18.39XA stands first; it says how, not what
    97110-GP x1 @15 | diagnoses=S83.511A, W18.39XA | pointers=2 1 -> warning: W18.39XA stands first
    97110-GP x1 @15 | diagnoses=Z47.89                     -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Put the treated condition first and the cause after it."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each external cause that leads the day or a line."""
    codes = [diagnosis.code for diagnosis in priced.coded.diagnoses]
    leading = {1, *(charge.line.diagnosis_pointers[0] for charge in priced.charges if charge.line.diagnosis_pointers)}
    for pointer in sorted(leading):
        if 1 <= pointer <= len(codes) and codes[pointer - 1][:1] in "VWXY":
            message = f"{codes[pointer - 1]} stands first; it says how, not what"
            yield on_day("DX05", message, FIX, Severity.WARNING)
