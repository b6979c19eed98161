"""DX03: a diagnosis is not a billable ICD-10-CM code on the service date.

What it checks
    Every well-formed diagnosis against the list of billable codes. A code that stops too early (M54.5) is not billable.
    For dates that the list does not cover a listed code is taken as valid for one fiscal year more, and an unlisted one
    gives a warning: it may be new. The fix names the codes that go on from one that stops too early, where they are few.
Why it matters
    Payers deny a diagnosis that is not valid on the service date (adjustment reason 146), with the whole line.
Fix
    Code the diagnosis to its last character for that date.
Source
    ICD-10-CM official guidelines, section I.B.2 (highest number of characters); CMS and NCHS code list, fiscal year 2026
    (service dates 2025-10-01 to 2026-09-30)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | diagnoses=S83.511A, M25561           -> ok
    97110-GP x1 @15 | diagnoses=M54.5                      -> diagnosis 1: M54.5 is not billable on 2026-03-02
    97110-GP x1 @15 | diagnoses=M54.50, S83.511            -> diagnosis 2: S83.511 is not billable on 2026-03-02
    97110-GP x1 @15 | diagnoses=M54.50 | on=2026-11-02     -> ok
    97110-GP x1 @15 | diagnoses=M54.5 | on=2026-11-02      -> warning: diagnosis 1: M54.5 cannot be checked
    97110-GP x1 @15 | diagnoses=M54.50 | on=2021-11-02     -> warning: diagnosis 1: M54.50 cannot be checked
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from string import ascii_uppercase, digits

from ptbridge.edits.diagnosis_code import well_formed
from ptbridge.edits.icd10 import Icd10Lookup
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Code the diagnosis to its last character for that date."
MANY = 10
UNKNOWN = "Check the diagnosis against the list of that fiscal year."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each well-formed diagnosis that is not billable, or that the list cannot judge."""
    on = priced.day.service_date
    if facts.icd10 is None or on is None:
        return
    for number, diagnosis in enumerate(priced.coded.diagnoses, 1):
        code = diagnosis.code
        billable = facts.icd10(code, on)
        if billable or not well_formed(code):
            continue
        if billable is None:
            message = f"diagnosis {number}: {code} cannot be checked for {on}: the list of codes is of another year"
            yield on_day("DX03", message, UNKNOWN, Severity.WARNING)
        else:
            fix = FIX if not (exact := _continued(code, on, facts.icd10)) else f"{FIX[:-1]}: {', '.join(exact)}."
            yield on_day("DX03", f"diagnosis {number}: {code} is not billable on {on}", fix)


def _continued(code: str, on: date, billable: Icd10Lookup) -> list[str]:
    """Billable codes that are one character longer, if they are few enough to read: M54.50, M54.51, M54.59 for M54.5."""
    dot = "" if "." in code or len(code) > 3 else "."
    longer = [f"{code}{dot}{character}" for character in digits + ascii_uppercase]
    found = [candidate for candidate in longer if billable(candidate, on)]
    return found if len(found) <= MANY else []
