"""What a treatment day documents, gathered by procedure: CMS counts a code once per day however often it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ptbridge.coding import findings as kinds
from ptbridge.model import Exclusion, Finding, Intervention, TreatmentDay, Visit, VisitStatus
from ptbridge.policy import CodeTable, ProcedureCode

ASSISTANT_MODIFIERS = frozenset({"CQ", "CO"})

NOTHING: Mapping[str, str] = MappingProxyType({})
_NOT_BILLABLE = {
    VisitStatus.ENTERED_IN_ERROR: "entered-in-error",
    VisitStatus.CANCELLED: "cancelled",
    VisitStatus.NO_SHOW: "no-show",
}


@dataclass(slots=True)
class Procedure:
    """All documented lines of one code on one day. `minutes` and `units` are None when any of the lines lacks them.

    Modifiers and linked diagnoses of all its lines are united: the code is billed on one line (First Coast 0508065).
    """

    row: ProcedureCode
    visit: Visit  # of the first line
    first: Intervention
    keys: tuple[str, ...]
    minutes: int | None
    units: int | None
    modifiers: tuple[str, ...]
    diagnosis_codes: tuple[str, ...]
    lines: list[tuple[Visit, Intervention]] = field(default_factory=list)

    @property
    def at(self) -> tuple[str, str]:
        """Where findings about this procedure point: the first documented line."""
        return self.visit.visit_id, self.first.line_key

    def add(self, visit: Visit, line: Intervention) -> None:
        """Take up another line of the same code."""
        self.lines.append((visit, line))
        self.keys = (*self.keys, line_name(visit, line))
        self.minutes = _sum(self.minutes, line_minutes(line))
        self.units = _sum(self.units, line.units_documented)
        self.modifiers = tuple(dict.fromkeys((*self.modifiers, *line.modifiers)))
        self.diagnosis_codes = tuple(dict.fromkeys((*self.diagnosis_codes, *line.diagnosis_codes)))


@dataclass(slots=True)
class Documented:
    """A day's procedures in documentation order, and what is already decided about the other lines."""

    procedures: dict[str, Procedure] = field(default_factory=dict)
    exclusions: list[Exclusion] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    assisted: bool = False  # whether anything may say that an assistant took part; False is sure

    @property
    def all_excluded(self) -> bool:
        """True when a rule sets aside everything that was documented: nothing is left that a payer would be asked about."""
        return bool(self.exclusions) and not self.procedures and not self.findings


def gather(day: TreatmentDay, codes: CodeTable, left_out: Mapping[str, str] = NOTHING) -> Documented:
    """Sort every line of the day that was done: into a procedure, an exclusion, or a finding that holds.

    `left_out` are the words of the source (cash, maintenance, no-charge) whose visits are not billed, each with who says so.
    """
    found = Documented()
    procedures = found.procedures
    for visit in day.visits:
        rule = _NOT_BILLABLE.get(visit.status) or (visit.billing if visit.billing in left_out else None)
        if visit.assistant is not None or (visit.rendering is not None and visit.rendering.is_assistant):
            found.assisted = True
        for line in visit.interventions:
            if line.not_done:
                continue
            if rule is not None or line.not_billable:
                found.exclusions.append(_excluded(visit, line, rule, left_out))
                continue
            if line.by_assistant or line.assistant_minutes or line.therapist_minutes is not None or line.modifiers:
                found.assisted = found.assisted or _speaks_of_assistant(line)
            code = line.code
            row = None if code is None else codes.get(code)
            if row is None:
                found.findings.extend(_unknown(visit, line))
                continue
            procedure = procedures.get(row.code)
            if procedure is None:
                procedures[row.code] = Procedure(
                    row,
                    visit,
                    line,
                    (line_name(visit, line),),
                    line_minutes(line) if line.minutes is None else line.minutes,
                    line.units_documented,
                    line.modifiers,
                    line.diagnosis_codes,
                    [(visit, line)],
                )
            else:
                procedure.add(visit, line)
    return found


def _speaks_of_assistant(line: Intervention) -> bool:
    split = line.by_assistant or line.assistant_minutes or line.therapist_minutes is not None
    return bool(split) or not ASSISTANT_MODIFIERS.isdisjoint(line.modifiers)


def line_name(visit: Visit, line: Intervention) -> str:
    """`visit_id/line_key`, the name of a documented line outside its visit."""
    return f"{visit.visit_id}/{line.line_key}"


def line_minutes(line: Intervention) -> int | None:
    """The line's minutes; where only both people's parts are documented, their sum."""
    if line.minutes is not None or line.therapist_minutes is None or line.assistant_minutes is None:
        return line.minutes
    return _sum(line.therapist_minutes, line.assistant_minutes)


def _sum(one: int | None, other: int | None) -> int | None:
    """Both together; absent when either is absent, and a negative part stays visible instead of cancelling out."""
    if one is None or other is None:
        return None
    return min(one, other) if one < 0 or other < 0 else one + other


def _excluded(visit: Visit, line: Intervention, rule: str | None, left_out: Mapping[str, str]) -> Exclusion:
    """The visit's own status comes first: what did not happen is not billed, whatever the mapping says of the service."""
    whose = f" by the source, left out by {left_out[rule]}" if rule and rule in left_out else ""
    because = f"the visit is {rule}{whose}" if rule else f"not billable by the mapping ({line.not_billable})"
    procedure = line.code or line.documented
    return Exclusion(line_key=line_name(visit, line), procedure=procedure, rule=rule or "not-billable", because=because)


def _unknown(visit: Visit, line: Intervention) -> list[Finding]:
    if line.code is not None:
        return [kinds.CODE_UNKNOWN(f"{line.code} is not in the code table", at=(visit.visit_id, line.line_key))]
    if any(finding.holds and finding.line_key == line.line_key for finding in visit.findings):
        return []  # the mapping has already said so, with the word and the file
    return [kinds.CODE_UNKNOWN("a documented line has no procedure code", at=(visit.visit_id, line.line_key))]
