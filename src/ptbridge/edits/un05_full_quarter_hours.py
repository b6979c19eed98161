"""UN05: a service's full quarter hours were billed under another code.

What it checks
    Under the 8-minute rule, when all units of the day are used: each service has at least one unit for every full 15 of
    its own minutes.
Why it matters
    The units of a day belong to the services with the minutes. Giving one service's quarter hour to another bills
    something that was not done.
Fix
    Give the service its full quarter hours and take the units from the one that has more than its minutes.
Source
    CMS Pub. 100-04, ch. 5, section 20.2.C and its examples
Cases (medicare_part_b)
    97110-GP x2 @30, 97140-GP x1 @14, 97112-GP x0 @8       -> ok
    97110-GP x1 @30, 97140-GP x1 @14, 97112-GP x1 @8       -> 97110: 1 of 2 full quarter hours billed
    97112-GP x2 @20, 97110-GP x1 @20                       -> ok
    97110-GP x1 @40                                        -> ok
Cases (commercial_midpoint)
    97110-GP x1 @30, 97140-GP x1 @14, 97112-GP x1 @8       -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.minutes import EIGHT_MINUTE, eight_minute_units, timed_services
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Give the service its full quarter hours and take the units from the one that has more than its minutes."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for each service below its full quarter hours, once the day's units are all given out."""
    terms = facts.terms(priced.day.service_date)
    if terms is None or terms.counting_rule != EIGHT_MINUTE:
        return
    pool = [service for service in timed_services(priced, facts.codes) if service.first.pooled]
    minutes = [service.minutes for service in pool if service.minutes is not None]
    if len(minutes) < len(pool) or sum(service.units for service in pool) < eight_minute_units(sum(minutes)):
        return  # minutes unknown, or units left over: UN04 speaks of those
    for service in pool:
        full = (service.minutes or 0) // 15
        if service.units < full:
            yield on_day("UN05", f"{service.first.code}: {service.units} of {full} full quarter hours billed", FIX)
