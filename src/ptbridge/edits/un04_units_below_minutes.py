"""UN04: fewer timed units are billed than the documented minutes support.

What it checks
    The day's billed timed units against those that the payer's counting rule allows (the reverse of UN01).
Why it matters
    The work was done and documented; units that are not billed are lost money, and a habit of it hides lost charges.
Fix
    Check the units in the EMR. If the lower number is meant, nothing needs to be done.
Source
    CMS Pub. 100-04, ch. 5, section 20.2.C; CPT introduction, "Time"
Cases (medicare_part_b)
    97110-GP x2 @23                                        -> ok
    97110-GP x1 @23                                        -> warning: 1 timed unit billed; 23 timed minutes allow 2
    97110-GP x2 @33, 97140-GP x0 @7                        -> warning: 2 timed units billed; 40 timed minutes allow 3
    97110-GP x1 @18, 97140-GP x1 @13, 97116-GP x1 @10, 97035-GP x0 @8 -> ok
    97110-GP x1 @10, 97550-GP x1 @30                       -> ok
Cases (commercial_midpoint)
    97110-GP x1 @24, 97112-GP x2 @23                       -> warning: 97110: 1 unit billed; 24 minutes allow 2
    97110-GP x2 @33, 97140-GP x0 @7                        -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.minutes import EIGHT_MINUTE, MIDPOINT, TimedService, pool, timed_services
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Check the units in the EMR. If the lower number is meant, nothing needs to be done."


@edit(severity=Severity.WARNING)
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a warning for the pool under the 8-minute rule, or for each service under the midpoint rule."""
    terms = facts.terms(priced.day.service_date)
    rule = terms.counting_rule if terms else None
    if rule not in (EIGHT_MINUTE, MIDPOINT):
        return
    services = timed_services(priced, facts.codes)
    if rule == EIGHT_MINUTE:
        yield from _pool(services, priced, facts.codes)
        return
    for service in services:
        allowed = service.midpoint_units
        if allowed is not None and service.units < allowed:
            text = f"{service.first.code}: {_units(service.units)} billed; {service.minutes} minutes allow {allowed}"
            yield on_day("UN04", text, FIX, Severity.WARNING)


def _pool(services: list[TimedService], priced: PricedDay, codes: CodeTable) -> Iterator[Finding]:
    found = pool(services, priced, codes)
    if found is not None and found.units < found.allowed:
        text = f"{_units(found.units, 'timed ')} billed; {found.minutes} timed minutes allow {found.allowed}"
        yield on_day("UN04", text, FIX, Severity.WARNING)


def _units(units: int, kind: str = "") -> str:
    return f"{units} {kind}unit" if units == 1 else f"{units} {kind}units"
