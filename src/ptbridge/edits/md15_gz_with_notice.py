"""MD15: GZ, and a signed notice is on file.

What it checks
    A line with GZ (a denial is expected, and no notice was given) on a day whose notice was signed by then. GX without GY,
    and GA or KX beside GZ, are MD08.
Why it matters
    Medicare denies GZ lines by itself and holds the clinic liable, although the patient has agreed to pay.
Fix
    Use GA instead of GZ if the notice is for this service.
Source
    CMS Pub. 100-04, ch. 30, section 50; Palmetto, GZ (automatic denial)
Cases (medicare_part_b)
    97110-GP-GZ x1 @15                                     -> ok
    97110-GP-GZ x1 @15 | abn=2026-03-02                    -> 97110-GP-GZ x1: GZ says that there is no notice
    97110-GP-GZ x1 @15 | abn=2026-03-03                    -> ok
    97110-GP-GZ x1 @15 | abn=2026-03-01 -> 97110-GP-GZ x1: GZ says that there is no notice; one was signed on 2026-03-01
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.report import on_line
from ptbridge.model import (
    Finding,
    PricedDay,
)
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Use GA instead of GZ if the notice is for this service."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each line with GZ on a day with a signed notice."""
    on = priced.day.service_date
    for charge in priced.charges:
        if "GZ" in charge.line.modifiers:
            signed = min((day for visit in priced.day.visits if (day := visit.abn_signed_on) is not None), default=None)
            if signed is not None and on is not None and signed <= on:
                message = f"GZ says that there is no notice; one was signed on {signed}"
                yield on_line("MD15", charge.line, message, FIX)
