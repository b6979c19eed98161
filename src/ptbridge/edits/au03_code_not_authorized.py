"""AU03: a code is not among those authorized.

What it checks
    Where the visit's authorization is on file and names codes: every billed line's code is one of them. One without codes
    is for any.
Why it matters
    The line is denied (adjustment reason 197), while the rest of the day is paid.
Fix
    Ask the payer to add the code, or correct the authorization on file.
Source
    X12 adjustment reason 197; the payer's letter of authorization
Cases (commercial_midpoint)
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 -> ok
    97110-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 codes=97110+97140 -> ok
    97110-GP x1 @15, 97530-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 codes=97110+97140
        -> 97530-GP x1: not among the 2 codes of the authorization
    97530-GP x1 @15 | authorization=A1 | authorizations=A1 visits=12 codes=97110; A1 units=8 codes=97530 -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.authorized import covers, uses
from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Ask the payer to add the code, or correct the authorization on file."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line that none of the number's authorizations is for."""
    for use in uses(priced, facts):
        for charge in use.charges if use.fitting else ():
            if not any(covers(found, charge) for found in use.fitting):
                codes = len(frozenset().union(*(found.codes for found in use.fitting)))
                plural = "code" if codes == 1 else "codes"
                yield on_line("AU03", charge.line, f"not among the {codes} {plural} of the authorization", FIX)
