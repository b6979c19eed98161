"""The documented lines of a visit: service, minutes, units, modifiers, who did it, and for which diagnoses."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from ptbridge.intake import values
from ptbridge.intake.converts import as_it_stands, count, flag, instant, text
from ptbridge.intake.fields import Convert, Facts, Field, Reading, compile_field
from ptbridge.intake.groups import Group, Item, icd_codes
from ptbridge.intake.section_source import Section, Slot
from ptbridge.intake.services import ServiceTable
from ptbridge.intake.values import Minutes, Unreadable
from ptbridge.model import Intervention
from ptbridge.specs.mapping import Mapping

Span = tuple[datetime, datetime]
Links = tuple[dict[str, str], dict[str, str]]  # the visit's own references to itself and to its patient, in the usual shape
REASONED = frozenset({"97164", "97168"})  # re-evaluations: the services whose reason decides whether they are paid
MINUTES = ("minutes", "therapist_minutes", "assistant_minutes")


class Lines:
    """Compiled `interventions`. A visit without any gives none: a charge is never invented."""

    def __init__(self, mapping: Mapping) -> None:
        def compiled(name: str, convert: Any = as_it_stands) -> Field:
            return compile_field(mapping, "interventions", name, convert)

        code_spec = mapping.spec.interventions.code
        self.group = Group(mapping, "interventions")
        self.services = ServiceTable(mapping, code_spec.lookup if code_spec else None)
        self.status = compiled("status", text)
        self.code = compile_field(mapping, "interventions", "code", as_it_stands, own_lookup=True)
        service = compile_field(mapping, "interventions", "code", self.services.read, own_lookup=True)
        self.modifiers, self.diagnoses, self.bills = compiled("modifiers"), compiled("diagnoses"), compiled("bills")
        self.by_assistant = compiled("by_assistant", flag)
        self.facts = Section(
            Slot(compiled("sequence", count)),
            Slot(compiled("line_key", text), "key"),
            Slot(self.status),
            Slot(service, "always"),
            *(Slot(compiled(name, _minutes(mapping, name)), "sourced") for name in MINUTES),
            Slot(compiled("units", count), "sourced"),
            Slot(self.by_assistant, "every"),
            Slot(compiled("encounter")),
            Slot(compiled("patient")),
            Slot(self.modifiers, "every"),
            Slot(self.diagnoses, "every"),
        )
        self.times = Section(
            *(Slot(compile_field(mapping, "interventions", name, instant, grave=False)) for name in ("start", "end"))
        )
        self.says_when = mapping.spec.interventions.start is not None and mapping.spec.interventions.end is not None
        self.reason = compiled("reason", text)
        self.find_icd = icd_codes(mapping)

    def read(self, reading: Reading, facts: Facts, patient_id: str, slot: Span | None) -> tuple[Intervention, ...]:
        """The lines in documentation order: by sequence where the source gives one, else as the record lists them."""
        items, path = self.group.winner(reading)
        if not items:
            return ()
        spans: dict[str, Span] = {}
        links = {"reference": f"Encounter/{reading.visit_id}"}, {"reference": f"Patient/{patient_id}"}
        reading.facts = facts
        numbered = [
            self._line(position, item, kind, reading, patient_id, links, spans)
            for position, (item, kind) in enumerate(items, start=1)
        ]
        reading.line_key = None
        if len(items) > 1:
            numbered.sort(key=lambda pair: (pair[0] is None, pair[0] or 0))
        lines = [line for _, line in numbered]
        if spans:
            lines = _distrust(lines, spans, slot, reading)
        if self.says_when:
            lines = _own_times(lines, slot)
        if len({line.line_key for line in lines}) < len(lines):
            lines = _unique(lines, reading)
        if path is not self.group.paths[-1]:
            self._check_charged(items, lines, reading)
        return tuple(lines)

    def _line(
        self, position: int, item: Any, kind: str, reading: Reading, patient_id: str, links: Links, spans: dict[str, Span]
    ) -> tuple[int | None, Intervention]:
        """(sequence, line)."""
        reading.line_key = f"#{position}"  # for what is found about a line without a key
        (
            sequence, key, status, service, (minutes, source), (therapist, _), (assistant, _), (units, units_source),
            performers, encounter, patient, modifiers, diagnoses,
        ) = self.facts.read(item, kind, reading)  # fmt: skip
        if minutes is not None and minutes.span:
            spans[key] = minutes.span
        split = therapist is not None and assistant is not None
        by_assistant = self._by_assistant(performers, reading, split=split) if performers else None
        if split and minutes is not None and minutes.whole != therapist.whole + assistant.whole:
            reading.report("MP17", f"{therapist.whole} + {assistant.whole} minutes against {minutes.whole} documented")
        if (encounter, patient) != links:
            _check_links(encounter, patient, reading, patient_id)
        start, end = self.times.read(item, kind, reading) if self.says_when else (None, None)
        return sequence, Intervention(
            line_key=key,
            documented=service.documented,
            code=service.code,
            minutes=None if minutes is None else minutes.whole,
            therapist_minutes=None if therapist is None else therapist.whole,
            assistant_minutes=None if assistant is None else assistant.whole,
            by_assistant=by_assistant,
            units_documented=units,
            modifiers=self._modifiers(modifiers, reading, service.modifiers) if modifiers else service.modifiers,
            diagnosis_codes=self._diagnosis_codes(diagnoses, reading),
            sequence=position,
            start=start,
            end=end,
            reason=self.reason.read(item, kind, reading) if service.code in REASONED else None,
            not_done=status == "not-done",
            not_billable=service.not_billable,
            minutes_source=source,
            units_source=units_source,
        )

    def _modifiers(self, written: list[Any], reading: Reading, mapped: tuple[str, ...]) -> tuple[str, ...]:
        """The record's modifiers, then those that the mapping's entry adds; each once."""
        try:
            found = values.modifiers(written)
        except Unreadable as error:
            self.modifiers.refuse(reading, error)
            return mapped
        return tuple(dict.fromkeys((*found, *mapped))) if mapped else found

    def _by_assistant(self, performers: list[Any], reading: Reading, *, split: bool) -> bool | None:
        """What all who performed the line agree on; None when nobody says, or when both kinds took part."""
        if len(performers) == 1 and performers[0].__class__ is str and self.by_assistant.ready:
            known: bool | None = self.by_assistant.ready.get(performers[0])
            if known is not None:  # the usual shape
                return known
        answers = set()
        try:
            for performer in performers:
                answers.add(self.by_assistant.convert(performer, reading))
        except Unreadable as error:
            self.by_assistant.refuse(reading, error)
        answers.discard(None)
        if len(answers) > 1 and not split:
            reading.report("MP10", "a therapist and an assistant are named, without the minutes of each")
        return answers.pop() if len(answers) == 1 else None

    def _diagnosis_codes(self, concepts: list[Any], reading: Reading) -> tuple[str, ...]:
        """ICD-10-CM codes of the line, each once. The lines of a visit mostly share their Conditions."""
        if len(concepts) != 1:
            return tuple(dict.fromkeys(code for _, code in self.find_icd(concepts)))
        known = reading.codes.get(id(concepts[0]))
        if known is None:
            known = reading.codes[id(concepts[0])] = tuple(dict.fromkeys(code for _, code in self.find_icd(concepts)))
        return known

    def _check_charged(self, items: list[Item], lines: list[Intervention], reading: Reading) -> None:
        """Where charge items are the lines, every documented service must be among them, by link or by code."""
        index = reading.index
        taken = {id(item) for item, _ in items}
        linked = {id(index.resolve(raw)) for item, kind in items for raw in self.bills.every(item, kind, reading)}
        codes = {line.code for line in lines}
        others = (item for path in self.group.paths for item in index.types.get(path.root or "", ()) if id(item) not in taken)
        missing = 0
        for item in others:
            kind = item["resourceType"]
            if id(item) not in linked and self.status.read(item, kind, reading) != "not-done":
                missing += self.services.code_of(self.code.read(item, kind, reading)) not in codes
        if missing:
            reading.report("MP11", f"{missing} documented services are not among the {len(items)} charge items")


def _minutes(mapping: Mapping, name: str) -> Convert:
    spec = getattr(mapping.spec.interventions, name)
    unit, where = (spec.unit if spec else None) or "auto", f"interventions.{name}"

    def read(raw: Any, reading: Reading) -> Minutes:
        found = values.minutes(raw, unit, reading.zone)
        if found.fraction:
            reading.report("MP13", f"{found.fraction} minutes count as {found.whole}", where=where)
        return found

    return read


def _check_links(encounter: Any, patient: Any, reading: Reading, patient_id: str) -> None:
    """A line that names another visit or another patient was joined wrongly, here or in the EMR."""
    if _names_another(encounter, reading.visit_id):
        reading.report("MP09", "the line belongs to another visit", where="interventions.encounter")
    if _names_another(patient, patient_id):
        reading.report("MP09", "the line belongs to another patient", where="interventions.patient")


def _names_another(reference: Any, identity: str | None) -> bool:
    """True when a reference surely leads to another resource; one without an id in it says nothing."""
    if reference is None or identity is None:
        return False
    named = values.reference_id(reference)
    return named is not None and named != identity


def _distrust(lines: list[Intervention], spans: dict[str, Span], slot: Span | None, reading: Reading) -> list[Intervention]:
    """Drop minutes that are only the slot: one period on several lines, or the period of the whole visit."""
    seen = list(spans.values())
    shared = {key for key, span in spans.items() if span == slot or seen.count(span) > 1}
    if not shared:
        return lines
    reading.report("MP07", f"{len(shared)} lines carry a period that is not their own", where="interventions.minutes")
    return [replace(line, minutes=None, minutes_source="") if line.line_key in shared else line for line in lines]


def _own_times(lines: list[Intervention], slot: Span | None) -> list[Intervention]:
    """Keep begin and end only where they are the line's own: not the slot, not another line's as well, not turned round."""
    seen = [(line.start, line.end) for line in lines]

    def own(line: Intervention) -> bool:
        span = (line.start, line.end)
        if line.start is None or line.end is None or line.start >= line.end:
            return False
        return seen.count(span) == 1 and (slot is None or len(lines) == 1 or span != slot)

    return [line if own(line) else replace(line, start=None, end=None) for line in lines]


def _unique(lines: list[Intervention], reading: Reading) -> list[Intervention]:
    """Give every line a key of its own, and say that the source did not."""
    seen: dict[str, int] = {}
    unique: list[Intervention] = []
    for line in lines:
        number = seen[line.line_key] = seen.get(line.line_key, 0) + 1
        if number > 1:
            reading.report("MP18", f"the line key {line.line_key!r} stands on {number} lines", where="interventions.line_key")
            line = replace(line, line_key=f"{line.line_key}#{number}")
        unique.append(line)
    return unique
