"""Authorizations from FHIR: the answer's own items, the order that it certifies whole, and the payer behind the coverage."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ptbridge.jobs.authorization_fhir import FhirAuthorizations, read_fhir
from ptbridge.policy.history import Authorization

CPT = "http://www.ama-assn.org/go/cpt"
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-reviewAction"
ROUTES = {"ACME": "acme", "Blue Plan": "blue"}


def review(*codes: str) -> list[dict[str, Any]]:
    action = [{"url": f"{PAS}Code", "valueCodeableConcept": {"coding": [{"code": code}]}} for code in codes]
    return [{"itemSequence": 1, "adjudication": [{"extension": [{"url": PAS, "extension": action}]}]}]


def answer(**changes: object) -> dict[str, object]:
    return {
        "resourceType": "ClaimResponse",
        "id": "r1",
        "status": "active",
        "use": "preauthorization",
        "outcome": "complete",
        "patient": {"reference": "Patient/pat-1"},
        "preAuthRef": "A-99",
        "item": review("A1"),
    } | changes


def order(value: float = 12, unit: str = "visits", **changes: object) -> dict[str, object]:
    return {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": "active",
        "insurance": [{"reference": "https://emr.example/fhir/ClaimResponse/r1/_history/2"}],
        "quantityQuantity": {"value": value, "unit": unit},
        "code": {"coding": [{"system": CPT, "code": "97110"}, {"code": "91251008"}]},
        "occurrencePeriod": {"start": "2026-02-01", "end": "2026-05-01"},
    } | changes


def read(tmp_path: Path, *resources: object) -> FhirAuthorizations:
    text = "\n".join(json.dumps(one) for one in resources)
    path = tmp_path / "a.ndjson"
    return read_fhir(text, path, lambda patient, _: f"key of {patient}", lambda one, name: ROUTES.get(one or name or ""))


def one_of(tmp_path: Path, *resources: object) -> Authorization:
    found = read(tmp_path, *resources)
    assert found.left_out == []
    ((key, one),) = found.found
    assert key == "key of pat-1"
    return one


def test_an_order_that_the_answer_certifies_whole_says_how_many(tmp_path: Path) -> None:
    one = one_of(tmp_path, answer(), order())
    assert (one.number, one.counts, one.allowed, one.codes) == ("A-99", "visits", 12, frozenset({"97110"}))
    assert (one.valid_from, one.valid_to) == (date(2026, 2, 1), date(2026, 5, 1))
    dated = one_of(tmp_path, answer(preAuthPeriod={"start": "2026-03-01"}), order())
    assert (dated.valid_from, dated.valid_to) == (date(2026, 3, 1), None)


def test_the_answers_own_items_go_before_what_was_asked_for(tmp_path: Path) -> None:
    item = {"quantity": {"value": 6, "code": "{visit}"}, "productOrService": {"coding": [{"code": "97140"}]}}
    one = one_of(tmp_path, answer(addItem=[item]), order())
    assert (one.allowed, one.codes) == (6, frozenset({"97140"}))


@pytest.mark.parametrize(
    "resources",
    [
        (answer(item=[]), order()),
        (answer(item=review("A6")), order()),
        (answer(item=review("A1") + review("A3")), order()),
        (answer(), order(status="draft")),
        (answer(), order(insurance=[{"reference": "ClaimResponse/r2"}])),
        (answer(), order(insurance=[{"display": "no reference"}])),
        (answer(), order(value=1.5)),
        (answer(), order(unit="boxes")),
        (answer(),),
    ],
    ids=["not said", "modified", "one not", "draft", "another", "no link", "a half", "boxes", "no order"],
)
def test_how_many_is_never_taken_from_what_was_only_asked_for(tmp_path: Path, resources: tuple[object, ...]) -> None:
    found = read(tmp_path, *resources)
    assert found.found == [] and "says not how many" in found.left_out[0]


def coverage(payor: dict[str, object]) -> dict[str, object]:
    return {"resourceType": "Coverage", "id": "c1", "payor": [payor]}


ORGANIZATION = {"resourceType": "Organization", "id": "o1", "identifier": [{"value": "ACME"}], "name": "Blue Plan"}


@pytest.mark.parametrize(
    ("changes", "beside", "payer"),
    [
        ({"insurance": [{"coverage": {"reference": "Coverage/c1"}}]}, [coverage({"identifier": {"value": "ACME"}})], "acme"),
        (
            {"insurance": [{"coverage": {"reference": "Coverage/c1"}}]},
            [coverage({"reference": "Organization/o1"}), ORGANIZATION],
            "acme",
        ),
        ({"insurance": [{"coverage": {"reference": "Coverage/c1"}}]}, [coverage({"display": "Blue Plan"})], "blue"),
        ({"insurance": [{"coverage": {"reference": "Coverage/c9"}}], "insurer": {"display": "Blue Plan"}}, [], "blue"),
        ({"insurer": {"reference": "Organization/o1"}}, [ORGANIZATION | {"identifier": []}], "blue"),
        ({"insurer": {"display": "Nobody"}}, [], None),
        ({}, [], None),
    ],
)
def test_the_payer_is_the_clinics_route_of_the_coverage_else_of_the_insurer(
    tmp_path: Path, changes: dict[str, object], beside: list[dict[str, object]], payer: str | None
) -> None:
    assert one_of(tmp_path, answer(**changes), order(), *beside).payer == payer


def test_a_plans_limit_is_named_and_left_for_the_policy(tmp_path: Path) -> None:
    limit = {
        "resourceType": "CoverageEligibilityResponse",
        "insurance": [{"item": [{"benefit": [{"allowedUnsignedInt": 30}]}]}],
    }
    other = {
        "resourceType": "CoverageEligibilityResponse",
        "insurance": [{"item": [{"benefit": [{"allowedMoney": {}}]}, {}]}, {}],
    }
    found = read(tmp_path, limit, other)
    assert found.found == [] and len(found.left_out) == 1 and "visit_limits" in found.left_out[0]
