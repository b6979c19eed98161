"""DX01: a line has no diagnosis, or points to one that is not there.

What it checks
    The day has a diagnosis; every line has one to four pointers, each to a diagnosis of the day, none twice.
Why it matters
    A line without a diagnosis cannot be judged necessary; a pointer to nothing makes the claim fail at the clearinghouse.
Fix
    Add the treating diagnosis to the visit, or correct the line's links.
Source
    X12 005010X222A1 (837P), loop 2300 HI and loop 2400 SV107 (one to four pointers, the first required)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | diagnoses=M54.50, M25.561 | pointers=2 1 -> ok
    97110-GP x1 @15 | diagnoses=none | pointers=none       -> the day has no diagnosis
    97110-GP x1 @15 | pointers=none                        -> 97110-GP x1: no diagnosis pointer
    97110-GP x1 @15 | pointers=1 2                         -> 97110-GP x1: pointer 2, and the day has 1 diagnosis
    97110-GP x1 @15 | pointers=0                           -> 97110-GP x1: pointer 0, and the day has 1 diagnosis
    97110-GP x1 @15 | pointers=1 1                         -> 97110-GP x1: pointer 1 stands twice
    97110-GP x1 @15 | diagnoses=M54.50, M25.561, M25.562, M62.81, R26.89 | pointers=1 2 3 4 5 -> 97110-GP x1: 5 pointers
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_day, on_line
from ptbridge.model import Finding, PricedDay, ServiceLine
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Add the treating diagnosis to the visit, or correct the line's links."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one finding for a day without diagnoses, otherwise one for each fault of each line's pointers."""
    count = len(priced.coded.diagnoses)
    if not count and priced.charges:
        yield on_day("DX01", "the day has no diagnosis", FIX)
        return
    for charge in priced.charges:
        pointers = charge.line.diagnosis_pointers
        if (
            not pointers
            or len(pointers) > 4
            or max(pointers) > count
            or min(pointers) < 1
            or len(set(pointers)) < len(pointers)
        ):
            yield from _faults(charge.line, count)


def _faults(line: ServiceLine, count: int) -> Iterator[Finding]:
    pointers = line.diagnosis_pointers
    if not pointers:
        yield on_line("DX01", line, "no diagnosis pointer", FIX)
    if len(pointers) > 4:
        yield on_line("DX01", line, f"{len(pointers)} pointers; a claim line carries 4", FIX)
    for pointer in dict.fromkeys(pointers):
        if not 1 <= pointer <= count:
            plural = "diagnosis" if count == 1 else "diagnoses"
            yield on_line("DX01", line, f"pointer {pointer}, and the day has {count} {plural}", FIX)
        if pointers.count(pointer) > 1:
            yield on_line("DX01", line, f"pointer {pointer} stands twice", FIX)
