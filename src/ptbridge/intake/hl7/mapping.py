"""A mapping with `standard: hl7v2` made ready: the messages of one visit -> Visit.

What the messages cannot say stays absent. Raises RecordError only when no visit can be made of them at all: a payload that
is cut off, no patient, or charge lines whose fields are shifted and that no later message put right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge.errors import ConfigError, RecordError
from ptbridge.intake import values
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import values as hl7
from ptbridge.intake.hl7.charges import KINDS, Standing, charge_lines
from ptbridge.intake.hl7.converts import text
from ptbridge.intake.hl7.fields import Field
from ptbridge.intake.hl7.lines import Lines
from ptbridge.intake.hl7.record import LineScope, Scope, VisitRecord
from ptbridge.intake.hl7.sections import CoverageReader, DiagnosisReader, GuarantorReader, PatientReader, ProviderReader
from ptbridge.intake.hl7.status import WORDS, NoteReader, StatusReader
from ptbridge.intake.record_index import RecordIndex
from ptbridge.model import Discipline, Patient, SourceRecord, Visit, VisitStatus
from ptbridge.specs.mapping import Mapping

_ROLES = ("rendering", "assistant", "supervising", "referring")
_NO_RESOURCES = RecordIndex([])
_DISCIPLINES = {discipline.value: discipline for discipline in Discipline}


def compile_mapping(mapping: Mapping) -> Hl7Mapping:
    """Compile every path. Raises ConfigError, with file and line, for a path or a word that cannot work."""
    _check_table(mapping, "visit", "status", WORDS)
    _check_table(mapping, "interventions", "status", frozenset(KINDS))
    return Hl7Mapping(mapping)


class Hl7Mapping:
    """Compiled once per run; reading a record changes nothing but its memory of services."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.status = StatusReader(mapping)
        self.service_date = Field(mapping, "visit", "service_date", lambda raw, _reading: hl7.day(raw))
        self.started_at = Field(
            mapping, "visit", "started_at", lambda raw, reading: hl7.instant(raw, reading.zone), grave=False
        )
        self.discipline = Field(mapping, "visit", "discipline", lambda raw, _reading: _discipline(raw))
        names = ("visit_type", "place_of_service", "authorization_number")
        self.visit_type, self.place, self.authorization = (Field(mapping, "visit", name, text) for name in names)
        self.totals = [
            Field(mapping, "visit", name, _minutes(mapping, name))
            for name in ("timed_minutes_total", "treatment_minutes_total")
        ]
        self.patient = PatientReader(mapping)
        self.coverages = CoverageReader(mapping)
        self.guarantor = GuarantorReader(mapping)
        self.providers = [ProviderReader(mapping, role) for role in _ROLES]
        self.diagnoses = DiagnosisReader(mapping)
        self.note = NoteReader(mapping)
        self.lines = Lines(mapping)

    def normalize(self, record: SourceRecord, time_zone: ZoneInfo) -> Visit:
        """The messages of one visit as a Visit. Raises RecordError, see the module."""
        messages = VisitRecord(record, time_zone)
        reading = Reading(_NO_RESOURCES, time_zone, self.mapping)
        reading.visit_id = record.record_key
        patient = self.patient.read(messages, reading)
        if patient is None:
            raise RecordError("the messages name no patient.", where="PID-3", fix="Ask the sender for PID-3 in every message.")
        reading.patient = patient
        if patient.replaced_by:
            reading.report("MP06", "the patient's record was merged into another after this visit was sent", where="MRG-1")
        if any(seen.use == "moved" for seen in messages.messages):
            reading.report("MP36", "the sender moved this visit to another number, account or patient", where="MRG")
        revoked = [seen.message.trigger for seen in messages.messages if seen.use == "revoked"]
        if revoked:
            what = (
                "deleted this patient's record (A29)" if "A29" in revoked else "took this patient's record off another's (A37)"
            )
            reading.report("MP38", f"the sender {what} after the visit's last message", where="PID-3")
        return self._visit(record, messages, patient, reading)

    def _visit(self, record: SourceRecord, messages: VisitRecord, patient: Patient, reading: Reading) -> Visit:
        standing = charge_lines(messages, self.lines.kind, self.lines.line_key, reading)
        transactions = standing.lines
        scopes = [one.scope for one in transactions]
        on = self._service_date(messages, scopes, reading)
        facts = {
            "visit_type": self.visit_type.read(messages, reading),
            "place_of_service": self.place.read(scopes[0] if scopes else messages, reading),
            "status": self._status(messages, reading, standing),
            "discipline": self._discipline(messages, scopes, reading),
        }
        timed, treatment = [field.read(messages, reading) for field in self.totals]
        lines = self.lines.read(transactions, reading, facts.get)
        rendering, assistant, supervising, referring = [reader.read(messages, scopes, reading) for reader in self.providers]
        return Visit(
            clinic=record.clinic,
            source=record.source,
            visit_id=record.record_key,
            version=record.version,
            status=facts["status"],
            service_date=on,
            started_at=self.started_at.read(messages, reading),
            discipline=facts["discipline"],
            visit_type=facts["visit_type"],
            patient=patient,
            coverages=self.coverages.read(messages, reading, on),
            guarantor=self.guarantor.read(messages, reading),
            rendering=rendering,
            assistant=assistant,
            supervising=supervising,
            referring=referring,
            diagnoses=self.diagnoses.read(messages, [code for line in lines for code in line.diagnosis_codes], reading),
            place_of_service=facts["place_of_service"],
            note_signed=self.note.read(messages, reading),
            timed_minutes_total=timed,
            treatment_minutes_total=treatment,
            authorization_number=self.authorization.read(scopes[0] if scopes else messages, reading),
            interventions=lines,
            findings=tuple(reading.findings),
        )

    def _service_date(self, messages: VisitRecord, scopes: Sequence[LineScope], reading: Reading) -> date | None:
        """The civil day of the lines as written; of a visit without lines, its own. None when the lines disagree (MP35)."""
        if messages.only_day and not scopes:
            return date.fromisoformat(messages.only_day)
        if not scopes:
            return self._day(messages, reading)
        days: set[date | None] = self.service_date.of_lines(scopes, reading)
        if len(days) > 1:
            reading.report(
                "MP35",
                f"the charges of this visit number are of {len(days)} service dates",
                where="FT1-4",
            )
            return None
        return days.pop()

    def _day(self, scope: Scope, reading: Reading) -> date | None:
        found: date | None = self.service_date.read(scope, reading)
        return found

    def _status(self, messages: VisitRecord, reading: Reading, standing: Standing) -> VisitStatus:
        """A visit whose charges were all taken back is void, whatever else was said of it."""
        status = self.status.read(messages, reading, charged=bool(standing.lines))
        return VisitStatus.ENTERED_IN_ERROR if standing.taken_back else status

    def _discipline(self, messages: VisitRecord, scopes: Sequence[LineScope], reading: Reading) -> Discipline | None:
        """What all lines agree on by the mapping's paths; of a visit without lines, what the messages say."""
        found = self.discipline.of_lines(scopes, reading) if scopes else {self.discipline.read(messages, reading)}
        found.discard(None)
        if len(found) > 1:
            reading.report("MP37", f"the charges of this visit are of {' and '.join(sorted(found))}", where="visit.discipline")
            return None
        return found.pop() if found else None


def _check_table(mapping: Mapping, section: str, name: str, allowed: frozenset[str]) -> None:
    """The look-up table of a status: words that this reader knows."""
    spec = getattr(getattr(mapping.spec, section), name)
    table = mapping.spec.lookups.get(spec.lookup, {}) if spec is not None and spec.lookup else {}
    lines = [
        f"{mapping.where('lookups', spec.lookup, word)}: lookups.{spec.lookup}.{word}: {value!r} is not one of "
        f"{', '.join(sorted(allowed))}."
        for word, value in table.items()
        if value not in allowed
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def _discipline(raw: str) -> Discipline:
    found = _DISCIPLINES.get(raw)
    if found is None:
        raise values.Unreadable("the discipline is not one of PT, OT, SLP")
    return found


def _minutes(mapping: Mapping, name: str) -> Any:
    spec = getattr(mapping.spec.visit, name)
    unit = (spec.unit if spec else None) or "auto"
    return lambda raw, reading: hl7.minutes(raw, unit, reading.zone).whole
