"""Whose insurance it is, where that is not the patient: FHIR, HL7 v2 and extracts give the same person, or nobody."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from ptbridge.intake import compile_mapping, normalize
from ptbridge.model import Address, Coverage, SourceRecord, Subscriber, Visit
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.hl7_record import MEDIA_TYPE, Part, join_parts
from tests.hl7_clinic import INSURANCE, a_visit

CHICAGO = ZoneInfo("America/Chicago")
BOB = Subscriber(
    family="Testerly",
    given="Bob",
    birth_date=date(1948, 7, 9),
    sex="male",
    address=Address(lines=("2 Sample St",), city="Chicago", state="IL", postal_code="60602"),
)


def normalized(mapping: str, media_type: str, payload: bytes) -> Visit:
    record = SourceRecord(
        clinic="c",
        source="s",
        record_key="V1",
        media_type=media_type,
        payload=payload,
        received_at=datetime.now(UTC),
        version="charges.csv:2",
    )
    return normalize(record, compile_mapping(load_mapping(mapping)), time_zone=CHICAGO)


# ---------------------------------------------------------------- FHIR


def of_bob(kind: str, key: str = "bob") -> dict[str, Any]:
    return {
        "resourceType": kind,
        "id": key,
        "name": [
            {"use": "nickname", "family": "Old", "given": ["B"]},
            {"use": "official", "family": "Testerly", "given": ["Bob"]},
        ],
        "gender": "male",
        "birthDate": "1948-07-09",
        "address": [
            {"use": "work", "city": "Elsewhere"},
            {"use": "home", "line": ["2 Sample St"], "city": "Chicago", "state": "IL", "postalCode": "60602"},
        ],
    }


def of_fhir(*others: dict[str, Any], relationship: str | None = "spouse", **coverage: Any) -> Visit:
    said = {"relationship": {"coding": [{"code": relationship}]}} if relationship else {}
    resources = [
        {"resourceType": "Encounter", "id": "V1", "status": "finished", "subject": {"reference": "Patient/ann"}},
        {"resourceType": "Patient", "id": "ann", "name": [{"family": "Testerly", "given": ["Ann"]}]},
        {"resourceType": "Coverage", "id": "c1", "status": "active", "order": 1, **said, **coverage},
    ]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": one} for one in (*resources, *others)]}
    return normalized("emrs/fhir_r4", "application/fhir+json", orjson.dumps(bundle))


def only(visit: Visit) -> Coverage:
    (coverage,) = visit.coverages
    return coverage


@pytest.mark.parametrize("kind", ["RelatedPerson", "Patient"])
def test_fhir_names_the_subscriber_by_reference(kind: str) -> None:
    visit = of_fhir(of_bob(kind), subscriber={"reference": f"{kind}/bob"})
    assert only(visit).subscriber == BOB
    assert visit.patient.given == "Ann"  # another Patient in the record does not become the one treated


def test_fhir_holds_the_subscriber_inside_the_coverage() -> None:
    visit = of_fhir(contained=[of_bob("RelatedPerson")], subscriber={"reference": "#bob"})
    assert only(visit).subscriber == BOB


def test_the_patient_is_nobodys_other_subscriber() -> None:
    assert only(of_fhir(relationship="self", subscriber={"reference": "Patient/ann"})).subscriber is None


def test_one_who_is_not_in_the_record_stays_absent() -> None:
    assert only(of_fhir(subscriber={"reference": "RelatedPerson/gone"})).subscriber is None
    assert only(of_fhir()).subscriber is None


def test_what_is_not_said_of_a_subscriber_stays_absent() -> None:
    bob = {**of_bob("RelatedPerson"), "birthDate": "1948"}
    del bob["address"]
    visit = of_fhir(bob, subscriber={"reference": "RelatedPerson/bob"}, relationship=None)
    assert only(visit).subscriber == Subscriber(family="Testerly", given="Bob", sex="male")
    assert [finding.code for finding in visit.findings if "subscriber" in finding.message] == ["MP03"]
    assert not any("1948" in finding.message for finding in visit.findings)


def test_two_coverages_of_a_shared_record_keep_their_own_subscribers() -> None:
    carol = {**of_bob("RelatedPerson", "carol"), "name": [{"family": "Other", "given": ["Carol"]}]}
    second = {"resourceType": "Coverage", "id": "c2", "status": "active", "order": 2}
    second |= {"relationship": {"coding": [{"code": "child"}]}, "subscriber": {"reference": "RelatedPerson/carol"}}
    visit = of_fhir(of_bob("RelatedPerson"), carol, second, subscriber={"reference": "RelatedPerson/bob"})
    assert [one.subscriber and one.subscriber.given for one in visit.coverages] == ["Bob", "Carol"]


def test_no_repr_shows_the_subscriber() -> None:
    shown = repr(of_fhir(of_bob("RelatedPerson"), subscriber={"reference": "RelatedPerson/bob"}))
    assert not any(word in shown for word in ("Bob", "1948", "2 Sample", "60602"))


# ---------------------------------------------------------------- HL7 v2


def of_hl7(relationship: str, **fields: str) -> Visit:
    insured = INSURANCE.split("|")
    insured += [""] * (50 - len(insured))
    insured[17] = relationship
    for name, value in fields.items():
        insured[int(name.removeprefix("in1_"))] = value
    written = "|".join(insured).rstrip("|")
    messages = [raw.replace(INSURANCE.encode(), written.encode()) for raw in a_visit()]
    assert any(written.encode() in raw for raw in messages)
    parts = [Part(number, "charges" if b"|DFT^" in raw else "facts", None, raw) for number, raw in enumerate(messages, start=1)]
    return normalized("emrs/hl7v2_generic", MEDIA_TYPE, join_parts(parts, ""))


INSURED = {
    "in1_16": "Testerly^Bob",
    "in1_18": "19480709",
    "in1_19": "2 Sample St^^Chicago^IL^60602",
    "in1_43": "M",
}


def test_hl7_names_the_insured() -> None:
    visit = of_hl7("SPO", **INSURED)
    assert only(visit).relationship == "spouse"
    assert only(visit).subscriber == BOB


def test_hl7_insured_self_is_no_other_person() -> None:
    assert only(of_hl7("SEL", **INSURED)).subscriber is None
    assert only(of_hl7("SPO", in1_16="")).subscriber is None


# ---------------------------------------------------------------- extracts

ROW = {
    "visit_id": "V1", "charge_id": "10", "service_date": "2026-11-19", "discipline": "PT", "patient_id": "P1",
    "patient_family": "Testerly", "patient_given": "Ann", "patient_birth_date": "1950-12-31", "payer_id": "ACME",
    "member_id": "M1", "rendering_npi": "1234567893", "rendering_credential": "PT", "rendering_name": "Paula Kneewell",
    "procedure": "97110", "units": "2", "relationship": "spouse",
}  # fmt: skip
COLUMNS = {
    "subscriber_family": "Testerly", "subscriber_given": "Bob", "subscriber_birth_date": "1948-07-09",
    "subscriber_sex": "male", "subscriber_address_line": "2 Sample St", "subscriber_city": "Chicago",
    "subscriber_state": "IL", "subscriber_postal_code": "60602",
}  # fmt: skip


def of_rows(row: dict[str, str]) -> Visit:
    payload = ",".join(row) + "\n" + ",".join(f'"{cell}"' for cell in row.values())
    return normalized("emrs/csv_charges", "text/csv; charset=utf-8", payload.encode())


def test_an_extract_names_the_subscriber_in_its_own_columns() -> None:
    assert only(of_rows(ROW | COLUMNS)).subscriber == BOB
    assert only(of_rows(ROW | dict.fromkeys(COLUMNS, ""))).subscriber is None
    assert only(of_rows(ROW)).subscriber is None
    assert only(of_rows(ROW | COLUMNS | {"relationship": "self"})).subscriber is None
