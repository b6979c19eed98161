"""The mapping language: where each fact of a visit lies in an EMR's records, in a handful of words and no expressions.

    take      paths, first non-empty wins (spelled as the standard spells them: FHIRPath for FHIR)
    lookup    the name of a table in this file: the source's word -> our word
    fixed     this text, whatever the record says
    unit      min, s, h or auto: what a bare number of minutes counts
    required  true: an absent value holds the visit
    each      paths to the items of a group (interventions, coverages …), first that gives any wins
    when      a table of path = allowed values: only such items of a group, only such look-ups
    extends   standard -> EMR -> clinic: a shipped name (standards/fhir_r4) or a file beside this one

A field that a file writes replaces that whole field of the file that it extends; look-up tables and code systems are
joined word by word. An absent value stays absent: nothing here can default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

Texts = str | tuple[str, ...]
When = dict[str, Texts]


class _Written(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """What a person writes: keyword only, unknown keys refused, unchangeable."""


class FieldSpec(_Written, frozen=True):
    """Where one fact lies."""

    take: Texts = ()
    lookup: str | None = None
    fixed: str | None = None
    unit: Literal["min", "s", "h", "auto"] | None = None
    required: bool = False


class LookupEntry(_Written, frozen=True):
    """What a word of the source means: a code with modifiers, `not_billable`, or a hold with candidates for a coder."""

    code: str | None = None
    modifiers: tuple[str, ...] = ()
    not_billable: bool = False
    hold: tuple[str, ...] | None = None
    because: str = ""
    when: When = {}


LookupValue = str | LookupEntry | tuple[LookupEntry, ...]
LookupTable = dict[str, LookupValue]


class VisitSpec(_Written, frozen=True):
    """One encounter. Paths start at any resource type of the record."""

    visit_id: FieldSpec | None = None
    version: FieldSpec | None = None
    status: FieldSpec | None = None
    service_date: FieldSpec | None = None
    started_at: FieldSpec | None = None
    ended_at: FieldSpec | None = None
    discipline: FieldSpec | None = None
    visit_type: FieldSpec | None = None
    place_of_service: FieldSpec | None = None
    timed_minutes_total: FieldSpec | None = None
    treatment_minutes_total: FieldSpec | None = None
    authorization_number: FieldSpec | None = None
    episode_id: FieldSpec | None = None
    referral_on: FieldSpec | None = None
    abn_signed_on: FieldSpec | None = None
    cosigned: FieldSpec | None = None
    telehealth: FieldSpec | None = None
    billing: FieldSpec | None = None


class PlanOfCareSpec(_Written, frozen=True):
    """The plan that the visit was under. Of several, the one that began last by the service date counts."""

    each: Texts = ()
    when: When = {}
    start: FieldSpec | None = None
    end: FieldSpec | None = None
    certified_on: FieldSpec | None = None
    order_signed_on: FieldSpec | None = None
    sent_on: FieldSpec | None = None


class AccidentSpec(_Written, frozen=True):
    """The accident that the visit is about. `kind` is employment, auto or other."""

    each: Texts = ()
    when: When = {}
    kind: FieldSpec | None = None
    happened_on: FieldSpec | None = None
    state: FieldSpec | None = None
    claim_number: FieldSpec | None = None


class PatientSpec(_Written, frozen=True):
    """The person treated. `each` gives the patient, or a reference that is followed inside the record."""

    each: Texts = ()
    id: FieldSpec | None = None
    mrn: FieldSpec | None = None
    family: FieldSpec | None = None
    given: FieldSpec | None = None
    birth_date: FieldSpec | None = None
    sex: FieldSpec | None = None
    address: FieldSpec | None = None
    phone: FieldSpec | None = None
    replaced_by: FieldSpec | None = None


class CoverageSpec(_Written, frozen=True):
    """The patient's insurances. `subscriber_…` is read only where `relationship` is not `self`."""

    each: Texts = ()
    when: When = {}
    id: FieldSpec | None = None
    order: FieldSpec | None = None
    status: FieldSpec | None = None
    payer_id: FieldSpec | None = None
    payer_name: FieldSpec | None = None
    plan_name: FieldSpec | None = None
    member_id: FieldSpec | None = None
    group_number: FieldSpec | None = None
    relationship: FieldSpec | None = None
    period_start: FieldSpec | None = None
    period_end: FieldSpec | None = None
    subscriber_family: FieldSpec | None = None
    subscriber_given: FieldSpec | None = None
    subscriber_birth_date: FieldSpec | None = None
    subscriber_sex: FieldSpec | None = None
    subscriber_address: FieldSpec | None = None


class GuarantorSpec(_Written, frozen=True):
    """Who answers for what no insurance pays. `relationship` is what that person is to the patient."""

    each: Texts = ()
    when: When = {}
    family: FieldSpec | None = None
    given: FieldSpec | None = None
    birth_date: FieldSpec | None = None
    sex: FieldSpec | None = None
    address: FieldSpec | None = None
    phone: FieldSpec | None = None
    relationship: FieldSpec | None = None


class ProviderSpec(_Written, frozen=True):
    """A clinician in one role. `each` gives clinicians, or references that are followed inside the record."""

    each: Texts = ()
    id: FieldSpec | None = None
    npi: FieldSpec | None = None
    name: FieldSpec | None = None
    credential: FieldSpec | None = None
    taxonomy: FieldSpec | None = None


class DiagnosesSpec(_Written, frozen=True):
    """The visit's diagnoses; `rank` 1 comes first, those without a rank last, in the order of the record."""

    each: Texts = ()
    when: When = {}
    code: FieldSpec | None = None
    rank: FieldSpec | None = None


class NotesSpec(_Written, frozen=True):
    """The documents that count as the visit's note."""

    each: Texts = ()
    when: When = {}
    signed: FieldSpec | None = None
    signed_at: FieldSpec | None = None


class InterventionsSpec(_Written, frozen=True):
    """The documented lines. Minutes and units are separate facts: neither is ever made from the other."""

    each: Texts = ()
    line_key: FieldSpec | None = None
    status: FieldSpec | None = None
    code: FieldSpec | None = None
    minutes: FieldSpec | None = None
    therapist_minutes: FieldSpec | None = None
    assistant_minutes: FieldSpec | None = None
    units: FieldSpec | None = None
    modifiers: FieldSpec | None = None
    by_assistant: FieldSpec | None = None
    diagnoses: FieldSpec | None = None
    sequence: FieldSpec | None = None
    start: FieldSpec | None = None
    end: FieldSpec | None = None
    reason: FieldSpec | None = None
    encounter: FieldSpec | None = None
    patient: FieldSpec | None = None
    bills: FieldSpec | None = None


class CodeSystemsSpec(_Written, frozen=True):
    """Every name under which a code system appears. A coding of a `procedure` system is a procedure code as it stands."""

    procedure: tuple[str, ...] = ()
    diagnosis: tuple[str, ...] = ()


class ControlTotalsSpec(_Written, frozen=True):
    """What the sender says a file holds: `rows`, `visits`, `sums` name a value of the sidecar or its place in the trailer."""

    place: Literal["sidecar", "trailer"]
    ending: str = ".totals.csv"  # of the sidecar: charges.csv has charges.totals.csv
    mark: str = "TRAILER"  # the first cell of the trailer row
    rows: str | None = None
    visits: str | None = None
    sums: dict[str, str] = {}


class ExtractSpec(_Written, frozen=True):
    """How the files of an extract are written, and what they hold. Which column holds what is the rest of the mapping."""

    delimiter: Literal["comma", "tab", "semicolon", "pipe"] = "comma"
    charset: str = "utf-8"
    sheet: str | None = None  # of a workbook; its first one otherwise
    dates: tuple[str, ...] = ()  # as the export writes them, such as MM/DD/YYYY; ISO 8601 is always read
    empty: tuple[str, ...] = ()  # words that mean that nothing is there, such as NULL
    optional: tuple[str, ...] = ()  # columns that a file may lack
    holds: Literal["all", "changed-visits", "changed-rows"] = "changed-visits"
    absent: Literal["kept", "gone", "gone-in-range"] = "kept"  # what a visit means that a file of `all` does not hold
    control_totals: ControlTotalsSpec | None = None


class MappingSpec(_Written, frozen=True):
    """A mapping file as written, and what it becomes once joined with those that it extends."""

    mapping: str
    standard: str = ""
    extends: str | None = None
    notes: str = ""
    extract: ExtractSpec | None = None
    code_systems: CodeSystemsSpec = CodeSystemsSpec()
    visit: VisitSpec = VisitSpec()
    patient: PatientSpec = PatientSpec()
    coverages: CoverageSpec = CoverageSpec()
    guarantor: GuarantorSpec = GuarantorSpec()
    rendering: ProviderSpec = ProviderSpec()
    assistant: ProviderSpec = ProviderSpec()
    supervising: ProviderSpec = ProviderSpec()
    referring: ProviderSpec = ProviderSpec()
    diagnoses: DiagnosesSpec = DiagnosesSpec()
    note: NotesSpec = NotesSpec()
    plan_of_care: PlanOfCareSpec = PlanOfCareSpec()
    accident: AccidentSpec = AccidentSpec()
    interventions: InterventionsSpec = InterventionsSpec()
    lookups: dict[str, LookupTable] = {}


@dataclass(frozen=True, slots=True)
class Mapping:
    """A joined mapping. `file` is the one to edit; `origins` says `file:line` for each (section, key) that was written."""

    file: str
    spec: MappingSpec
    origins: dict[tuple[str, ...], str] = field(repr=False, default_factory=dict)
    shipped: bool = False  # the file belongs to the installation: a clinic extends it instead of editing it

    @property
    def place_to_edit(self) -> str:
        """Where a clinic adds a word, for the fix of a finding."""
        return f"a mapping file of your own that extends {self.spec.mapping} ({self.file})" if self.shipped else self.file

    def where(self, *key: str) -> str:
        """`file:line` of a key, or the file if nobody wrote it."""
        while key and key not in self.origins:
            key = key[:-1]
        return self.origins.get(key, self.file)


def texts(written: Texts) -> tuple[str, ...]:
    """One text or a list of texts, as a tuple."""
    return (written,) if isinstance(written, str) else written


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a mapping file, so that an editor completes and checks its keys.

    To ptbridge every value is text; an editor's YAML reader makes a bare 97110 a number and a bare true a boolean, so the
    schema takes those too.
    """
    (schema,), components = msgspec.json.schema_components([MappingSpec], ref_template="#/$defs/{name}")
    for component in components.values():
        component.pop("title", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ptbridge mapping",
        "description": "Where each fact of a visit lies in an EMR's records.",
        **schema,
        "$defs": _as_an_editor_reads({name: components[name] for name in sorted(components)}),
    }


def _as_an_editor_reads(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_an_editor_reads(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    read = {key: _as_an_editor_reads(inner) for key, inner in schema.items() if key != "default"}
    if read.get("type") == "string" and "enum" not in read:
        read["type"] = ["string", "number", "boolean"]
    if read.get("type") == "boolean":
        read = {**{key: inner for key, inner in read.items() if key != "type"}, "enum": [True, False, "true", "false"]}
    return read
