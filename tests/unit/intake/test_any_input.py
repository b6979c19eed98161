"""Whatever comes, it is a Visit or a RecordError; no other exception, and no code that the record does not hold."""

import copy
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ptbridge_sandbox.maker import clinic_day

from ptbridge.errors import RecordError
from ptbridge.intake.group import group
from ptbridge.intake.normalize import compile_mapping, normalize
from ptbridge.intake.trial import try_record
from ptbridge.model import SourceRecord
from ptbridge.specs.mapping_files import load_mapping

CORPUS = Path(__file__).parents[3] / "../shared/corpus/fhir"
ZONE = ZoneInfo("America/Chicago")
MAPPINGS = {name: compile_mapping(load_mapping(f"emrs/{name}")) for name in ("fhir_r4", "sandbox_emr", "medplum", "openemr")}


def record_of(resources, key=""):
    payload = orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]})
    return SourceRecord(
        clinic="c",
        source="s",
        record_key=key,
        media_type="application/fhir+json",
        payload=payload,
        received_at=datetime.now(UTC),
    )


def read(resources, name):
    """The visit, or None for a RecordError; checks what must hold for any visit."""
    record = record_of(resources)
    try:
        visit = normalize(record, MAPPINGS[name], time_zone=ZONE)
    except RecordError:
        return None
    held = record.payload.decode().upper()
    for line in visit.interventions:
        assert line.code is None or f'"{line.code}"' in held
    assert all(f'"{diagnosis.code}"' in held for diagnosis in visit.diagnoses)
    assert len(visit.interventions) <= sum(r.get("resourceType") in ("Procedure", "ChargeItem") for r in resources)
    group([visit], clinic="c", billing_npi="1")
    return visit


# ---------------------------------------------------------------- the public corpus


def corpus_resources():
    for path in sorted(CORPUS.glob("hl7-r4-examples/*.json")):
        yield orjson.loads(path.read_bytes())
    for path in sorted(CORPUS.glob("synthea-bulk-10/*.ndjson")):
        for line in path.read_bytes().splitlines():
            yield orjson.loads(line)


@pytest.mark.skipif(not CORPUS.exists(), reason="the public corpus is not on this machine")
@pytest.mark.parametrize("name", MAPPINGS)
def test_the_public_corpus_gives_visits_or_record_errors_and_no_invented_code(name):
    children, everything, shared = {}, [], []
    for resource in corpus_resources():
        everything.append(resource)
        link = resource.get("encounter") or resource.get("context")
        if isinstance(link, dict) and isinstance(link.get("reference"), str):
            children.setdefault(link["reference"].rpartition("/")[2], []).append(resource)
        if resource["resourceType"] in ("Practitioner", "Location", "Coverage") and len(shared) < 40:
            shared.append(resource)
    patients = {r["id"]: r for r in everything if r["resourceType"] == "Patient"}
    visits = lines = 0
    for resource in everything:
        if resource["resourceType"] != "Encounter":
            assert read([resource], name) is None
            continue
        patient = patients.get(str((resource.get("subject") or {}).get("reference")).rpartition("/")[2])
        joined = [resource, *([patient] if patient else []), *children.get(resource["id"], []), *shared]
        visit = read(joined, name)
        if visit is not None:
            visits += 1
            lines += len(visit.interventions)
            assert any(finding.holds for finding in visit.findings)  # none of them is a therapy visit with a discipline
    assert visits > 1200
    assert lines > 2000


# ---------------------------------------------------------------- broken on purpose

JUNK = st.sampled_from(
    [None, "", " ", "x", "2026", "-1", -1, 0, 1.5, 10**18, True, [], [None], [[]], [1], {}, {"value": "x"}, "Patient/"]
)


def places(node, path=()):
    yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


def damaged(resources, path, junk):
    broken = copy.deepcopy(resources)
    node = broken
    for key in path[:-1]:
        node = node[key]
    if junk == "remove":
        del node[path[-1]]
    else:
        node[path[-1]] = junk
    return broken


def day_records():
    resources = list(clinic_day())
    for encounter in (r for r in resources if r["resourceType"] == "Encounter"):
        mine = [r for r in resources if (r.get("encounter") or {}).get("reference") == f"Encounter/{encounter['id']}"]
        note = [r for r in resources if r["resourceType"] == "DocumentReference" and r["id"].startswith(encounter["id"])]
        patient = [r for r in resources if encounter["subject"]["reference"] == f"Patient/{r['id']}"]
        cover = [r for r in resources if r.get("beneficiary") == encounter["subject"]]
        staff = [r for r in resources if r["resourceType"] in ("Practitioner", "Location")]
        yield [encounter, *patient, *mine, *note, *cover, *staff]


DAY = list(day_records())[:12]
PLACES = [[path for path in places(resources) if len(path) > 1] for resources in DAY]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_value_anywhere_may_be_junk(data):
    number = data.draw(st.integers(0, len(DAY) - 1))
    resources = DAY[number]
    path = data.draw(st.sampled_from(PLACES[number]))
    broken = damaged(resources, path, data.draw(st.one_of(JUNK, st.just("remove"))))
    broken = [resource for resource in broken if isinstance(resource, dict)]
    name = data.draw(st.sampled_from(sorted(MAPPINGS)))
    if read(broken, name) is not None:
        try_record(record_of(broken), MAPPINGS[name], time_zone=ZONE)


@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1, exclude_max=True), number=st.integers(0, len(DAY) - 1))
def test_a_payload_cut_off_anywhere_is_a_record_error(cut, number):
    whole = record_of(DAY[number])
    payload = whole.payload[: int(len(whole.payload) * cut)]
    record = SourceRecord(
        clinic="c", source="s", record_key="", media_type=whole.media_type, payload=payload, received_at=whole.received_at
    )
    with pytest.raises(RecordError):
        normalize(record, MAPPINGS["sandbox_emr"], time_zone=ZONE)


def test_the_sandbox_day_reads_with_only_what_was_planted():
    visits = [read(resources, "sandbox_emr") for resources in day_records()]
    assert len(visits) >= 60
    assert all(visits)
    found = {(visit.visit_id, finding.code) for visit in visits for finding in visit.findings if finding.holds}
    assert {code for _, code in found} == {"MP01"}
    assert len(found) == 1
