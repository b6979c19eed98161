"""DX06: an unspecified side stands beside the same diagnosis with a side.

What it checks
    Diagnoses of the musculoskeletal (M) and limb injury (S40 to S99) chapters that agree in all characters but the one for
    the side: one says unspecified (9; in M16, M17 and M18: 0), another right or left (1, 2). Right and left together are
    two sides, not a contradiction. Only what the characters themselves show is checked; whether the side is the one that
    was treated cannot be known.
Why it matters
    Payers question an unspecified side, the more when the claim itself names it.
Fix
    Keep the diagnosis with the side.
Source
    ICD-10-CM official guidelines, section I.B.13 (laterality); the position of the side: unverified for every category
Cases (medicare_part_b)
    97110-GP x1 @15 | diagnoses=M25.561, M25.562           -> ok
    97110-GP x1 @15 | diagnoses=M25.561, M25.569           -> warning: M25.569 leaves open the side that M25.561 names
    97110-GP x1 @15 | diagnoses=S83.519A, S83.512A         -> warning: S83.519A leaves open the side that S83.512A names
    97110-GP x1 @15 | diagnoses=M17.10, M17.11             -> warning: M17.10 leaves open the side that M17.11 names
    97110-GP x1 @15 | diagnoses=M54.50, M54.51             -> ok
    97110-GP x1 @15 | diagnoses=M25.569                    -> ok
    97110-GP x1 @15 | diagnoses=S42.001A, S42.009A         -> warning: S42.009A leaves open the side that S42.001A names
    97110-GP x1 @15 | diagnoses=S06.0X1A, S06.0X9A         -> ok
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

FIX = "Keep the diagnosis with the side."
ARTHRITIS = frozenset({"M161", "M163", "M165", "M171", "M173", "M181", "M183", "M185"})
"""Categories whose fifth character is the side: 0 unspecified, 1 right, 2 left."""


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each unspecified diagnosis whose side another one names."""
    diagnoses = priced.coded.diagnoses
    if len(diagnoses) < 2:
        return
    sided: dict[str, str] = {}
    for diagnosis in diagnoses:
        stem, side = stem_and_side(diagnosis.code)
        if side in ("right", "left"):
            sided.setdefault(stem, diagnosis.code)
    for diagnosis in diagnoses if sided else ():
        stem, side = stem_and_side(diagnosis.code)
        if side == "unspecified" and stem in sided:
            message = f"{diagnosis.code} leaves open the side that {sided[stem]} names"
            yield on_day("DX06", message, FIX, Severity.WARNING)


def stem_and_side(written: str) -> tuple[str, str]:
    """The code up to its side, and the side: right, left, unspecified; empty where the characters do not show one."""
    code = written.replace(".", "")
    if code[:4] in ARTHRITIS and len(code) == 5:
        return code[:4], {"0": "unspecified", "1": "right", "2": "left"}.get(code[4], "")
    if len(code) >= 6 and (code[0] == "M" or (code[0] == "S" and code[1] >= "4")):
        return code[:5], {"9": "unspecified", "1": "right", "2": "left"}.get(code[5], "")
    return "", ""
