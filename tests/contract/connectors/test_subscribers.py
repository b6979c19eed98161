"""Whose insurance it is: fetched where Coverage refers to another person, and never a reason for a run to end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ptbridge.intake import compile_mapping, normalize
from ptbridge.specs.mapping_files import load_mapping

SEARCHES = {"RelatedPerson": {"_id", "patient"}}


@pytest.fixture
def served(bench: Any, tools: Any) -> Any:
    """A server that has RelatedPerson, and two visits of patient pat-1."""
    bench.server.params = tools.FULL | SEARCHES
    tools.visit(bench.server, 1)
    tools.visit(bench.server, 2)
    bench.server.put({"resourceType": "RelatedPerson", "id": "bob", "patient": {"reference": "Patient/pat-1"}})
    bench.server.put({"resourceType": "Patient", "id": "carol"})
    return bench


def subscribed(served: Any, to: Any) -> None:
    beneficiary = {"reference": "Patient/pat-1"}
    served.server.put({"resourceType": "Coverage", "id": "cov-pat-1", "beneficiary": beneficiary, "subscriber": to})


def people(tools: Any, pulled: Any, visit: str = "enc-1") -> list[str]:
    return [name for name in tools.contents(pulled, visit) if name.startswith(("Patient/", "RelatedPerson/"))]


def asked(served: Any, kind: str) -> int:
    return sum(one.strip("/").startswith(kind) for one, _ in served.server.asked)


@pytest.mark.parametrize("name", ["RelatedPerson/bob", "Patient/carol"])
def test_the_subscriber_travels_with_the_visit(name: str, served: Any, tools: Any) -> None:
    subscribed(served, {"reference": name})
    assert people(tools, served.pull()) == ["Patient/pat-1", name]
    assert asked(served, name.partition("/")[0]) <= 2  # the patients, and then their subscribers, in one list each


def test_the_guarantor_of_the_visits_account_travels_where_the_account_is_asked_for(served: Any, tools: Any) -> None:
    served.server.params = served.server.params | {"Account": {"_id", "patient"}}
    name = [{"family": "Payer", "given": ["Bob"]}]
    mother = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "MTH"}]}
    bob = {"resourceType": "RelatedPerson", "id": "bob", "patient": {"reference": "Patient/pat-1"}}
    served.server.put({**bob, "name": name, "relationship": [mother], "birthDate": "1960-01-02"})
    party = {"party": {"reference": "RelatedPerson/bob"}}
    served.server.put({"resourceType": "Account", "id": "acc", "status": "active", "guarantor": [party]})
    encounter = json.loads(served.server.store["Encounter", "enc-1"])
    served.server.put({**encounter, "account": [{"reference": "Account/acc"}]}, stamp=False)
    assert "Account/acc" not in tools.contents(served.pull(), "enc-1") and asked(served, "Account") == 0
    served.cursor = {}
    pulled = served.pull({"resources": ("Account",)})
    found = tools.contents(pulled, "enc-1")
    assert "Account/acc" in found and "RelatedPerson/bob" in found and "Procedure/proc-1-1" in found
    (record,) = [record for one in pulled for record in one.records if record.record_key == "enc-1"]
    guarantor = normalize(record, compile_mapping(load_mapping("emrs/fhir_r4")), time_zone=tools.ZONE).guarantor
    assert guarantor is not None and (guarantor.family, guarantor.given, guarantor.relationship) == ("Payer", "Bob", "parent")
    assert guarantor.birth_date is not None and guarantor.birth_date.year == 1960


def test_a_server_that_cannot_search_them_is_read_one_by_one(served: Any, tools: Any) -> None:
    served.server.params = served.server.params | {"RelatedPerson": {"patient"}}
    subscribed(served, {"reference": "RelatedPerson/bob"})
    assert people(tools, served.pull()) == ["Patient/pat-1", "RelatedPerson/bob"]


@pytest.mark.parametrize("form", ["Patient/pat-1", "Patient/pat-1/_history/3", "urn:uuid:pat-1"])
def test_the_patient_is_not_there_twice(form: str, served: Any, tools: Any) -> None:
    subscribed(served, {"reference": form})
    assert people(tools, served.pull()) == ["Patient/pat-1"]
    assert asked(served, "RelatedPerson") == 0


def test_without_their_scope_the_run_goes_on_and_asks_no_more(served: Any, tools: Any) -> None:
    served.server.refuse = lambda kind, query: kind == "RelatedPerson"
    subscribed(served, {"reference": "RelatedPerson/bob"})
    pulled = served.pull()
    assert people(tools, pulled, "enc-1") == people(tools, pulled, "enc-2") == ["Patient/pat-1"]
    assert pulled[-1].cursor is not None
    assert asked(served, "RelatedPerson") == 1


@pytest.mark.parametrize("to", [{"display": "Bob"}, {"reference": "#bob"}, {"reference": "Organization/o"}, "bob", ["x"], None])
def test_what_leads_to_nobody_leaves_the_visit_as_it_is(to: Any, served: Any, tools: Any) -> None:
    subscribed(served, to)
    assert people(tools, served.pull()) == ["Patient/pat-1"]


def test_a_server_without_them_or_a_clinic_that_leaves_them_out_is_not_asked(served: Any, tools: Any) -> None:
    subscribed(served, {"reference": "RelatedPerson/bob"})
    assert people(tools, served.pull({"resources": ("Coverage", "Procedure")})) == ["Patient/pat-1"]
    served.cursor = {}
    served.server.params = tools.FULL
    assert people(tools, served.pull()) == ["Patient/pat-1"]
    assert asked(served, "RelatedPerson") == 0
