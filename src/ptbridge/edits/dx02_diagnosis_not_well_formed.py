"""DX02: a diagnosis is not in the form of an ICD-10-CM code.

What it checks
    A letter, two more characters, then up to four more after the dot. A leading ICD-9 number or a text is neither.
Why it matters
    The claim fails at the clearinghouse, with all its lines.
Fix
    Correct the diagnosis in the EMR, or the mapping that reads it.
Source
    ICD-10-CM official guidelines, section I.A (format and structure); 45 CFR 162.1002 (text of paragraphs (a)
    and (b) read; ICD-10-CM since 2015-10-01 stands in (c), unverified here)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | diagnoses=S83.511A                   -> ok
    97110-GP x1 @15 | diagnoses=724.2                      -> diagnosis 1: '724.2' is not in the form of an ICD-10-CM code
    97110-GP x1 @15 | diagnoses=M54.50, m545, M54.5.0      -> diagnosis 2: 'm545' is not && diagnosis 3: 'M54.5.0' is not
    97110-GP x1 @15 | diagnoses=low back pain of J. Doe    -> diagnosis 1: a text of 23 characters is not
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.diagnosis_code import well_formed
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the diagnosis in the EMR, or the mapping that reads it."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each diagnosis that cannot be a code."""
    for number, diagnosis in enumerate(priced.coded.diagnoses, 1):
        if not well_formed(diagnosis.code):
            message = f"diagnosis {number}: {_shown(diagnosis.code)} is not in the form of an ICD-10-CM code"
            yield on_day("DX02", message, FIX)


def _shown(code: str) -> str:
    """The value where it looks like a code of some system; any other text could say who the patient is."""
    looks_like_code = len(code) <= 8 and any(map(str.isdigit, code)) and code.replace(".", "").isalnum()
    return repr(code) if looks_like_code else f"a text of {len(code)} characters"
