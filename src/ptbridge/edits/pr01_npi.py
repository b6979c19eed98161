"""PR01: an NPI is not a valid number.

What it checks
    Ten digits with the right check digit, for the billing, rendering, referring and supervising providers that are given.
Why it matters
    One wrong digit rejects the claim at the clearinghouse, or names somebody else.
Fix
    Correct the NPI in the EMR (billing: in the clinic file).
Source
    45 CFR 162.406(a): ten digits, the last a check digit (text read, 69 FR 3468); CMS, "Requirements for
    NPI and NPI check digit" (Luhn over prefix 80840)
Cases (medicare_part_b)
    97110-GP x1 @15                                        -> ok
    97110-GP x1 @15 | rendering=1245319598 PT              -> rendering NPI 1245319598: the check digit is wrong
    97110-GP x1 @15 | billing_npi=123456789                -> billing NPI is not ten digits
    97110-GP x1 @15 | referring_npi=3234567893             -> referring NPI 3234567893: does not start with 1 or 2
    97110-GP x1 @15 | supervising_npi=1234567890           -> supervising NPI 1234567890: the check digit is wrong
    97110-GP x1 @15 | referring_npi=none                   -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.npi import is_npi
from ptbridge.edits.report import on_day
from ptbridge.edits.visits import billable_visits
from ptbridge.model import Finding, PricedDay, Provider
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the NPI in the EMR."
FIX_BILLING = "Correct billing_provider.npi in the clinic file."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each role and number that is not an NPI; a provider without one is not spoken of here."""
    day = priced.day
    if not is_npi(day.billing_npi):
        yield on_day("PR01", f"billing NPI {_problem(day.billing_npi)}", FIX_BILLING, where="billing_provider.npi")
    said: set[tuple[str, str]] = set()
    for visit in billable_visits(priced):
        roles: tuple[tuple[str, Provider | None], ...] = (
            ("rendering", visit.rendering),
            ("referring", visit.referring),
            ("supervising", visit.supervising),
        )
        for role, provider in roles:
            npi = provider.npi if provider else None
            if npi and not is_npi(npi) and (role, npi) not in said:
                said.add((role, npi))
                yield on_day("PR01", f"{role} NPI {_problem(npi)}", FIX, visit_id=visit.visit_id)


def _problem(npi: str) -> str:
    if len(npi) != 10 or not (npi.isascii() and npi.isdigit()):
        return "is not ten digits"  # not shown: the field could hold anything, a tax id of a person included
    return f"{npi}: does not start with 1 or 2" if npi[0] not in "12" else f"{npi}: the check digit is wrong"
