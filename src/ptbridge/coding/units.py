"""The units of a treatment day: counted by the payer's rule, compared with the EMR's, and never silently changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ptbridge.coding import findings as kinds
from ptbridge.coding.documented import Procedure
from ptbridge.model import Finding, Severity, TreatmentDay
from ptbridge.policy import Terms
from ptbridge.policy.counting import Allocation, Service, Units, allocate, allowed_units

RULE_WORDS = {"eight_minute_total": "8-minute rule", "midpoint_each_code": "midpoint of each code"}


@dataclass(slots=True)
class Counted:
    """Units by code (zeros included), the answers the rule accepts (none: it could not be counted), and why."""

    units: dict[str, int] = field(default_factory=dict)
    acceptable: tuple[Units, ...] = ()
    because: dict[str, str] = field(default_factory=dict)  # by code
    day_because: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)


def count(day: TreatmentDay, procedures: Mapping[str, Procedure], terms: Terms | None) -> Counted:
    """Decide the units of every procedure. What cannot be counted gets a finding that holds, and no guessed units."""
    counted = Counted()
    timed: list[Procedure] = []
    by_rule: list[Procedure] = []
    missing: list[Procedure] = []
    for procedure in procedures.values():
        row = procedure.row
        if row.counts == "quantity":
            _quantity(procedure, counted)
            continue
        by_rule.append(procedure)
        if row.counts == "minutes":
            timed.append(procedure)
            if procedure.minutes is None or procedure.minutes < 0:
                missing.append(procedure)
            if row.add_on_of is not None and row.add_on_of not in procedures:
                counted.findings.append(kinds.ADD_ON_ALONE(f"{row.code} without {row.add_on_of}", at=procedure.at))
    if not by_rule:
        return counted
    rule = None if terms is None else terms.counting_rule
    if timed and rule is None:
        if terms is not None:
            counted.findings.append(kinds.RULE_UNSET(f"{terms.payer} has no counting_rule on {day.service_date}"))
        _as_documented(by_rule, counted, "no counting rule")
    elif missing:
        assert rule is not None
        _without_minutes(day, by_rule, missing, rule, counted)
    else:
        lines = [(procedure.row, procedure.minutes) for procedure in by_rule]
        payer = "" if terms is None else terms.payer
        _compare(allocate(rule or "eight_minute_total", lines), by_rule, payer, counted)  # untimed only: any rule says once
    return counted


def _quantity(procedure: Procedure, counted: Counted) -> None:
    code = procedure.row.code
    if procedure.units is None or procedure.units < 0:
        counted.findings.append(kinds.QUANTITY_MISSING(f"{code} has no documented units", at=procedure.at))
        return
    counted.units[code] = procedure.units
    counted.because[code] = f"counts a quantity -> {procedure.units} as documented"


def _as_documented(procedures: list[Procedure], counted: Counted, why: str) -> None:
    """The EMR's units where it has them, so that every other check can still run; the day is held already."""
    for procedure in procedures:
        code = procedure.row.code
        if procedure.units is not None and procedure.units >= 0:
            counted.units[code] = procedure.units
            counted.because[code] = f"{why} -> {procedure.units} as documented"
        elif not procedure.row.timed:
            counted.units[code] = 1
            counted.because[code] = "untimed -> 1 unit"


# ---------------------------------------------------------------- minutes documented


def _compare(allocation: Allocation, procedures: list[Procedure], payer: str, counted: Counted) -> None:
    """Take the EMR's units where the rule accepts them or where they are fewer; else ours, and hold."""
    counted.acceptable = allocation.acceptable
    ours = dict(allocation.units)
    chosen, note = ours, ""
    emr = {procedure.row.code: procedure.units for procedure in procedures if procedure.units is not None}
    if emr:
        match = _matching(allocation, emr, len(emr) == len(procedures))
        if match is not None:
            chosen, note = match, ", as documented" if match != ours else ""
        elif _fewer(allocation, emr, ours):
            chosen, note = {**ours, **emr}, ", fewer as documented"
            counted.findings.append(_differ(allocation, procedures, emr, ours, Severity.WARNING))
        else:
            counted.findings.append(_differ(allocation, procedures, emr, ours, Severity.ERROR))
    counted.units |= chosen
    _explain(allocation, chosen, payer, note, counted)


def _matching(allocation: Allocation, emr: Mapping[str, int], whole: bool) -> dict[str, int] | None:
    """The acceptable answer that has the EMR's units of every code for which it gives any."""
    if whole:
        if not allocation.accepts(emr):
            return None
        spelled = dict.fromkeys((code for code, _ in allocation.units), 0)
        return spelled | dict(emr)
    for answer in allocation.acceptable:
        units = dict(answer)
        if all(units.get(code) == given for code, given in emr.items()):
            return units
    return None


def _fewer(allocation: Allocation, emr: Mapping[str, int], ours: Mapping[str, int]) -> bool:
    """True when the EMR's units are within an acceptable answer and drop no service whole: too few is money, not an offence."""
    dropped = any(given == 0 and ours.get(code, 0) > 0 for code, given in emr.items())
    return not dropped and min(emr.values()) >= 0 and allocation.covers(emr)


def _differ(
    allocation: Allocation, procedures: list[Procedure], emr: Mapping[str, int], ours: Mapping[str, int], severity: Severity
) -> Finding:
    differing = [
        procedure
        for procedure in procedures
        if emr.get(procedure.row.code, ours.get(procedure.row.code)) != ours[procedure.row.code]
    ]
    words = ", ".join(f"{code} x{units}" for code, units in emr.items())
    allowed = " or ".join(", ".join(f"{code} x{units}" for code, units in answer) for answer in allocation.acceptable[:4])
    more = " or another of equal rank" if len(allocation.acceptable) > 4 else ""
    return kinds.UNITS_DIFFER(
        f"the EMR has {words}; {allocation.pool_minutes} pooled minutes allow {allowed}{more} ({RULE_WORDS[allocation.rule]})",
        at=(differing or procedures)[0].at,
        severity=severity,
    )


def _explain(allocation: Allocation, chosen: Mapping[str, int], payer: str, note: str, counted: Counted) -> None:
    suffix = f"({payer}, {RULE_WORDS[allocation.rule]}{note})"
    for service in allocation.services:
        units = sum([chosen.get(code, 0) for code in service.codes])
        counted.because[service.codes[0]] = text = _sentence(allocation, service, units, suffix)
        if len(service.codes) == 2:
            counted.because[service.codes[1]] = f"{text}; the first under {service.codes[0]}, the rest under {service.codes[1]}"
    if allocation.choose:
        tied = ", ".join(allocation.services[position].codes[0] for position in allocation.tied)
        listed = "" if allocation.complete else f"; the first {len(counted.acceptable)} answers are listed"
        counted.day_because = (
            f"{tied} have equal left-over minutes: any {allocation.choose} of them may have one unit more;"
            f" without the EMR's word, those documented first{listed}",
        )


def _sentence(allocation: Allocation, service: Service, units: int, suffix: str) -> str:
    if service.minutes is None:
        return f"untimed -> {units} unit{'s' * (units != 1)}"
    if not service.row.pooled:
        return f"{service.minutes} minutes, outside the 15-minute total -> {units} units, each past its middle"
    if allocation.rule == "eight_minute_total":
        return (
            f"{service.minutes} of {allocation.pool_minutes} timed minutes -> {units} of {allocation.pool_units} units {suffix}"
        )
    return f"{service.minutes} minutes -> {units} units {suffix}"


# ---------------------------------------------------------------- minutes of a code missing


def _without_minutes(
    day: TreatmentDay, procedures: list[Procedure], missing: list[Procedure], rule: str, counted: Counted
) -> None:
    """Pub. 100-02 ch. 15 section 220.3.E asks for the day's totals only, so units with a consistent total may pass.

    Nothing is divided over the codes by ptbridge: without the EMR's units, or against the total, the day holds.
    """
    total = _documented_total(day, procedures)
    problem = _inconsistent(procedures, missing, rule, total)
    _as_documented(procedures, counted, f"{total} timed minutes in total" if total is not None else "no minutes")
    if problem:
        counted.findings += [
            kinds.MINUTES_MISSING(f"{procedure.row.code}: {problem}", at=procedure.at) for procedure in missing
        ]
        return
    billed = sum(procedure.units or 0 for procedure in procedures if procedure.row.timed)
    allowed = allowed_units(total or 0)
    if rule == "eight_minute_total" and billed < allowed:
        message = f"the EMR has {billed} timed units; a total of {total} minutes allows {allowed}"
        counted.findings.append(kinds.UNITS_DIFFER(message, at=missing[0].at, severity=Severity.WARNING))
    counted.day_because = (
        f"no minutes for {', '.join(procedure.row.code for procedure in missing)}: the EMR's {billed} timed units fit the"
        f" {total} minutes of the day's total ({RULE_WORDS[rule]})",
    )


def _documented_total(day: TreatmentDay, procedures: list[Procedure]) -> int | None:
    """The day's timed minutes as the notes total them; None when a visit with timed lines has no total."""
    timed = {visit.visit_id: visit for procedure in procedures if procedure.row.timed for visit, _ in procedure.lines}
    totals = [visit.timed_minutes_total for visit in day.visits if visit.visit_id in timed]
    return sum(total for total in totals if total is not None) if totals and None not in totals else None


def _inconsistent(procedures: list[Procedure], missing: list[Procedure], rule: str, total: int | None) -> str:
    """Why the EMR's units cannot be accepted on the day's total alone; empty when they can."""
    timed = [procedure for procedure in procedures if procedure.row.timed]
    if any(procedure.minutes is not None and procedure.minutes < 0 for procedure in missing):
        return "negative minutes"
    if any(not procedure.row.pooled for procedure in timed):
        return "no minutes, and codes of another unit length need their own"
    if any(procedure.units is None or procedure.units < 0 for procedure in timed):
        return "no minutes and no units"
    if any(procedure.units not in (None, 1) for procedure in procedures if not procedure.row.timed):
        return "no minutes, and an untimed code has units other than 1"
    if total is None:
        return "units without minutes, and the note has no timed total to check them against"
    known = sum(procedure.minutes or 0 for procedure in timed)
    if known > total:
        return f"the minutes of the other codes ({known}) exceed the day's timed total ({total})"
    return _over_total(timed, rule, total)


def _over_total(timed: list[Procedure], rule: str, total: int) -> str:
    units = [(procedure, procedure.units or 0) for procedure in timed]
    billed = sum(given for _, given in units)
    for procedure, given in units:
        if procedure.minutes is not None and not procedure.minutes // 15 <= given <= procedure.minutes // 15 + 1:
            return f"no minutes, and {procedure.row.code} has {given} units for {procedure.minutes} minutes"
    if rule == "eight_minute_total":
        allowed = allowed_units(total)
        return "" if billed <= allowed else f"{billed} timed units without minutes; a total of {total} minutes allows {allowed}"
    least = sum(15 * given - 7 for _, given in units if given)
    return "" if least <= total else f"{billed} timed units need at least {least} minutes; the total is {total}"
