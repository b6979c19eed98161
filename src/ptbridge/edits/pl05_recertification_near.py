"""PL05: the plan's certification ends within ten days.

What it checks
    The service date is one of the last ten days of the certified period: the plan's end or 90 days from its beginning,
    whichever is earlier (PL03 says when it is over).
Why it matters
    A recertification takes days to come back; asked for now, no treatment day falls outside.
Fix
    If treatment goes on, send the plan for recertification now.
Source
    CMS Pub. 100-02, ch. 15, section 220.1.3; ten days are ptbridge's choice
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | plan=2026-02-16..2026-03-13          -> ok
    97110-GP x1 @15 | plan=2026-02-16..2026-03-12
        -> information: the certification ends on 2026-03-12, 10 days after this visit
    97110-GP x1 @15 | plan=2026-02-16..2026-03-02 -> information: the certification ends on 2026-03-02, with this visit
    97110-GP x1 @15 | plan=2025-12-10.. | certified=2025-12-15 -> information: the certification ends on 2026-03-10
    97110-GP x1 @15 | plan=2026-02-16..2026-03-12 | terms=certification=none -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.plan_dates import certification_ends, plan_began, weighed_plan
from ptbridge.edits.report import on_day
from ptbridge.model import (
    Finding,
    PricedDay,
    Severity,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "If treatment goes on, send the plan for recertification now."
NEAR_DAYS = 10


@edit(severity=Severity.INFORMATION)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield one remark in the last days of a certified period."""
    weighed = weighed_plan(priced, facts, lambda terms: terms.certification)
    if weighed is None:
        return
    on, plan, _ = weighed
    began = plan_began(plan, facts, on)
    if began is None:
        return
    last = certification_ends(plan, began)
    left = (last - on).days
    if 0 <= left <= NEAR_DAYS:
        when = f"{left} {'day' if left == 1 else 'days'} after this visit" if left else "with this visit"
        yield on_day("PL05", f"the certification ends on {last}, {when}", FIX, Severity.INFORMATION)
