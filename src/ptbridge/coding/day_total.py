"""Units without minutes for each code: accepted on the day's timed total alone, or held.

CMS Pub. 100-02, ch. 15, section 220.3.E asks the note for the total of timed minutes, not for minutes of each code. So the
EMR's units may stand when they fit the total; ptbridge never divides a total over codes.
"""

from __future__ import annotations

from ptbridge.coding import findings as kinds
from ptbridge.coding.counted import RULE_WORDS, Counted, as_documented
from ptbridge.coding.documented import Procedure, line_minutes
from ptbridge.model import Severity, TreatmentDay
from ptbridge.policy.counting import allocate, allowed_units, midpoint_units


def accept_on_total(
    day: TreatmentDay, procedures: list[Procedure], missing: list[Procedure], rule: str, counted: Counted
) -> None:
    """Pub. 100-02 ch. 15 section 220.3.E asks for the day's totals only, so units with a consistent total may pass.

    Nothing is divided over the codes by ptbridge: without the EMR's units, or against the total, the day holds.
    """
    total = _documented_total(day, procedures)
    problem = _inconsistent(procedures, missing, rule, total)
    as_documented(procedures, counted, f"{total} timed minutes in total" if total is not None else "no minutes")
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
    """The day's timed minutes as the notes total them; a visit without a total counts by its lines if all have minutes."""
    total = 0
    for visit in day.visits:
        lines = [line for procedure in procedures if procedure.row.timed for at, line in procedure.lines if at is visit]
        minutes = [line_minutes(line) for line in lines]
        known = sum(part for part in minutes if part is not None)
        if lines and visit.timed_minutes_total is None and None in minutes:
            return None
        if lines:
            total += known if visit.timed_minutes_total is None else visit.timed_minutes_total
    return total


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
    if any(procedure.row.add_on is not None and (procedure.units or 0) > 1 for procedure in timed):
        return "no minutes, and the first code of a chain bills at most one unit"
    if total is None:
        return "units without minutes, and the note has no timed total to check them against"
    known = sum(procedure.minutes or 0 for procedure in timed)
    if known > total:
        return f"the minutes of the other codes ({known}) exceed the day's timed total ({total})"
    if len(missing) == 1:
        return _by_difference(timed, missing[0], rule, total - known)
    return _over_total(timed, rule, total)


def _by_difference(timed: list[Procedure], missing: Procedure, rule: str, left: int) -> str:
    """One code only lacks minutes: the total leaves it exactly `left`, so the rule itself can judge the EMR's units."""
    lines = [(procedure.row, left if procedure is missing else procedure.minutes) for procedure in timed]
    units = {procedure.row.code: procedure.units or 0 for procedure in timed}
    if allocate(rule, lines).covers(units):
        return ""
    words = ", ".join(f"{code} x{given}" for code, given in units.items())
    return f"no minutes; the day's total leaves it {left}, which does not allow {words}"


def _over_total(timed: list[Procedure], rule: str, total: int) -> str:
    """Several codes lack minutes: what the total and the known minutes can still rule out."""
    units = [(procedure, procedure.units or 0) for procedure in timed]
    billed = sum(given for _, given in units)
    for procedure, given in units:
        if procedure.minutes is None:
            continue
        most = procedure.minutes // 15 + 1 if rule == "eight_minute_total" else midpoint_units(procedure.minutes, 15)
        if not procedure.minutes // 15 <= given <= most:
            return f"no minutes, and {procedure.row.code} has {given} units for {procedure.minutes} minutes"
    if rule == "eight_minute_total":
        allowed = allowed_units(total)
        return "" if billed <= allowed else f"{billed} timed units without minutes; a total of {total} minutes allows {allowed}"
    least = sum(15 * given - 7 for _, given in units if given)
    return "" if least <= total else f"{billed} timed units need at least {least} minutes; the total is {total}"
