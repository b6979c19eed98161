"""A treatment day to its service lines: units, modifiers, diagnosis pointers, each with its reasons. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from ptbridge.coding import findings as kinds
from ptbridge.coding.abn import add_abn_modifiers
from ptbridge.coding.counted import Counted
from ptbridge.coding.diagnoses import DiagnosisList
from ptbridge.coding.documented import Documented, Procedure, gather
from ptbridge.coding.draft import NOTHING_KNOWN, Draft, Known
from ptbridge.coding.kx import add_kx
from ptbridge.coding.modifiers import (
    ASSISTANT_MODIFIER,
    assistant_split,
    may_be_assisted,
    ordered,
    shares,
    with_discipline,
)
from ptbridge.coding.pair_modifiers import add_pair_modifiers
from ptbridge.coding.telehealth import add_telehealth
from ptbridge.coding.units import count
from ptbridge.model import CodedDay, Exclusion, Finding, ServiceLine, TreatmentDay
from ptbridge.policy import CodeTable, Policy, Terms
from ptbridge.policy.assistants import Split


def code(
    day: TreatmentDay,
    *,
    policy: Policy | None,
    codes: CodeTable,
    assistant_method: str | None = None,
    known: Known = NOTHING_KNOWN,
) -> CodedDay:
    """Code one treatment day under its payer's policy.

    `known` is what else there is: the patient's history, allowed amounts, pair table, modifiers that a person confirmed.
    `assistant_method` (percentage or simple) is the clinic's recorded choice and overrides the policy's. What cannot be
    decided becomes a finding that holds; nothing is guessed and no documented line is dropped without an exclusion.
    """
    terms = None if policy is None or day.service_date is None else policy.terms(day.service_date)
    documented = gather(day, codes, _left_out(terms, known))
    if policy is None and not documented.all_excluded:
        documented.findings.append(kinds.PAYER_UNKNOWN("no payer policy for this day's coverage"))
    elif policy is not None and terms is None:
        documented.findings.append(kinds.RULE_UNSET("the service date is not known, so no rule of the payer is in force"))
    if terms is not None:
        _payer_codes(documented, terms)
    counted = count(day, documented.procedures, terms)
    coder = _Coder(day, terms, documented, counted, assistant_method)
    coder.run()
    draft = None if terms is None else _over_lines(Draft(day, terms, known, coder.lines))
    more = () if draft is None else draft.findings
    return CodedDay(
        day=day,
        payer=None if policy is None else policy.name,
        lines=tuple(coder.lines),
        diagnoses=tuple(coder.diagnoses.diagnoses),
        exclusions=tuple(documented.exclusions),
        acceptable=counted.acceptable,
        because=counted.day_because,
        findings=tuple(dict.fromkeys((*documented.findings, *counted.findings, *coder.findings, *more))),
        allowed_cents=() if draft is None else draft.allowed_cents,
    )


def _left_out(terms: Terms | None, known: Known) -> Mapping[str, str]:
    """The source's words for visits that go to no payer, where the payer's policy or the clinic leaves them out."""
    words = dict.fromkeys(known.exclude_visits, "the clinic's file")
    if terms is not None and terms.exclude_visits:
        words |= dict.fromkeys(terms.exclude_visits, f"{terms.payer} ({terms.sources['exclude_visits']})")
    return words


def _over_lines(draft: Draft) -> Draft:
    """Modifiers that depend on several lines or on more than this day; KX last, because GA keeps it away."""
    add_telehealth(draft)
    add_pair_modifiers(draft)
    add_abn_modifiers(draft)
    add_kx(draft)
    return draft


def _payer_codes(documented: Documented, terms: Terms) -> None:
    """Set aside what the payer never pays apart; flag what it does not take. Neither is swapped for another code."""
    procedures = documented.procedures
    if not terms.bundled_codes.isdisjoint(procedures):
        for name in [name for name in procedures if name in terms.bundled_codes]:
            because = f"{name} is never paid apart ({terms.payer}; {terms.sources['bundled_codes']})"
            _exclude(documented, procedures.pop(name), "bundled", because)
    if not terms.invalid_codes.keys().isdisjoint(procedures):
        for name in [name for name in procedures if name in terms.invalid_codes]:
            message = f"{terms.payer} does not take {name}: {terms.invalid_codes[name]}"
            documented.findings.append(kinds.CODE_NOT_TAKEN(message, at=procedures[name].at))


def _exclude(documented: Documented, procedure: Procedure, rule: str, because: str) -> None:
    documented.exclusions += [
        Exclusion(line_key=key, procedure=procedure.row.code, rule=rule, because=because) for key in procedure.keys
    ]


class _Coder:
    """Builds the service lines of one day from its counted units."""

    __slots__ = ("counted", "day", "diagnoses", "documented", "findings", "lines", "method", "order", "terms")

    def __init__(
        self, day: TreatmentDay, terms: Terms | None, documented: Documented, counted: Counted, method: str | None
    ) -> None:
        self.day = day
        self.terms = terms
        self.documented = documented
        self.counted = counted
        self.order = () if terms is None else terms.modifier_order
        self.method = method or (None if terms is None else terms.assistant_method)
        self.diagnoses = DiagnosisList(day)
        self.lines: list[ServiceLine] = []
        self.findings: list[Finding] = []

    def run(self) -> None:
        """Each procedure in documentation order; an add-on is billed with its first code."""
        procedures = self.documented.procedures
        units = self.counted.units
        for name, procedure in procedures.items():
            row = procedure.row
            if row.add_on_of is not None and row.timed and row.add_on_of in procedures:
                continue  # comes with its first code
            if name not in units:
                continue  # could not be counted: a finding holds the day
            add_on = procedures.get(row.add_on) if row.add_on and row.timed else None
            service = [procedure] if add_on is None else [procedure, add_on]
            if add_on is not None and units[name] > 1:
                self._bill_apart(service)  # as documented, not as counted: the day is held
                continue
            more = units.get(row.add_on, 0) if row.add_on and row.timed else 0
            split = self._split(service, units[name] + more)
            if row.add_on is None or not (more or add_on):
                self._bill(procedure, split, name, procedure.minutes)
            else:
                self._bill_chain(service, split, units[name], row.add_on)

    def _bill_apart(self, service: list[Procedure]) -> None:
        """A chain whose first code has more than one unit, which no rule allows: each code by itself, as documented."""
        for procedure in service:
            name = procedure.row.code
            if name in self.counted.units:
                self._bill(procedure, self._split([procedure], self.counted.units[name]), name, procedure.minutes)

    def _bill_chain(self, service: list[Procedure], split: Split, first_units: int, add_on: str) -> None:
        """The first code's unit goes to whoever furnished more of the service; minutes fill the first code's time first."""
        first = service[0]
        total = _total(service)
        later_units = split.with_modifier + split.without - first_units
        assisted_first = first_units > 0 and (split.without == 0 or (split.with_modifier > 0 and _mostly_assistant(service)))
        first_minutes = total
        if total is not None and later_units:
            first_minutes = min(total, first.row.minutes_per_unit or total)
        part = Split(first_units, 0) if assisted_first else Split(0, first_units)
        rest = Split(split.with_modifier - part.with_modifier, split.without - part.without)
        self._bill(first, part, first.row.code, first_minutes)
        rest_minutes = None if total is None or first_minutes is None else total - first_minutes
        self._bill(service[-1], rest, add_on, rest_minutes)

    def _split(self, service: list[Procedure], units: int) -> Split:
        """Units with and without the assistant modifier, with the findings that this raises."""
        first = service[0]
        terms = self.terms
        plain = _plain(units)
        if terms is None or not units or not first.row.assistant or not self.documented.assisted:
            return plain
        if not any(map(may_be_assisted, service)):
            return plain
        modifier = None if self.day.discipline is None else ASSISTANT_MODIFIER.get(self.day.discipline)
        if terms.assistant_modifier == "none" or modifier is None:
            return plain
        name = first.row.code
        if terms.assistant_modifier is None:
            message = f"{terms.payer} has no assistant_modifier: are CQ, CO reported on {name}?"
            self.findings.append(kinds.MODIFIER_UNSET(message, at=first.at))
            return plain
        people = shares(service)
        if people is None or (first.row.timed and _total(service) is None and min(people)):
            self.findings.append(kinds.ASSISTANT_UNKNOWN(f"{name}: therapist's and assistant's parts", at=first.at))
            return plain
        split = assistant_split(service, units, *people, self.method)
        if split is None:
            share = f"{name}: {people[1]} of {sum(people)} minutes by the assistant"
            message = f"{share}: the two 10 % methods differ; set assistant_method"
            self.findings.append(kinds.MODIFIER_UNSET(message, at=first.at))
            return plain
        if split.gap:
            message = f"{name}: {units} units on {people[0]} therapist and {people[1]} assistant minutes"
            self.findings.append(kinds.ASSISTANT_GAP(f"{message}: {split.with_modifier} with {modifier}", at=first.at))
        if not split.with_modifier and any(modifier in procedure.modifiers for procedure in service):
            self.findings.append(kinds.ASSISTANT_CONTRADICTED(f"{name} carries {modifier} at the source", at=first.at))
            return Split(units, 0)
        return split

    def _bill(self, procedure: Procedure, split: Split, name: str, minutes: int | None) -> None:
        """One line for the units without and one for those with the modifier; no units is an exclusion with its rule."""
        because = self.counted.because.get(name, "")
        if not split.with_modifier and not split.without:
            _exclude(self.documented, procedure, "zero-units", because)
            return
        base, finding = with_discipline(procedure, self.day.discipline, self.terms)
        if finding is not None:
            self.findings.append(finding)
        pointers, why = self.diagnoses.pointers(procedure)
        if not split.with_modifier:
            self._line(procedure, name, base, split.without, minutes, pointers, (because, why))
            return
        assert self.day.discipline is not None
        modifier = ASSISTANT_MODIFIER[self.day.discipline]
        without = tuple(word for word in base if word != modifier)
        people = shares([procedure])
        assistant = None if minutes is None or people is None else min(people[1], minutes)
        if not split.without:
            assistant = minutes
        total = split.with_modifier + split.without
        reason = f"{split.with_modifier} of {total} units by an assistant -> {modifier} (42 CFR 410.59, 410.60)"
        self._line(procedure, name, (*without, modifier), split.with_modifier, assistant, pointers, (because, reason, why))
        if split.without:
            rest = None if minutes is None or assistant is None else minutes - assistant
            self._line(procedure, name, without, split.without, rest, pointers, (because, reason, why))

    def _line(
        self,
        procedure: Procedure,
        name: str,
        modifiers: tuple[str, ...],
        units: int,
        minutes: int | None,
        pointers: tuple[int, ...],
        because: tuple[str, ...],
    ) -> None:
        self.lines.append(
            ServiceLine(
                procedure=name,
                modifiers=ordered(modifiers, self.order) if len(modifiers) > 1 else modifiers,
                units=units,
                minutes=minutes,
                diagnosis_pointers=pointers,
                line_keys=procedure.keys,
                because=because,
            )
        )


@lru_cache(maxsize=256)
def _plain(units: int) -> Split:
    """All units without the assistant modifier: most lines."""
    return Split(0, units)


def _total(service: list[Procedure]) -> int | None:
    minutes = [procedure.minutes for procedure in service]
    return sum(part for part in minutes if part is not None) if None not in minutes else None


def _mostly_assistant(service: list[Procedure]) -> bool:
    people = shares(service)
    return people is not None and people[1] > people[0]
