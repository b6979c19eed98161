"""UN01: billed timed units exceed what the documented minutes support.

What it checks
    The day's billed timed units against the units that the payer's counting rule allows: under the 8-minute rule the
    15-minute services together and each alone (never more than its full quarter hours and one), under the midpoint
    rule each service alone. Services with other unit lengths are counted each alone under both rules; where CMS does
    not say so (under the 8-minute rule) that is a warning.
Why it matters
    Billing and total timed minutes must agree; extra units are repaid on review.
Fix
    Correct the minutes in the note, or lower the units.
Source
    CMS Pub. 100-04, ch. 5, section 20.2.C (8-minute rule, in force for all service dates since 2000); CPT introduction,
    "Time" (midpoint). Services with other unit lengths under the 8-minute rule: not stated by CMS.
Cases (medicare_part_b)
    97110-GP x2 @23                                        -> ok
    97110-GP x2 @22                                        -> 2 timed units billed; 22 timed minutes allow 1
    97110-GP x2 @33, 97140-GP x1 @7                        -> ok
    97110-GP x2 @24, 97112-GP x2 @23                       -> 4 timed units billed; 47 timed minutes allow 3
    97112-GP x3 @20, 97110-GP x0 @20                       -> 97112: 3 units billed; 20 minutes allow at most 2
    97110-GP x1 @18, 97140-GP x1 @13, 97116-GP x1 @10, 97035-GP x0 @8 -> ok
    97110-GP x2 | documented=97110 | timed_total=22        -> 2 timed units billed; 22 timed minutes allow 1
    97550-GP x1 @15                                        -> warning: 97550 with 97551: 1 unit billed; 15 minutes allow 0
    97110-GP x2 @20, 97550-GP x1 @30                       -> 2 timed units billed; 20 timed minutes allow 1
    97110-GP x1 @14, 97140-GP x1 @9 | second_visit=11      -> ok
    97110-GP x1 @14, 97140-GP x1 @8 | second_visit=11      -> 2 timed units billed; 22 timed minutes allow 1
    97161-GP x1 @5                                         -> ok
Cases (commercial_midpoint)
    97110-GP x2 @24, 97112-GP x2 @23                       -> ok
    97110-GP x2 @33, 97140-GP x1 @7                        -> 97140: 1 unit billed; 7 minutes allow 0
    97129-GN x1 @30, 97130-GN x1 | documented=97129@22     -> 97129 with 97130: 2 units billed; 22 minutes allow 1
Cases (none)
    97110-GP x9 @8                                         -> ok
"""

from __future__ import annotations

from collections.abc import Iterator

from ptbridge.edits.minutes import EIGHT_MINUTE, MIDPOINT, TimedService, pool, timed_services
from ptbridge.edits.report import on_day
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.codes import CodeTable
from ptbridge.policy.facts import Facts
from ptbridge.ports import edit

FIX = "Correct the minutes in the note, or lower the units."


@edit()
def check(priced: PricedDay, facts: Facts) -> Iterator[Finding]:
    """Yield a finding for the pool, and for each service that has more units than its own minutes can earn."""
    terms = facts.terms(priced.day.service_date)
    rule = terms.counting_rule if terms else None
    if rule not in (EIGHT_MINUTE, MIDPOINT):
        return
    services = timed_services(priced, facts.codes)
    if rule == EIGHT_MINUTE:
        yield from _pool(services, priced, facts.codes)
    for service in services:
        if rule == EIGHT_MINUTE and service.first.pooled:
            yield from _share(service)
        else:
            yield from _alone(service, Severity.ERROR if rule == MIDPOINT else Severity.WARNING)


def _pool(services: list[TimedService], priced: PricedDay, codes: CodeTable) -> Iterator[Finding]:
    found = pool(services, priced, codes)
    if found is not None and found.units > found.allowed:
        text = f"{found.units} timed units billed; {found.minutes} timed minutes allow {found.allowed}"
        yield on_day("UN01", text, FIX)


def _share(service: TimedService) -> Iterator[Finding]:
    if service.minutes is None:
        return
    most = service.minutes // 15 + 1
    if service.units > most:
        message = f"{_name(service)}: {service.units} units billed; {service.minutes} minutes allow at most {most}"
        yield on_day("UN01", message, FIX)


def _alone(service: TimedService, severity: Severity) -> Iterator[Finding]:
    allowed = service.midpoint_units
    if allowed is not None and service.units > allowed:
        plural = "unit" if service.units == 1 else "units"
        message = f"{_name(service)}: {service.units} {plural} billed; {service.minutes} minutes allow {allowed}"
        yield on_day("UN01", message, FIX, severity)


def _name(service: TimedService) -> str:
    return f"{service.first.code} with {service.further.code}" if service.further else service.first.code
