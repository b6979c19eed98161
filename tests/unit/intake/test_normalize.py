"""A FHIR record becomes a Visit; whatever is wrong with it becomes a finding or, at worst, a RecordError."""

import copy
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import orjson
import pytest

from ptbridge.errors import RecordError
from ptbridge.intake.findings import MEANINGS
from ptbridge.intake.group import day_key, group
from ptbridge.intake.normalize import compile_mapping, normalize
from ptbridge.intake.trial import MASK, masked, try_record
from ptbridge.model import Discipline, SourceRecord, VisitStatus
from ptbridge.specs.mapping_files import load_mapping

S = "https://sandbox.ptbridge.dev/fhir"
CPT = "http://www.ama-assn.org/go/cpt"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
CHICAGO = ZoneInfo("America/Chicago")
SANDBOX = compile_mapping(load_mapping("emrs/sandbox_emr"))
STANDARD = compile_mapping(load_mapping("emrs/fhir_r4"))
MEDPLUM = compile_mapping(load_mapping("emrs/medplum"))
SECRETS = ("Testerly", "Quentin", "1950-02-03", "MRN-7781", "XYZ123456", "pat-1", "555-0188")


def concept(system, code):
    return {"coding": [{"system": system, "code": code}]}


def ref(to):
    return {"reference": to}


def minutes(name, value, unit="min"):
    return {"url": f"{S}/{name}", "valueQuantity": {"value": value, "unit": unit, "code": unit}}


def practitioner(key, credential, npi="1234567893"):
    return {
        "resourceType": "Practitioner",
        "id": key,
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": npi}],
        "name": [{"family": "Kneewell", "given": ["Paula"]}],
        "qualification": [{"code": concept("http://terminology.hl7.org/CodeSystem/v2-0360", credential)}],
    }


def participant(role, key):
    return {"type": [concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", role)], "individual": ref(key)}


def procedure(number, code="97110", system=CPT, extensions=(), **more):
    return {
        "resourceType": "Procedure",
        "id": f"p{number}",
        "status": "completed",
        "code": concept(system, code),
        "subject": ref("Patient/pat-1"),
        "encounter": ref("Encounter/e1"),
        "performer": [{"function": concept(f"{S}/performer-role", "therapist"), "actor": ref("Practitioner/pt")}],
        "reasonReference": [ref("Condition/c1")],
        "extension": list(extensions),
        **more,
    }


def condition(key, code, system=ICD):
    return {"resourceType": "Condition", "id": key, "code": concept(system, code), "subject": ref("Patient/pat-1")}


def coverage(key, order=1, **more):
    return {
        "resourceType": "Coverage",
        "id": key,
        "status": "active",
        "order": order,
        "subscriberId": "XYZ123456",
        "relationship": concept("r", "self"),
        "payor": [{"display": "Acme Health Plan", "identifier": {"system": f"{S}/payer-id", "value": "ACME"}}],
        "class": [
            {"type": concept("c", "group"), "value": "G-1"},
            {"type": concept("c", "plan"), "value": "1", "name": "Gold"},
        ],
        **more,
    }


@pytest.fixture
def record():
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "meta": {"versionId": "3"},
        "status": "finished",
        "type": [concept(f"{S}/visit-type", "DN")],
        "serviceType": concept(f"{S}/discipline", "PT"),
        "subject": ref("Patient/pat-1"),
        "participant": [participant("PPRF", "Practitioner/pt"), participant("REFB", "Practitioner/md")],
        "period": {"start": "2026-03-05T00:30:00Z", "end": "2026-03-05T01:15:00Z"},
        "location": [{"location": ref("Location/l")}],
        "diagnosis": [{"condition": ref("Condition/c2"), "rank": 2}, {"condition": ref("Condition/c1"), "rank": 1}],
        "extension": [
            {"url": f"{S}/timed-minutes-total", "valueInteger": 38},
            {"url": f"{S}/treatment-minutes-total", "valueInteger": 40},
            {"url": f"{S}/authorization", "valueString": "AUTH-1"},
        ],
    }
    units = {"url": f"{S}/units", "valueInteger": 2}
    return [
        encounter,
        {
            "resourceType": "Patient",
            "id": "pat-1",
            "identifier": [{"type": concept("v2", "MR"), "value": "MRN-7781"}],
            "name": [{"use": "official", "family": "Testerly", "given": ["Quentin", "Q"]}],
            "gender": "male",
            "birthDate": "1950-02-03",
            "address": [{"line": ["1 Main"], "city": "Sandbox City", "state": "IL", "postalCode": "60601"}],
            "telecom": [{"system": "email", "value": "q@x"}, {"system": "phone", "value": "555-0188"}],
        },
        procedure(1, extensions=[minutes("minutes", 23), units, {"url": f"{S}/sequence", "valueInteger": 2}]),
        procedure(2, "97140", extensions=[minutes("minutes", 15), {"url": f"{S}/sequence", "valueInteger": 1}]),
        condition("c1", "M54.50"),
        condition("c2", "M25.561"),
        coverage("cov-1"),
        {"resourceType": "DocumentReference", "id": "n", "status": "current", "docStatus": "final",
         "type": concept("l", "28579-1"), "date": "2026-03-05T02:00:00Z"},
        practitioner("pt", "P.T."),
        practitioner("md", "MD"),
        {"resourceType": "Location", "id": "l", "extension": [{"url": f"{S}/place-of-service", "valueCode": "11"}]},
    ]  # fmt: skip


def find(record, kind, key=None):
    return next(r for r in record if r["resourceType"] == kind and key in (None, r["id"]))


def source(resources, parsed=False):
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    return SourceRecord(
        clinic="lakeside",
        source="emr",
        record_key="e1",
        media_type="application/fhir+json",
        payload=orjson.dumps(bundle),
        received_at=datetime.now(UTC),
        document=resources if parsed else None,
    )


def read(resources, compiled=SANDBOX, zone=CHICAGO):
    return normalize(source(resources), compiled, time_zone=zone)


def codes(visit):
    return sorted(finding.code for finding in visit.findings)


def only(visit, code):
    assert codes(visit) == [code], [str(finding) for finding in visit.findings]
    return visit.findings[0]


# ---------------------------------------------------------------- a sound visit


def test_every_fact_of_a_sound_visit(record):
    visit = read(record)
    assert visit.findings == ()
    assert (visit.clinic, visit.source, visit.visit_id, visit.version) == ("lakeside", "emr", "e1", "3")
    assert visit.status is VisitStatus.FINISHED
    assert visit.service_date == date(2026, 3, 4)  # half past midnight in UTC is the evening before in Chicago
    assert visit.discipline is Discipline.PT
    assert visit.visit_type == "daily"
    assert visit.place_of_service == "11"
    assert (visit.timed_minutes_total, visit.treatment_minutes_total) == (38, 40)
    assert visit.authorization_number == "AUTH-1"
    assert visit.note_signed is True
    assert visit.note_signed_at == datetime(2026, 3, 5, 2, tzinfo=UTC)
    assert (visit.patient.family, visit.patient.given, visit.patient.mrn) == ("Testerly", "Quentin", "MRN-7781")
    assert (visit.patient.birth_date, visit.patient.phone) == (date(1950, 2, 3), "555-0188")
    assert visit.patient.address.postal_code == "60601"
    assert [d.code for d in visit.diagnoses] == ["M54.50", "M25.561"]
    (cover,) = visit.coverages
    assert (cover.payer_id, cover.payer_name, cover.member_id) == ("ACME", "Acme Health Plan", "XYZ123456")
    assert (cover.group_number, cover.plan_name, cover.relationship) == ("G-1", "Gold", "self")
    assert (visit.rendering.npi, visit.rendering.name, visit.rendering.credential) == ("1234567893", "Paula Kneewell", "PT")
    assert visit.referring.credential == "MD"
    assert visit.assistant is None
    assert visit.supervising is None


def test_lines_in_the_order_of_their_sequence_with_the_paths_that_gave_them(record):
    manual, exercise = read(record).interventions
    assert (manual.line_key, manual.code, manual.minutes, manual.units_documented) == ("p2", "97140", 15, None)
    assert (exercise.line_key, exercise.code, exercise.minutes, exercise.units_documented) == ("p1", "97110", 23, 2)
    assert exercise.documented == f"{CPT}|97110"
    assert exercise.diagnosis_codes == ("M54.50",)
    assert exercise.by_assistant is False
    assert exercise.minutes_source == f"Procedure.extension('{S}/minutes').value"
    assert exercise.units_source == f"Procedure.extension('{S}/units').value"
    assert manual.units_source == ""


def test_parsed_and_unparsed_records_give_the_same_visit(record):
    assert normalize(source(record, parsed=True), SANDBOX, time_zone=CHICAGO) == read(record)


def test_reading_twice_gives_the_same_and_changes_nothing(record):
    before = copy.deepcopy(record)
    parsed = source(record, parsed=True)
    assert normalize(parsed, SANDBOX, time_zone=CHICAGO) == normalize(parsed, SANDBOX, time_zone=CHICAGO)
    assert record == before


def test_findings_about_a_shared_resource_are_found_each_time(record):
    find(record, "Patient")["birthDate"] = "1950"
    parsed = source(record, parsed=True)
    assert [codes(normalize(parsed, SANDBOX, time_zone=CHICAGO)) for _ in range(2)] == [["MP03"], ["MP03"]]


# ---------------------------------------------------------------- service date


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-03-05T00:30:00Z", date(2026, 3, 4)),
        ("2026-03-04T23:30:00-06:00", date(2026, 3, 4)),
        ("2026-03-05T05:59:59.999Z", date(2026, 3, 4)),
        ("2026-03-05T06:00:00Z", date(2026, 3, 5)),
        ("2026-07-05T05:30:00Z", date(2026, 7, 5)),  # daylight saving time: five hours, not six
        ("2026-03-08T07:30:00Z", date(2026, 3, 8)),  # the night of the change
        ("2026-03-05", date(2026, 3, 5)),
        ("2026-03-05T09:00:00", date(2026, 3, 5)),
    ],
)
def test_the_service_date_is_the_civil_day_at_the_clinic(record, start, expected):
    find(record, "Encounter")["period"] = {"start": start}
    assert read(record).service_date == expected


@pytest.mark.parametrize(
    "start", ["2026", "2026-03", "2026-13-01", "20260305", "2026-W10-1", "soon", "2026-02-30T10:00:00Z", 2026, [], {}]
)
def test_an_unreadable_service_date_is_a_finding_that_holds(record, start):
    find(record, "Encounter")["period"] = {"start": start}
    visit = read(record)
    assert visit.service_date is None
    assert any(finding.holds and finding.where == "visit.service_date" for finding in visit.findings)


# ---------------------------------------------------------------- status and note


def test_status_words(record):
    encounter = find(record, "Encounter")
    for word, expected in [
        ("planned", "planned"), ("arrived", "in-progress"), ("in-progress", "in-progress"), ("finished", "finished"),
        ("cancelled", "cancelled"), ("entered-in-error", "entered-in-error"), ("unknown", "unknown"),
    ]:  # fmt: skip
        encounter["status"] = word
        assert read(record).status == expected
    encounter["status"] = "done"
    finding = only(read(record), "MP08")
    assert "'done' is not in the look-up table 'visit_status'" in finding.message


def test_a_no_show_is_a_cancelled_encounter_with_such_an_appointment(record):
    encounter = find(record, "Encounter")
    encounter["appointment"] = [ref("Appointment/a")]
    record.append({"resourceType": "Appointment", "id": "a", "status": "noshow"})
    assert read(record).status is VisitStatus.FINISHED
    encounter["status"] = "cancelled"
    assert read(record).status is VisitStatus.NO_SHOW


@pytest.mark.parametrize(
    ("statuses", "signed"),
    [
        (["final"], True),
        (["amended"], True),
        (["preliminary"], False),
        (["final", "preliminary"], False),
        ([None], None),
        ([], None),
    ],
)
def test_note_signed(record, statuses, signed):
    note = find(record, "DocumentReference")
    record.remove(note)
    for number, status in enumerate(statuses):
        record.append({**note, "id": f"n{number}", "docStatus": status})
    assert read(record).note_signed is signed


def test_a_document_that_is_no_therapy_note_signs_nothing(record):
    find(record, "DocumentReference")["type"] = concept("l", "59284-0")
    assert read(record).note_signed is None
    find(record, "DocumentReference").update({"type": concept("l", "28579-1"), "status": "superseded"})
    assert read(record).note_signed is None


# ---------------------------------------------------------------- services


def test_an_unmapped_word_names_the_word_and_the_file(record):
    record.append(procedure(3, "KT-TAPE", f"{S}/local-service"))
    visit = read(record)
    finding = only(visit, "MP01")
    assert finding.holds
    assert finding.line_key == "p3"
    assert f"'{S}/local-service|KT-TAPE' has no entry" in finding.message
    assert "lookups.services in a mapping file of your own that extends emrs/sandbox_emr" in finding.fix
    assert visit.interventions[-1].code is None


@pytest.mark.parametrize(
    "system",
    [CPT, "https://www.ama-assn.org/go/cpt", "urn:oid:2.16.840.1.113883.6.12", "C4", "CPT4",
     "http://terminology.hl7.org/CodeSystem/HCPCS-all-codes"],
)  # fmt: skip
def test_one_code_under_every_name_of_its_system(record, system):
    find(record, "Procedure", "p1")["code"] = concept(system, "97110")
    assert read(record).interventions[1].code == "97110"


@pytest.mark.parametrize("coding", [{"code": "97110"}, {"system": "urn:local", "code": "97110"}, {"display": "97110"}])
def test_a_code_without_a_known_system_is_no_procedure_code(record, coding):
    find(record, "Procedure", "p1")["code"] = {"coding": [coding]}
    visit = read(record)
    assert visit.interventions[1].code is None
    assert codes(visit)[0] in ("MP01", "MP02")


def test_two_codings_of_one_service(record):
    local = {"system": "urn:cdm", "code": "1010222", "userSelected": True}
    find(record, "Procedure", "p1")["code"]["coding"].insert(0, local)
    assert read(record).interventions[1].code == "97110"
    find(record, "Procedure", "p1")["code"]["coding"].append({"system": "C4", "code": "97140"})
    assert "97110, 97140" in only(read(record), "MP21").message


def with_services(tmp_path, text):
    path = tmp_path / "clinic.yaml"
    path.write_text(f"mapping: clinic\nextends: emrs/sandbox_emr\nlookups:\n  services:\n{text}")
    return compile_mapping(load_mapping(path))


def test_entries_of_the_mapping(record, tmp_path):
    compiled = with_services(
        tmp_path,
        "    urn:l|TAPE: not-billable\n    urn:l|EX: {code: '97110', modifiers: [KX]}\n    urn:l|GYM: hold\n"
        "    urn:l|MAN:\n      - {code: '97140', when: {discipline: PT}}\n"
        "      - {hold: ['97530', '97535'], because: two ways}\n"
        "    Balance work: '97112'\n",
    )
    lines = ["TAPE", "EX", "GYM", "MAN"]
    resources = [r for r in record if r["resourceType"] != "Procedure"] + [
        procedure(number, word, "urn:l", [minutes("minutes", 10), {"url": f"{S}/modifier", "valueCode": "59"}])
        for number, word in enumerate(lines)
    ]
    resources.append({**procedure(9), "code": {"text": "Balance work"}})
    visit = read(resources, compiled)
    record.append(procedure(7, "NEW", "urn:l"))
    assert (
        f"Add it under lookups.services in {tmp_path / 'clinic.yaml'}, as 'urn:l|NEW'" in read(record, compiled).findings[0].fix
    )
    taped, exercise, gym, manual, balance = visit.interventions
    assert taped.code is None
    assert taped.not_billable == f"{tmp_path / 'clinic.yaml'}:5"
    assert (exercise.code, exercise.modifiers) == ("97110", ("59", "KX"))
    assert gym.code is None
    assert manual.code == "97140"
    assert balance.code == "97112"
    assert codes(visit) == ["MP12", "MP15"]
    find(resources, "Encounter")["serviceType"] = concept(f"{S}/discipline", "OT")
    held = [finding for finding in read(resources, compiled).findings if finding.line_key == "p3"]
    assert "candidates: 97530, 97535: two ways" in held[0].message


def test_snomed_is_never_turned_into_a_code_by_itself(record):
    find(record, "Procedure", "p1")["code"] = concept("http://snomed.info/sct", "229065009")
    visit = read(record)
    assert "candidates: 97110, 97112, 97530, 97150" in only(visit, "MP12").message
    assert visit.interventions[1].code is None


def test_no_procedures_no_lines(record):
    visit = read([r for r in record if r["resourceType"] != "Procedure"])
    assert visit.interventions == ()
    assert visit.findings == ()


@pytest.mark.parametrize("status", ["not-done", "entered-in-error"])
def test_what_was_not_done_is_kept_and_marked(record, status):
    find(record, "Procedure", "p1")["status"] = status
    assert [line.not_done for line in read(record).interventions] == [False, True]


@pytest.mark.parametrize("status", ["preparation", "stopped", "unknown", None])
def test_a_line_of_unclear_state_holds(record, status):
    find(record, "Procedure", "p1")["status"] = status
    assert any(finding.holds for finding in read(record).findings)


# ---------------------------------------------------------------- minutes and units


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"valueQuantity": {"value": 15, "code": "min"}}, 15),
        ({"valueQuantity": {"value": 15.0, "unit": "minutes"}}, 15),
        ({"valueQuantity": {"value": 900, "code": "s"}}, 15),
        ({"valueDuration": {"value": 0.25, "code": "h"}}, 15),
        ({"valueInteger": 15}, 15),
        ({"valueString": "15"}, 15),
        ({"valueInteger": 0}, 0),
        ({"valuePeriod": {"start": "2026-03-05T00:30:00Z", "end": "2026-03-05T00:45:00Z"}}, 15),
    ],
)
def test_minutes_as_sources_write_them(record, value, expected):
    find(record, "Procedure", "p1")["extension"] = [{"url": f"{S}/minutes", **value}]
    line = next(line for line in read(record).interventions if line.line_key == "p1")
    assert line.minutes == expected


@pytest.mark.parametrize(
    "value",
    [
        {"valueQuantity": {"value": -15, "code": "min"}},
        {"valueQuantity": {"value": "fifteen", "code": "min"}},
        {"valueQuantity": {"value": 15, "code": "mg"}},
        {"valueQuantity": {"value": 15, "code": "min", "comparator": "<"}},
        {"valueQuantity": {"code": "min"}},
        {"valueQuantity": {"value": True, "code": "min"}},
        {"valueString": "15 min"},
        {"valueString": "15,5"},
        {"valueInteger": -1},
        {"valueInteger": 100000},
        {"valueBoolean": True},
        {"valuePeriod": {"start": "2026-03-05"}},
        {"valuePeriod": {"start": "2026-03-05", "end": "2026-03-06"}},
        {"valuePeriod": {"start": "2026-03-05T01:00:00Z", "end": "2026-03-05T00:45:00Z"}},
        {"valueRange": {"low": {"value": 8}}},
    ],
)
def test_unreadable_minutes_hold_and_stay_absent(record, value):
    find(record, "Procedure", "p1")["extension"] = [{"url": f"{S}/minutes", **value}]
    visit = read(record)
    finding = only(visit, "MP03")
    assert finding.holds
    assert finding.line_key == "p1"
    assert next(line for line in visit.interventions if line.line_key == "p1").minutes is None


def test_a_fraction_of_a_minute_is_dropped_and_said(record):
    find(record, "Procedure", "p1")["extension"] = [minutes("minutes", 22.9)]
    visit = read(record)
    assert "22.9 minutes count as 22" in only(visit, "MP13").message
    assert not visit.findings[0].holds


@pytest.mark.parametrize("value", [-1, 1.5, "two", 10000, {"low": 1}])
def test_unreadable_units_hold(record, value):
    find(record, "Procedure", "p1")["extension"] = [minutes("minutes", 15), {"url": f"{S}/units", "valueInteger": value}]
    visit = read(record)
    assert only(visit, "MP03").where == "interventions.units"
    assert all(line.units_documented is None for line in visit.interventions)


def test_minutes_never_come_from_units_nor_units_from_minutes(record):
    find(record, "Procedure", "p1")["extension"] = [{"url": f"{S}/units", "valueInteger": 3}]
    lines = {line.line_key: line for line in read(record).interventions}
    assert (lines["p1"].minutes, lines["p1"].units_documented) == (None, 3)
    assert (lines["p2"].minutes, lines["p2"].units_documented) == (15, None)


def test_split_minutes(record):
    exercise = find(record, "Procedure", "p1")
    assistant = {"function": concept(f"{S}/performer-role", "assistant"), "actor": ref("Practitioner/pta")}
    exercise["performer"].append(assistant)
    record.append(practitioner("pta", "PTA"))
    find(record, "Encounter")["participant"].append(participant("SPRF", "Practitioner/pta"))
    assert "without the minutes of each" in only(read(record), "MP10").message
    exercise["extension"] += [minutes("therapist-minutes", 13), minutes("assistant-minutes", 10)]
    visit = read(record)
    assert visit.findings == ()
    assert visit.assistant.is_assistant
    line = visit.interventions[1]
    assert (line.minutes, line.therapist_minutes, line.assistant_minutes, line.by_assistant) == (23, 13, 10, None)
    exercise["extension"][-1] = minutes("assistant-minutes", 9)
    assert "13 + 9 minutes against 23 documented" in only(read(record), "MP17").message
    exercise["performer"] = [assistant]
    assert read(record).interventions[1].by_assistant is True


def period(start, end):
    return {"start": f"2026-03-05T{start}:00Z", "end": f"2026-03-05T{end}:00Z"}


def test_a_period_of_its_own_gives_minutes_under_the_standard(record):
    find(record, "Procedure", "p1")["performedPeriod"] = period("00:30", "00:53")
    find(record, "Procedure", "p2")["performedPeriod"] = period("00:53", "01:08")
    visit = read(record, STANDARD)
    assert sorted(line.minutes for line in visit.interventions) == [15, 23]
    assert visit.interventions[0].minutes_source == "Procedure.performed.ofType(Period)"


@pytest.mark.parametrize("spans", [("00:40", "00:50", "00:40", "00:50"), ("00:30", "01:15", "00:30", "00:45")])
def test_a_period_that_is_not_the_lines_own_is_not_believed(record, spans):
    find(record, "Procedure", "p1")["performedPeriod"] = period(*spans[:2])
    find(record, "Procedure", "p2")["performedPeriod"] = period(*spans[2:])
    visit = read(record, STANDARD)
    assert "MP07" in codes(visit)
    assert next(line for line in visit.interventions if line.line_key == "p1").minutes is None


def test_minutes_over_the_change_of_clocks(record):
    find(record, "Procedure", "p1")["performedPeriod"] = {
        "start": "2026-03-08T01:50:00-06:00",
        "end": "2026-03-08T03:05:00-05:00",
    }
    assert read(record, STANDARD).interventions[0].minutes == 15


@pytest.mark.parametrize(
    ("written", "expected"),
    [(["GP"], ("GP",)), (["gp", "59"], ("GP", "59")), (["GP59"], ("GP", "59")), (["GP, KX", "GP"], ("GP", "KX"))],
)
def test_modifiers(record, written, expected):
    find(record, "Procedure", "p1")["extension"] = [{"url": f"{S}/modifier", "valueCode": code} for code in written]
    assert next(line for line in read(record).interventions if line.line_key == "p1").modifiers == expected


def test_an_unreadable_modifier_holds(record):
    find(record, "Procedure", "p1")["extension"].append({"url": f"{S}/modifier", "valueCode": "GPX"})
    assert "'GPX' is not a modifier" in only(read(record), "MP03").message


# ---------------------------------------------------------------- links


def test_references_that_lead_nowhere(record):
    resources = [r for r in record if r["resourceType"] not in ("Practitioner", "Condition")]
    visit = read(resources)
    assert set(codes(visit)) == {"MP04"}
    assert visit.rendering.id == "pt"
    assert visit.rendering.npi is None
    assert visit.diagnoses == ()


def test_a_patient_that_is_not_in_the_record_holds_but_is_known(record):
    visit = read([r for r in record if r["resourceType"] != "Patient"])
    finding = only(visit, "MP04")
    assert finding.holds
    assert visit.patient.id == "pat-1"
    assert "pat-1" not in str(finding)


def test_a_merged_patient_holds(record):
    find(record, "Patient")["link"] = [{"type": "replaced-by", "other": ref("Patient/pat-9")}]
    visit = read(record)
    assert only(visit, "MP06").holds
    assert visit.patient.replaced_by == "pat-9"


@pytest.mark.parametrize(("key", "to"), [("encounter", "Encounter/e2"), ("subject", "Patient/other")])
def test_a_line_of_another_visit_or_patient_holds(record, key, to):
    find(record, "Procedure", "p1")[key] = ref(to)
    assert only(read(record), "MP09").holds


@pytest.mark.parametrize(
    "form", ["https://emr.example/fhir/Encounter/e1", "Encounter/e1/_history/2", "urn:uuid:e1", "Encounter?identifier=a|b"]
)
def test_other_forms_of_the_same_link(record, form):
    find(record, "Procedure", "p1")["encounter"] = ref(form)
    assert read(record).findings == ()


def test_two_lines_with_one_key(record):
    record.append({**procedure(1), "code": concept(CPT, "97112")})
    visit = read(record)
    assert only(visit, "MP18").holds
    assert sorted(line.line_key for line in visit.interventions) == ["p1", "p1#2", "p2"]


def test_several_clinicians_in_one_role(record):
    find(record, "Encounter")["participant"].append(participant("PPRF", "Practitioner/md"))
    visit = read(record)
    assert only(visit, "MP16").holds
    assert visit.rendering is None


# ---------------------------------------------------------------- coverage


def test_two_primaries_hold(record):
    record.append(coverage("cov-2"))
    assert only(read(record), "MP05").holds


def test_primary_and_secondary_in_order(record):
    find(record, "Coverage")["order"] = 2
    record.append(coverage("cov-2"))
    visit = read(record)
    assert visit.findings == ()
    assert [cover.id for cover in visit.coverages] == ["cov-2", "cov-1"]


def test_several_without_order_hold(record):
    del find(record, "Coverage")["order"]
    record.append({k: v for k, v in coverage("cov-2").items() if k != "order"})
    assert only(read(record), "MP05").holds


def test_coverages_to_which_the_source_gives_no_id_are_told_apart(record):
    del find(record, "Coverage")["id"]
    record.append(coverage("", order=2, subscriberId="OTHER-9"))
    first, second = read(record).coverages
    assert first.id != second.id and all((first.id, second.id))
    assert read(record).coverages[0].id == first.id, "the same one is the same again, in another visit of the day"


@pytest.mark.parametrize(
    ("period", "counts"),
    [
        ({"start": "2026-03-04"}, True),
        ({"end": "2026-03-04"}, True),
        ({"start": "2026-03-05"}, False),
        ({"end": "2026-03-03"}, False),
    ],
)
def test_a_coverage_is_in_force_on_the_first_day_and_the_last(record, period, counts):
    find(record, "Coverage")["period"] = period
    assert read(record).service_date == date(2026, 3, 4)
    assert bool(read(record).coverages) is counts


def test_coverage_that_is_over_or_cancelled_is_left_out(record):
    record.append(coverage("cov-old", period={"start": "2020-01-01", "end": "2025-12-31"}))
    record.append(coverage("cov-void", status="cancelled"))
    visit = read(record)
    assert [cover.id for cover in visit.coverages] == ["cov-1"]
    assert "1 of 2 coverages are not in force" in only(visit, "MP14").message


# ---------------------------------------------------------------- diagnoses


def test_only_icd_10_cm_each_once_those_without_rank_last(record):
    encounter = find(record, "Encounter")
    encounter["diagnosis"] = [{"condition": ref(f"Condition/c{n}")} for n in (3, 2, 1)] + [
        {"condition": ref("Condition/c1"), "rank": 1}
    ]
    record.append(condition("c3", "M54.50"))
    find(record, "Condition", "c2")["code"]["coding"].append({"system": "http://snomed.info/sct", "code": "1"})
    assert [d.code for d in read(record).diagnoses] == ["M54.50", "M25.561"]


# ---------------------------------------------------------------- charge items


def charge_item(key, code, service=None, status="billable"):
    item = {"resourceType": "ChargeItem", "id": key, "status": status, "code": concept(CPT, code), "quantity": {"value": 2},
            "subject": ref("Patient/pat-1"), "context": ref("Encounter/e1")}  # fmt: skip
    return {**item, "service": [ref(service)]} if service else item


def test_charge_items_are_the_lines_and_nothing_is_doubled_or_lost(record):
    record += [charge_item("ci1", "97110", "Procedure/p1"), charge_item("ci2", "97140")]
    find(record, "Procedure", "p1")["performedPeriod"] = period("00:31", "00:54")
    visit = read(record, MEDPLUM)
    assert [(line.line_key, line.code, line.units_documented) for line in visit.interventions] == [
        ("ci1", "97110", 2), ("ci2", "97140", 2)]  # fmt: skip
    assert visit.interventions[0].minutes == 23
    assert codes(visit) == []
    record.append(procedure(5, "97530"))
    assert "1 documented services are not among the 2 charge items" in only(read(record, MEDPLUM), "MP11").message


def test_a_charge_that_may_be_billed_elsewhere_holds(record):
    record += [charge_item("ci1", "97110", "Procedure/p1", status="billed"), charge_item("ci2", "97140", "Procedure/p2")]
    assert only(read(record, MEDPLUM), "MP08").holds


# ---------------------------------------------------------------- unusable records


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (b'{"resourceType":"Bundle","entry":[{"resource":{"resou', "payload"),
        (b"", "payload"),
        (b"<html>", "payload"),
        (b"[]", "entry[0]"),
        (b"null", "entry[0]"),
        (b'"x"', "entry[0]"),
        (b'{"resourceType":"Bundle"}', "entry[0]"),
        (b'{"resourceType":"Bundle","entry":{"a":1}}', "entry[0]"),
        (b'{"resourceType":"Bundle","entry":[1,null,{"resource":7}]}', "entry[0]"),
        (b'{"resourceType":"Patient","id":"Testerly"}', "entry[0]"),
        (b'{"resourceType":"Encounter","status":"finished"}', "Encounter.id"),
        (b'{"resourceType":"Encounter","id":{}}', "Encounter.id"),
        (b'{"resourceType":"Encounter","id":"e"}', "Encounter.subject"),
        (b'{"resourceType":"Encounter","id":"e","subject":{"display":"Quentin Testerly"}}', "Encounter.subject"),
        (b'{"resourceType":"Encounter","id":"e","subject":[]}', "Encounter.subject"),
    ],
)
def test_unusable_records(payload, where):
    record = SourceRecord(
        clinic="c",
        source="s",
        record_key="e",
        media_type="application/fhir+json",
        payload=payload,
        received_at=datetime.now(UTC),
    )
    with pytest.raises(RecordError) as caught:
        normalize(record, SANDBOX, time_zone=CHICAGO)
    assert caught.value.where == where
    assert caught.value.fix
    assert not any(secret in str(caught.value) for secret in SECRETS)


# ---------------------------------------------------------------- privacy


def test_no_finding_shows_who_the_patient_is(record):
    patient, encounter = find(record, "Patient"), find(record, "Encounter")
    patient["birthDate"] = "1950-02-03T00:00"
    find(record, "Procedure", "p1")["code"] = {"text": "exercise for Testerly, Quentin (MRN-7781)"}
    find(record, "Procedure", "p2")["extension"] = [{"url": f"{S}/minutes", "valueString": "Testerly"}]
    encounter["serviceType"] = {"text": "PT for Quentin"}
    visit = read(record)
    assert len(visit.findings) >= 4
    for secret in SECRETS:
        assert not any(secret in str(finding) for finding in visit.findings), secret
    assert not any(secret in repr(visit.patient) for secret in SECRETS)


def test_every_finding_code_is_declared():
    assert all(meaning.title and meaning.fix for meaning in MEANINGS.values())


# ---------------------------------------------------------------- trial


def test_trial_shows_each_field_the_path_that_gave_it_and_what_is_missing(record):
    del find(record, "Procedure", "p1")["extension"]
    rows = {row.field: row for row in try_record(source(record), SANDBOX, time_zone=CHICAGO)}
    assert rows["visit.discipline"].value == "PT"
    assert rows["visit.discipline"].path.startswith("Encounter.serviceType")
    assert rows["interventions[1].code"].value == f"{CPT}|97110"
    assert rows["interventions[1].minutes"].missing.startswith("nothing at Procedure.extension(")
    assert rows["patient.family"].value == MASK
    assert not any(secret in row.value for row in rows.values() for secret in SECRETS)
    shown = {row.field: row for row in try_record(source(record), SANDBOX, time_zone=CHICAGO, show_patient=True)}
    assert shown["patient.family"].value == "Testerly"


def test_a_masked_visit_keeps_the_facts_and_hides_the_person(record):
    plain = masked(read(record))
    assert plain["interventions"][0]["code"] == "97140"
    assert plain["patient"]["family"] == MASK
    assert not any(secret in str(plain) for secret in SECRETS)


# ---------------------------------------------------------------- treatment days


def test_visits_of_one_patient_discipline_and_day_are_one_treatment_day_in_order_of_start(record):
    later = copy.deepcopy(record)
    find(later, "Encounter").update({"id": "e0", "period": {"start": "2026-03-05T02:00:00Z"}})
    other = copy.deepcopy(record)
    find(other, "Encounter").update({"id": "e2", "serviceType": concept(f"{S}/discipline", "OT")})
    visits = [read(resources) for resources in (later, record, other)]
    days = group(visits, clinic="lakeside", billing_npi="1987654328")
    assert [[visit.visit_id for visit in day.visits] for day in days] == [["e1", "e0"], ["e2"]]
    assert (days[0].discipline, days[0].service_date, days[0].billing_npi) == ("PT", date(2026, 3, 4), "1987654328")
    assert group(visits[::-1], clinic="lakeside", billing_npi="1987654328")[1].visits == days[0].visits


def test_a_visit_without_date_or_discipline_is_a_day_of_its_own(record):
    find(record, "Encounter")["period"] = {}
    assert day_key(read(record), "1") == "visit:e1"
