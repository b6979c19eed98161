"""A day's service lines while modifiers that depend on more than one line, or on more than the day, are decided."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ptbridge.coding.documented import line_name
from ptbridge.coding.findings import Kind
from ptbridge.coding.modifiers import ordered
from ptbridge.model import Finding, Intervention, ServiceLine, TreatmentDay, Visit
from ptbridge.policy import FeeSchedule, Terms
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What coding is told besides the day and the payer's terms. `confirmed` are modifiers that a person said to add."""

    history: PatientHistory | None = None
    allowed: FeeSchedule | None = None  # Medicare's allowed amounts for one unit; None: the therapy threshold cannot be told
    reference: Reference | None = None  # the official files; None: the shipped amounts, and no pair table
    confirmed: frozenset[str] = frozenset()
    exclude_visits: frozenset[str] = frozenset()  # the clinic's word on visits that the source keeps from payers


NOTHING_KNOWN = Known()


@dataclass(slots=True)
class Draft:
    """Service lines that modifiers may still join; each join gives its reason, or is a finding for a person to confirm."""

    day: TreatmentDay
    terms: Terms
    known: Known
    lines: list[ServiceLine]
    findings: list[Finding] = field(default_factory=list)
    allowed_cents: tuple[int | None, ...] = ()
    _documented: dict[str, tuple[Visit, Intervention]] | None = None

    def documentation(self, line: ServiceLine) -> list[tuple[Visit, Intervention]]:
        """The documented lines that this service line bills."""
        if self._documented is None:
            self._documented = {line_name(visit, one): (visit, one) for visit in self.day.visits for one in visit.interventions}
        return [self._documented[key] for key in line.line_keys if key in self._documented]

    def at(self, line: ServiceLine) -> tuple[str, str]:
        """Where a finding about the line points."""
        visit_id, _, line_key = (line.line_keys[0] if line.line_keys else "").partition("/")
        return visit_id, line_key

    def add(self, places: Iterable[int], word: str, because: str) -> None:
        """Add a modifier to these lines, in the payer's order."""
        for place in places:
            line = self.lines[place]
            modifiers = ordered((*line.modifiers, word), self.terms.modifier_order)
            self.lines[place] = replace(line, modifiers=modifiers, because=(*line.because, because))

    def offer(self, mode: str, kind: Kind, places: list[int], word: str, because: str) -> None:
        """Add the modifier where the payer's terms (`auto`) or a person (`confirmed`) say so; else ask a person."""
        if not places:
            return
        if mode == "auto":
            self.add(places, word, because)
        elif word in self.known.confirmed:
            self.add(places, word, f"{because}; confirmed by a person")
        else:
            codes = ", ".join(dict.fromkeys(self.lines[place].procedure for place in places))
            self.findings.append(kind(f"{codes}: {because}", at=self.at(self.lines[places[0]]), where=f"modifier {word}"))
