"""A section read by the function that is written for it gives what its fields give one by one, findings included."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ptbridge.intake import compile_mapping, normalize
from ptbridge.intake.fields import Reading
from ptbridge.intake.normalize import FhirMapping
from ptbridge.intake.record_index import RecordIndex
from ptbridge.intake.section_source import Section, source
from ptbridge.model import SourceRecord
from ptbridge.specs.mapping_files import load_mapping

CHICAGO = ZoneInfo("America/Chicago")
NAMES = ["emrs/sandbox_emr", "emrs/fhir_r4", "emrs/medplum", "emrs/openemr"]
COMPILED = {name: compile_mapping(load_mapping(name)) for name in NAMES}

# What may stand anywhere: right, wrong, of another shape, in a list, absent.
_URL = "https://sandbox.ptbridge.dev/fhir/"
words = st.sampled_from(
    [
        "",
        " ",
        "completed",
        "finished",
        "cancelled",
        "PT",
        "PTA",
        "97110",
        "97110-x",
        "final",
        "2026-03-04",
        "2026-03-04T10:00:00Z",
    ]
)
leaves = st.one_of(words, st.integers(-5, 2000), st.booleans(), st.none(), st.floats(0, 90), st.just("Practitioner/a"))
URLS = ["minutes", "therapist-minutes", "assistant-minutes", "units", "modifier", "sequence", "timed-minutes-total", "billing"]
KEYS = ["system", "code", "coding", "value", "start", "end", "reference", "text", "actor", "function", "individual", "type"]


def structures(inner):
    return st.one_of(
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        st.lists(inner, max_size=2),
        st.fixed_dictionaries({"coding": st.lists(st.fixed_dictionaries({"system": words, "code": words}), max_size=2)}),
    )


anything = st.recursive(leaves, structures, max_leaves=8)
extensions = st.lists(
    st.one_of(
        st.fixed_dictionaries({"url": st.sampled_from([_URL + name for name in URLS])}, optional={"valueInteger": leaves}),
        st.fixed_dictionaries(
            {"url": st.sampled_from([_URL + name for name in URLS])},
            optional={"valueQuantity": st.fixed_dictionaries({"value": st.integers(-3, 90), "code": st.just("min")})},
        ),
        leaves,
    ),
    max_size=5,
)


def resource(kind, *names):
    fields = dict.fromkeys(names, anything)
    return st.fixed_dictionaries({"resourceType": st.just(kind)}, optional={"id": words, "extension": extensions, **fields})


procedures = resource(
    "Procedure", "status", "code", "performer", "encounter", "subject", "reasonReference", "reasonCode", "performedPeriod"
)
encounters = resource("Encounter", "status", "period", "serviceType", "type", "participant", "location", "appointment")
patients = resource("Patient", "identifier", "name", "gender", "birthDate", "address", "telecom", "link")
coverages = resource("Coverage", "order", "status", "payor", "period", "class", "subscriberId", "relationship", "subscriber")
people = resource("RelatedPerson", "name", "gender", "birthDate", "address")


def sections(compiled):
    """The sections that hang directly on a compiled mapping, and the kinds of items that they are read for."""
    found = [(compiled.facts, ("(visit)",)), (compiled.lines.facts, ("Procedure", "ChargeItem", ""))]
    return [*found, (compiled.lines.times, ("Procedure",))]


def outcome(read, index, mapping):
    reading = Reading(index, CHICAGO, mapping)
    reading.visit_id, reading.line_key = "v1", "#1"
    return read(reading), reading.findings, reading.line_key


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(encounter=encounters, item=st.one_of(procedures, patients, anything))
@example(
    encounter={"resourceType": "Encounter", "period": [{"start": "2026-03-04T10:00:00Z"}]}, item={"resourceType": "Procedure"}
)
@example(encounter={"resourceType": "Encounter", "period": "2026"}, item={"resourceType": "Procedure", "id": [" a ", "b"]})
def test_a_written_section_reads_what_its_fields_read(name, encounter, item):
    compiled = COMPILED[name]
    assert isinstance(compiled, FhirMapping)
    practitioner = {"resourceType": "Practitioner", "id": "a", "qualification": [{"code": {"coding": [{"code": "PTA"}]}}]}
    index = RecordIndex([encounter, practitioner])
    for section, kinds in sections(compiled):
        for kind in kinds:
            if kind == "(visit)":
                written = outcome(section.read_visit, index, compiled.mapping)
                slow = outcome(lambda reading, one=section: one.slowly(None, "", reading), index, compiled.mapping)
            else:
                written = outcome(lambda r, one=section, k=kind: one.read(item, k, r), index, compiled.mapping)
                slow = outcome(lambda r, one=section, k=kind: one.slowly(item, k, r), index, compiled.mapping)
            assert written == slow, f"{name} {kind}"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(patient=patients, coverage=coverages, person=people, lines=st.lists(procedures, max_size=2), encounter=encounters)
@example(
    patient={"resourceType": "Patient"},
    coverage={"resourceType": "Coverage", "status": "active"},
    person={
        "resourceType": "RelatedPerson",
        "name": [{"family": "A", "given": [" B "]}],
        "gender": "female",
        "birthDate": "1950-01-02",
        "address": {"line": ["1 Street"], "city": "C"},
    },
    lines=[],
    encounter={"resourceType": "Encounter"},
)
def test_a_visit_is_the_same_read_either_way(patient, coverage, person, lines, encounter):
    coverage = {"subscriber": {"reference": "RelatedPerson/r1"}, **coverage}
    encounter = {**encounter, "id": "v1", "subject": {"reference": "Patient/p1"}}
    record = SourceRecord(
        clinic="c",
        source="s",
        record_key="v1",
        media_type="application/fhir+json",
        payload=orjson.dumps([encounter, {**patient, "id": "p1"}, coverage, {**person, "id": "r1"}, *lines]),
        received_at=datetime.now(UTC),
    )
    quick = normalize(record, compile_mapping(load_mapping("emrs/sandbox_emr")), time_zone=CHICAGO)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Section, "read", Section.slowly)
        patched.setattr(Section, "read_visit", lambda section, reading: section.slowly(None, "", reading))
        slow = normalize(record, compile_mapping(load_mapping("emrs/sandbox_emr")), time_zone=CHICAGO)
    assert quick == slow


def test_the_written_function_can_be_read():
    text, _ = source(COMPILED["emrs/sandbox_emr"].lines.facts.slots, "Procedure")
    assert "# interventions.minutes\n    r = extensions.get('https://sandbox.ptbridge.dev/fhir/minutes')" in text
    assert text.startswith("def read(item, index, reading):")
