"""The documented lines of a visit: service, minutes, units, modifiers, who did it, and for which diagnoses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from ptbridge.intake import values
from ptbridge.intake.fhirpath import PathEvaluationError
from ptbridge.intake.fields import Field, Reading, compile_field
from ptbridge.intake.groups import Group, Item, count, flag, icd_codes, instant, text
from ptbridge.intake.services import ServiceTable
from ptbridge.intake.values import Minutes, Unreadable
from ptbridge.model import Intervention
from ptbridge.specs.mapping import Mapping

Span = tuple[datetime, datetime]
Facts = Callable[[str], str | None]


class Lines:
    """Compiled `interventions`. A visit without any gives none: a charge is never invented."""

    def __init__(self, mapping: Mapping) -> None:
        def compiled(name: str, convert: Any) -> Field:
            return compile_field(mapping, "interventions", name, convert)

        def as_it_stands(raw: Any, _reading: Reading) -> Any:
            return raw

        self.group = Group(mapping, "interventions")
        self.line_key = compiled("line_key", text)
        self.status = compiled("status", text).read
        self.code = compile_field(mapping, "interventions", "code", as_it_stands, own_lookup=True).read
        code_spec = mapping.spec.interventions.code
        self.services = ServiceTable(mapping, code_spec.lookup if code_spec else None)
        self.minutes = [compiled(name, as_it_stands) for name in ("minutes", "therapist_minutes", "assistant_minutes")]
        self.units = compiled("units", count)
        self.modifiers = compiled("modifiers", as_it_stands)
        self.by_assistant = compiled("by_assistant", flag)
        self.diagnoses = compiled("diagnoses", as_it_stands)
        self.sequence = compiled("sequence", count).read
        self.times = [compile_field(mapping, "interventions", name, instant, grave=False).read for name in ("start", "end")]
        self.says_when = mapping.spec.interventions.start is not None and mapping.spec.interventions.end is not None
        self.encounter = compiled("encounter", as_it_stands).read
        self.patient = compiled("patient", as_it_stands).read
        self.bills = compiled("bills", as_it_stands)
        self.find_icd = icd_codes(mapping)

    def read(self, reading: Reading, facts: Facts, patient_id: str, slot: Span | None) -> tuple[Intervention, ...]:
        """The lines in documentation order: by sequence where the source gives one, else as the record lists them."""
        items, path = self.group.winner(reading)
        if not items:
            return ()
        spans: dict[str, Span] = {}
        numbered = [
            (self.sequence(item, kind, reading), self._line(position, item, kind, reading, facts, patient_id, spans))
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
        self, position: int, item: Any, kind: str, reading: Reading, facts: Facts, patient_id: str, spans: dict[str, Span]
    ) -> Intervention:
        reading.line_key = f"#{position}"  # for what is found about a line without a key
        key = self.line_key.read(item, kind, reading) or reading.line_key
        reading.line_key = key
        status = self.status(item, kind, reading)
        service = self.services.read(self.code(item, kind, reading), facts, reading)
        minutes, source = self._minutes(self.minutes[0], item, kind, reading)
        therapist, _ = self._minutes(self.minutes[1], item, kind, reading)
        assistant, _ = self._minutes(self.minutes[2], item, kind, reading)
        if minutes is not None and minutes.span is not None:
            spans[key] = minutes.span
        units, units_source = self._units(item, kind, reading)
        by_assistant = self._by_assistant(item, kind, reading, split=therapist is not None and assistant is not None)
        if therapist is not None and assistant is not None:
            total = therapist.whole + assistant.whole
            if minutes is not None and minutes.whole != total:
                reading.report("MP17", f"{therapist.whole} + {assistant.whole} minutes against {minutes.whole} documented")
        self._check_links(item, kind, reading, patient_id)
        start, end = [read(item, kind, reading) for read in self.times] if self.says_when else (None, None)
        return Intervention(
            line_key=key,
            documented=service.documented,
            code=service.code,
            minutes=minutes.whole if minutes is not None else None,
            therapist_minutes=therapist.whole if therapist is not None else None,
            assistant_minutes=assistant.whole if assistant is not None else None,
            by_assistant=by_assistant,
            units_documented=units,
            modifiers=self._modifiers(item, kind, reading, service.modifiers),
            diagnosis_codes=self._diagnosis_codes(item, kind, reading),
            sequence=position,
            start=start,
            end=end,
            not_done=status == "not-done",
            not_billable=service.not_billable,
            minutes_source=source,
            units_source=units_source,
        )

    def _minutes(self, field: Field, item: Any, kind: str, reading: Reading) -> tuple[Minutes | None, str]:
        """Minutes and the path that gave them; (None, '') when absent or unreadable."""
        if not field.paths or (field.absent(item, kind, reading) and not field.spec.required):
            return None, ""
        try:
            raw, source = field.raw(item, kind, reading)
            if raw is not None:
                found = values.minutes(raw, field.spec.unit or "auto", reading.zone)
                if found.fraction:
                    reading.report("MP13", f"{found.fraction} minutes count as {found.whole}", where=field.name)
                return found, source
        except (Unreadable, PathEvaluationError) as error:
            field.refuse(reading, error)
            return None, ""
        field.missing(reading)
        return None, ""

    def _units(self, item: Any, kind: str, reading: Reading) -> tuple[int | None, str]:
        """The source's own units and the path that gave them. Never made from minutes."""
        if not self.units.paths or self.units.absent(item, kind, reading):
            return None, ""
        try:
            raw, source = self.units.raw(item, kind, reading)
            return (None, "") if raw is None else (values.count(raw), source)
        except (Unreadable, PathEvaluationError) as error:
            self.units.refuse(reading, error)
            return None, ""

    def _modifiers(self, item: Any, kind: str, reading: Reading, mapped: tuple[str, ...]) -> tuple[str, ...]:
        """The record's modifiers, then those that the mapping's entry adds; each once."""
        if not self.modifiers.paths or self.modifiers.absent(item, kind, reading):
            return mapped
        try:
            written = self.modifiers.every(item, kind, reading)
            return tuple(dict.fromkeys((*values.modifiers(written), *mapped))) if written else mapped
        except (Unreadable, PathEvaluationError) as error:
            self.modifiers.refuse(reading, error)
            return mapped

    def _by_assistant(self, item: Any, kind: str, reading: Reading, *, split: bool) -> bool | None:
        """What all who performed the line agree on; None when nobody says, or when both kinds took part."""
        if not self.by_assistant.paths:
            return None
        answers = set(self.by_assistant.read_every(item, kind, reading))
        if len(answers) > 1 and not split:
            reading.report("MP10", "a therapist and an assistant are named, without the minutes of each")
        return answers.pop() if len(answers) == 1 else None

    def _diagnosis_codes(self, item: Any, kind: str, reading: Reading) -> tuple[str, ...]:
        """ICD-10-CM codes of the line, each once. The lines of a visit mostly share their Conditions."""
        concepts = self.diagnoses.every(item, kind, reading)
        if len(concepts) != 1:
            return tuple(dict.fromkeys(code for _, code in self.find_icd(concepts)))
        known = reading.codes.get(id(concepts[0]))
        if known is None:
            known = reading.codes[id(concepts[0])] = tuple(dict.fromkeys(code for _, code in self.find_icd(concepts)))
        return known

    def _check_links(self, item: Any, kind: str, reading: Reading, patient_id: str) -> None:
        """A line that names another visit or another patient was joined wrongly, here or in the EMR."""
        if _names_another(self.encounter(item, kind, reading), reading.visit_id):
            reading.report("MP09", "the line belongs to another visit", where="interventions.encounter")
        if _names_another(self.patient(item, kind, reading), patient_id):
            reading.report("MP09", "the line belongs to another patient", where="interventions.patient")

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
            if id(item) not in linked and self.status(item, kind, reading) != "not-done":
                missing += self.services.code_of(self.code(item, kind, reading)) not in codes
        if missing:
            reading.report("MP11", f"{missing} documented services are not among the {len(items)} charge items")


_OWN_TYPES = frozenset({"Encounter/", "Patient/"})


def _names_another(reference: Any, identity: str | None) -> bool:
    """True when a reference surely leads to another resource; one without an id in it says nothing."""
    if reference is None or identity is None:
        return False
    written = reference.get("reference") if reference.__class__ is dict else reference
    if written.__class__ is str and written.endswith(identity) and written[: -len(identity)] in _OWN_TYPES:
        return False  # the usual shape
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
