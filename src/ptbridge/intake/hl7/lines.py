"""The charge lines that stand, as documented lines of the visit. FT1-25 before FT1-7; minutes are never made from units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ptbridge.intake import values
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import values as hl7
from ptbridge.intake.hl7.charges import Transaction
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.record import LineScope, VisitRecord
from ptbridge.intake.services import ServiceTable
from ptbridge.intake.values import Unreadable
from ptbridge.model import Intervention
from ptbridge.specs.mapping import Mapping
from ptbridge.wire.hl7_paths import SegmentPath
from ptbridge.wire.hl7v2 import Segment

Facts = Callable[[str], str | None]


class Lines:
    """Compiled `interventions`. A visit without charges gives none."""

    def __init__(self, mapping: Mapping) -> None:
        def compiled(name: str, convert: Any = lambda raw, _reading: raw) -> Field:
            return Field(mapping, "interventions", name, convert)

        spec = mapping.spec.interventions
        self.kind = compiled("status")
        self.line_key = compiled("line_key")
        self.code = compiled("code")
        self.services = ServiceTable(mapping, spec.code.lookup if spec.code else None)
        self.minutes = [compiled(name) for name in ("minutes", "therapist_minutes", "assistant_minutes")]
        self.units = compiled("units", lambda raw, _reading: values.count(raw))
        self.modifiers = compiled("modifiers")
        self.by_assistant = compiled("by_assistant", lambda raw, _reading: values.flag(raw))
        self.diagnoses = compiled("diagnoses")

    def read(
        self, transactions: Sequence[Transaction], record: VisitRecord, reading: Reading, facts: Facts
    ) -> tuple[Intervention, ...]:
        """One line for each charge that stands, in the order in which they came."""
        used: Counter[str] = Counter()
        found = []
        for position, transaction in enumerate(transactions, start=1):
            found.append(self._line(position, transaction, LineScope(transaction.group, record), reading, facts, used))
        reading.line_key = None
        return tuple(found)

    def _line(
        self, position: int, transaction: Transaction, scope: LineScope, reading: Reading, facts: Facts, used: Counter[str]
    ) -> Intervention:
        reading.line_key = key = _key(transaction, used)
        service = self.services.read(self._coding(scope), facts, reading)
        (minutes, source), (therapist, _), (assistant, _) = [self._minutes(field, scope, reading) for field in self.minutes]
        if therapist is not None and assistant is not None and minutes not in (None, therapist + assistant):
            reading.report("MP17", f"{therapist} + {assistant} minutes against {minutes} documented")
        units = self.units.read(scope, reading)
        return Intervention(
            line_key=key,
            documented=service.documented,
            code=service.code,
            minutes=minutes,
            therapist_minutes=therapist,
            assistant_minutes=assistant,
            by_assistant=self.by_assistant.read(scope, reading),
            units_documented=units,
            modifiers=self._modifiers(scope, reading, service.modifiers),
            diagnosis_codes=self._diagnoses(scope),
            sequence=position,
            not_billable=service.not_billable,
            minutes_source=source,
            units_source=self.units.paths[0].text if units is not None and self.units.paths else "",
        )

    def _coding(self, scope: LineScope) -> Any:
        """The procedure as code and system. Without a system the field is one: `FT1-25` is CPT or HCPCS by definition."""
        for path in self.code.paths:
            for segments in scope.segments(path.segment):
                written = path.first(segments)
                if written is not None:
                    system = segments[0].value(path.field, 3) or f"{path.segment}-{path.field}"
                    return {"coding": [{"system": system, "code": written.strip().upper()}]}
        return None

    def _minutes(self, field: Field, scope: LineScope, reading: Reading) -> tuple[int | None, str]:
        if not field.paths:
            return None, ""
        written, path = field.first(scope)
        if written is None:
            if field.spec.required:
                field.missing(reading)
            return None, ""
        try:
            found = hl7.minutes(written, field.spec.unit or "auto", reading.zone)
        except Unreadable as error:
            field.refuse(reading, error)
            return None, ""
        if found.fraction:
            reading.report("MP13", f"{found.fraction} minutes count as {found.whole}", where=field.name)
        return found.whole, path

    def _modifiers(self, scope: LineScope, reading: Reading, mapped: tuple[str, ...]) -> tuple[str, ...]:
        """The record's modifiers, repeated or joined, then those that the mapping's entry adds; each once."""
        written = self.modifiers.every(scope)
        if not written:
            return mapped
        try:
            return tuple(dict.fromkeys((*values.modifiers(list(written)), *mapped)))
        except Unreadable as error:
            self.modifiers.refuse(reading, error)
            return mapped

    def _diagnoses(self, scope: LineScope) -> tuple[str, ...]:
        """The line's diagnosis codes in their order: codes, or numbers of DG1 segments where those are given."""
        for path in self.diagnoses.paths:
            for segments in scope.segments(path.segment):
                found = [code for segment in segments for code in _codes(segment, path)]
                if found:
                    return tuple(dict.fromkeys(_pointed(code, scope) for code in found))
        return ()


def _key(transaction: Transaction, used: Counter[str]) -> str:
    """FT1-2 where it is a key; else code and modifiers with a running number, which survive a change of units."""
    if transaction.id:
        return transaction.id
    head = transaction.group.head
    written = [head.leaf(repetition) for repetition in head.repetitions(26)]
    name = "-".join(part for part in (head.value(25) or head.value(7) or "line", *written) if part)
    used[name] += 1
    return f"{name}#{used[name]}"


def _codes(segment: Segment, path: SegmentPath) -> list[str]:
    """Every repetition's code. Codes that a sender joined as components (`M54.5^M25.561`) are taken apart."""
    found = []
    for repetition in segment.repetitions(path.field):
        first = segment.leaf(repetition, path.component, path.subcomponent)
        if first is None:
            continue
        found.append(hl7.icd10(first))
        if hl7.looks_like_icd10(first) and not path.names_component:
            parts = [leaf for number, inner, leaf in segment.parts(repetition) if number > 1 and inner == 1]
            found += [hl7.icd10(part) for part in parts if hl7.looks_like_icd10(part)]
    return found


def _pointed(code: str, scope: LineScope) -> str:
    """A number of one or two digits names the DG1 with that set id, if there is one."""
    if code.isdecimal() and len(code) <= 2:
        for segment in next(scope.segments("DG1"), ()):
            if (segment.value(1) or "").lstrip("0") == code.lstrip("0"):
                return hl7.icd10(segment.value(3) or code)
    return code
