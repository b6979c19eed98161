"""DX07: a diagnosis stands twice.

What it checks
    No diagnosis of the day is there twice, with or without its dot.
Why it matters
    The clearinghouse rejects a claim that lists a code twice.
Fix
    Remove the second one in the EMR, or have it write all codes in one form.
Source
    X12 005010X222A1 (837P), loop 2300, HI; ICD-10-CM official guidelines, section I.B.8 (each code once)
Cases (medicare_part_b)
    97110-GP x1 @15 | diagnoses=M54.50, M25.561            -> ok
    97110-GP x1 @15 | diagnoses=M54.50, M25.561, M5450     -> diagnosis 3: M5450 stands twice
    97110-GP x1 @15 | diagnoses=M54.50, M54.50             -> diagnosis 2: M54.50 stands twice
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.diagnosis_code import well_formed
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Remove the second one in the EMR, or have it write all codes in one form."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each diagnosis that repeats an earlier one."""
    diagnoses = priced.coded.diagnoses
    if len(diagnoses) < 2:
        return
    seen: set[str] = set()
    for number, diagnosis in enumerate(diagnoses, 1):
        code = diagnosis.code.replace(".", "").upper()
        if code in seen and well_formed(diagnosis.code):
            yield on_day("DX07", f"diagnosis {number}: {diagnosis.code} stands twice", FIX)
        seen.add(code)
