"""PC03: an unlisted code needs a description of what was done.

What it checks
    97039, 97139 and 97799 on any line.
Why it matters
    The code itself says nothing; payers deny it unless the claim carries a description, and price it by hand.
Fix
    Send the biller a description of the service and the note, or use the code that fits.
Source
    X12 005010X222A1 (837P), loop 2400, SV101-7 and NTE
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97139-GP x1                                            -> warning: 97139-GP x1: an unlisted code
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

UNLISTED = frozenset({"97039", "97139", "97799"})


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for each unlisted code."""
    for charge in priced.charges:
        if charge.line.procedure in UNLISTED:
            fix = "Send the biller a description of the service and the note, or use the code that fits."
            yield on_line(
                "PC03",
                charge.line,
                "an unlisted code says nothing by itself; the claim needs a description",
                fix,
                Severity.WARNING,
            )
