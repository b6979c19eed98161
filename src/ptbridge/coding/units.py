"""The units of a treatment day: counted by the payer's rule, compared with the EMR's, and never silently changed."""

from __future__ import annotations

from collections.abc import Mapping

from ptbridge.coding import findings as kinds
from ptbridge.coding.counted import RULE_WORDS, Counted, as_documented
from ptbridge.coding.day_total import accept_on_total
from ptbridge.coding.documented import Procedure
from ptbridge.model import Finding, Severity, TreatmentDay
from ptbridge.policy import Terms
from ptbridge.policy.counting import Allocation, Service, Units, allocate


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
        as_documented(by_rule, counted, "no counting rule")
    elif missing:
        assert rule is not None
        accept_on_total(day, by_rule, missing, rule, counted)
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


# ---------------------------------------------------------------- minutes documented


def _compare(allocation: Allocation, procedures: list[Procedure], payer: str, counted: Counted) -> None:
    """Take the EMR's units where the rule accepts them or where they are fewer; else ours, and hold."""
    counted.acceptable = answers = allocation.acceptable
    ours = dict(answers[0])
    chosen, note = ours, ""
    emr = {procedure.row.code: procedure.units for procedure in procedures if procedure.units is not None}
    if emr:
        whole = len(emr) == len(procedures)
        if match := _matching(allocation, answers, emr, whole=whole):
            chosen, note = match, ", as documented" if match != ours else ""
        elif fewer := _fewer(allocation, answers, emr, whole=whole):
            chosen, note = fewer, ", fewer as documented"
            counted.findings.append(_differ(allocation, procedures, emr, answers, Severity.WARNING))
        else:
            counted.findings.append(_differ(allocation, procedures, emr, answers, Severity.ERROR))
    counted.units |= chosen
    _explain(allocation, chosen, payer, note, counted)


def _matching(
    allocation: Allocation, answers: tuple[Units, ...], emr: Mapping[str, int], *, whole: bool
) -> dict[str, int] | None:
    """The acceptable answer that has the EMR's units of every code for which it gives any."""
    if whole:
        if not allocation.accepts(emr):
            return None
        return {code: 0 for code, _ in answers[0]} | dict(emr)
    for answer in answers:
        units = dict(answer)
        if all(units.get(code) == given for code, given in emr.items()):
            return units
    return None


def _fewer(allocation: Allocation, answers: tuple[Units, ...], emr: Mapping[str, int], *, whole: bool) -> dict[str, int] | None:
    """The EMR's units where an acceptable answer has at least as many of each code: too few is money, not an offence.

    None when a service that has units in every answer would be dropped whole: nothing documented is lost on a zero.
    """
    if min(emr.values()) < 0 or any(
        not given and all(dict(answer).get(code) for answer in answers) for code, given in emr.items()
    ):
        return None
    if whole:
        return {code: 0 for code, _ in answers[0]} | dict(emr) if any(emr.values()) and allocation.covers(emr) else None
    for answer in answers:
        units = dict(answer)
        if all(units.get(code, 0) >= given for code, given in emr.items()):
            return units | dict(emr)
    return None


def _differ(
    allocation: Allocation, procedures: list[Procedure], emr: Mapping[str, int], answers: tuple[Units, ...], severity: Severity
) -> Finding:
    ours = dict(answers[0])
    differing = [
        procedure
        for procedure in procedures
        if emr.get(procedure.row.code, ours.get(procedure.row.code)) != ours[procedure.row.code]
    ]
    words = ", ".join(f"{code} x{units}" for code, units in emr.items())
    allowed = " or ".join(", ".join(f"{code} x{units}" for code, units in answer) for answer in answers[:4])
    more = " or another of equal rank" if len(answers) > 4 else ""
    return kinds.UNITS_DIFFER(
        f"the EMR has {words}; {allocation.pool_minutes} pooled minutes allow {allowed}{more} ({RULE_WORDS[allocation.rule]})",
        at=(differing or procedures)[0].at,
        severity=severity,
    )


def _explain(allocation: Allocation, chosen: Mapping[str, int], payer: str, note: str, counted: Counted) -> None:
    suffix = f"({payer}, {RULE_WORDS[allocation.rule]}{note})"
    for service in allocation.services:
        first = service.codes[0]
        if len(service.codes) == 1:
            counted.because[first] = _sentence(allocation, service, chosen[first], suffix)
        else:
            units = sum(chosen.get(code, 0) for code in service.codes)
            counted.because[first] = text = _sentence(allocation, service, units, suffix)
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
        return f"untimed -> {_units(units)}"
    if not service.row.pooled:
        return f"{service.minutes} minutes, outside the 15-minute total -> {_units(units)}, counted past the middle of each"
    if allocation.rule == "eight_minute_total":
        return (
            f"{service.minutes} of {allocation.pool_minutes} timed minutes -> {units} of {allocation.pool_units} units {suffix}"
        )
    return f"{service.minutes} minutes -> {_units(units)} {suffix}"


def _units(number: int) -> str:
    return "1 unit" if number == 1 else f"{number} units"
