"""The charge lines that stand, as documented lines of the visit. FT1-25 before FT1-7; minutes are never made from units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from ptbridge.intake import values
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import values as hl7
from ptbridge.intake.hl7.charges import Transaction
from ptbridge.intake.hl7.fields import Field, remember
from ptbridge.intake.hl7.record import LENGTH, LineScope
from ptbridge.intake.lines import REASONED
from ptbridge.intake.services import Service, ServiceTable
from ptbridge.intake.values import Unreadable
from ptbridge.model import Intervention
from ptbridge.specs.mapping import LookupEntry, LookupTable, LookupValue, Mapping
from ptbridge.wire.hl7_paths import SegmentPath
from ptbridge.wire.hl7v2 import Segment

Facts = Callable[[str], str | None]


class Said(NamedTuple):
    """What the line's own fields say, whoever the patient is: remembered by their text."""

    service: Service
    modifiers: tuple[str, ...]
    units: int | None
    diagnoses: tuple[str, ...]
    by_assistant: bool | None


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
        first = self.minutes[0].paths[0] if self.minutes[0].paths else None
        self._minutes_at = first.field if first is not None and first.segment == "PR1" and first.is_first else 0
        self._known_minutes: dict[str, tuple[int | None, str]] = {}
        self._in_parts = any(field.paths for field in self.minutes[1:])
        self.units = compiled("units", lambda raw, _reading: values.count(raw))
        self.modifiers = compiled("modifiers")
        self.by_assistant = compiled("by_assistant", lambda raw, _reading: values.flag(raw))
        self.diagnoses = compiled("diagnoses")
        self.reason = compiled("reason", lambda raw, _reading: values.text(raw))
        self.units_source = self.units.paths[0].text if self.units.paths else ""
        self._said: dict[tuple[Any, ...], Said] = {}
        own, self._of_procedures, self._lasting = _looked_at(
            self.code, self.modifiers, self.units, self.diagnoses, self.by_assistant
        )
        self._own_texts: Callable[[list[str]], tuple[str, ...]] = itemgetter(0, 0, *own)
        self._lasting = self._lasting and not any(_depends(value) for value in self._table(mapping).values())

    @staticmethod
    def _table(mapping: Mapping) -> LookupTable:
        code = mapping.spec.interventions.code
        return mapping.spec.lookups.get(code.lookup or "", {}) if code is not None else {}

    def read(self, transactions: Sequence[Transaction], reading: Reading, facts: Facts) -> tuple[Intervention, ...]:
        """One line for each charge that stands, in the order in which they came."""
        used: Counter[str] = Counter()
        reading.facts = facts
        told = map(self._own_texts, [one.scope.row for one in transactions])
        found = [
            self._line(position, one, texts, reading, used)
            for position, (one, texts) in enumerate(zip(transactions, told, strict=True), start=1)
        ]
        reading.line_key = None
        return tuple(found)

    def _line(
        self, position: int, transaction: Transaction, texts: tuple[str, ...], reading: Reading, used: Counter[str]
    ) -> Intervention:
        scope = transaction.scope
        reading.line_key = key = transaction.id or _key(transaction, used)
        said = self._what(scope, texts, reading)
        procedures = scope.procedures
        written = procedures[0].field(self._minutes_at) if self._minutes_at and procedures else ""
        minutes, source = self._known_minutes.get(written) or self._whole_minutes(written, scope, reading)
        therapist = assistant = None
        if self._in_parts:
            therapist, assistant = (self._minutes(field, scope, reading)[0] for field in self.minutes[1:])
            if therapist is not None and assistant is not None and minutes not in (None, therapist + assistant):
                reading.report("MP17", f"{therapist} + {assistant} minutes against {minutes} documented")
        return Intervention(
            line_key=key,
            documented=said.service.documented,
            code=said.service.code,
            minutes=minutes,
            therapist_minutes=therapist,
            assistant_minutes=assistant,
            by_assistant=said.by_assistant,
            units_documented=said.units,
            modifiers=said.modifiers,
            diagnosis_codes=said.diagnoses,
            sequence=position,
            reason=self.reason.read(scope, reading) if said.service.code in REASONED else None,
            not_billable=said.service.not_billable,
            minutes_source=source,
            units_source=self.units_source if said.units is not None else "",
        )

    def _what(self, scope: LineScope, key: tuple[str, ...], reading: Reading) -> Said:
        """What the line's own fields say, `key` their texts. Remembered unless something was reported or the visit decides."""
        for position in self._of_procedures:
            for one in scope.procedures:
                key += (one.field(position),)
        said = self._said.get(key)
        if said is None:
            before = len(reading.findings)
            service = self.services.read(self._coding(scope), reading)
            said = Said(
                service,
                self._modifiers(scope, reading, service.modifiers),
                self.units.read(scope, reading),
                self._diagnoses(scope),
                self.by_assistant.read(scope, reading),
            )
            pointed = any(code.isdecimal() and len(code) <= 2 for code in self.diagnoses.every(scope))
            if self._lasting and not pointed and len(reading.findings) == before:
                remember(self._said, key, said)
        return said

    def _coding(self, scope: LineScope) -> Any:
        """The procedure as code and system. Without a system the field is one: `FT1-25` is CPT or HCPCS by definition."""
        for path in self.code.paths:
            for segments in scope.segments(path.segment):
                written = path.first(segments)
                if written is not None:
                    system = segments[0].value(path.field, 3) or f"{path.segment}-{path.field}"
                    return {"coding": [{"system": system, "code": written.strip().upper()}]}
        return None

    def _whole_minutes(self, written: str, scope: LineScope, reading: Reading) -> tuple[int | None, str]:
        """The line's minutes and their path. Digits as the text of the first PR1 are the same minutes again."""
        before = len(reading.findings)
        found = self._minutes(self.minutes[0], scope, reading)
        if written.isalnum() and len(reading.findings) == before:
            remember(self._known_minutes, written, found)
        return found

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


def _depends(value: LookupValue) -> bool:
    """True when a look-up entry asks for facts of the visit."""
    entries = value if isinstance(value, tuple) else (value,)
    return any(isinstance(entry, LookupEntry) and bool(entry.when) for entry in entries)


def _looked_at(*fields: Field) -> tuple[tuple[int, ...], tuple[int, ...], bool]:
    """The FT1 and PR1 fields that these paths look at, and whether they look at nothing else.

    What lies beyond them (a PV1, an OBX that is picked by its code) may differ where these are the same.
    """
    paths = [path for field in fields for path in field.paths]
    own = sorted({path.field for path in paths if path.segment == "FT1" and path.field < LENGTH})
    procedures = sorted({path.field for path in paths if path.segment == "PR1"})
    return tuple(own), tuple(procedures), all(path.segment in ("FT1", "PR1") and path.field < LENGTH for path in paths)


def _key(transaction: Transaction, used: Counter[str]) -> str:
    """Code and modifiers with a running number, which survive a change of units: for a line whose FT1-2 is no key."""
    head = transaction.group.head
    written = [head.leaf(repetition) for repetition in head.repetitions(26)]
    name = "-".join(part for part in (head.value(25) or head.value(7) or "line", *written) if part)
    used[name] += 1
    return f"{name}#{used[name]}"


def _codes(segment: Segment, path: SegmentPath) -> list[str]:
    """Every repetition's code. Codes that a sender joined as components (`M54.5^M25.561`) are taken apart.

    Only where a code stands in component 2, which is a text by the standard: `I10` in component 3 names ICD-10-CM in table
    0396, and would be read as hypertension.
    """
    found = []
    for repetition in segment.repetitions(path.field):
        first = segment.leaf(repetition, path.component, path.subcomponent)
        if first is None:
            continue
        found.append(hl7.icd10(first))
        if hl7.looks_like_icd10(segment.leaf(repetition, 2) or "") and not path.names_component:
            parts = [leaf for number, inner, leaf in segment.parts(repetition) if number > 1 and inner == 1]
            found += [hl7.icd10(part) for part in parts if hl7.looks_like_icd10(part)]
    return found


def _pointed(code: str, scope: LineScope) -> str:
    """A number of one or two digits names the DG1 with that set id, if there is one."""
    if code.isdecimal() and len(code) <= 2:
        for segment in next(iter(scope.segments("DG1")), ()):
            if (segment.value(1) or "").lstrip("0") == code.lstrip("0"):
                return hl7.icd10(segment.value(3) or code)
    return code
