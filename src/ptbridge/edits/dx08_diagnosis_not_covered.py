"""DX08: no diagnosis of the line is in the payer's coverage list.

What it checks
    Where the payer's policy lists the diagnoses that it covers a code for (covered_diagnoses, in the policy itself or in a CSV
    beside it; docs/coverage-lists.md): one of those that the line points to begins with one of the list's. Most therapy
    policies have no list; none ships with ptbridge, and without one nothing is said.
Why it matters
    The line is denied (adjustment reasons 11, 50, 167), although another documented diagnosis may be in the list.
Fix
    Point the line to the diagnosis that was treated, if it is in the list. A diagnosis is never chosen to be paid.
Source
    The contractor's local coverage article (Medicare Coverage Database), or the payer's medical policy
Cases (medicare_part_b)
    G0283-GP x1 @15                                        -> ok
    G0283-GP x1 @15 | terms=covered_diagnoses=G0283 M17 M54.5 -> ok
    G0283-GP x1 @15 | diagnoses=R26.89 | terms=covered_diagnoses=G0283 M17 M54.5
        -> warning: G0283-GP x1: none of its diagnoses is among those that medicare_part_b covers G0283 for (this case)
    G0283-GP x1 @15 | diagnoses=R26.89, M54.50 | pointers=1 2 | terms=covered_diagnoses=G0283 M17 M54.5 -> ok
    97110-GP x1 @15 | diagnoses=R26.89 | terms=covered_diagnoses=G0283 M17 M54.5 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Point the line to the diagnosis that was treated, if it is in the list. A diagnosis is never chosen to be paid."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each line of a listed code without a listed diagnosis."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or not terms.covered_diagnoses:
        return
    source = terms.sources["covered_diagnoses"]
    codes = [diagnosis.code.replace(".", "") for diagnosis in priced.coded.diagnoses]
    for charge in priced.charges:
        line = charge.line
        covered = terms.covered_diagnoses.get(line.procedure)
        if covered is None:
            continue
        pointed = [codes[pointer - 1] for pointer in line.diagnosis_pointers if 1 <= pointer <= len(codes)]
        beginnings = tuple(beginning.replace(".", "") for beginning in covered)
        if not any(code.startswith(beginnings) for code in pointed):
            message = f"none of its diagnoses is among those that {terms.payer} covers {line.procedure} for ({source})"
            yield on_line("DX08", line, message, FIX, Severity.WARNING)
