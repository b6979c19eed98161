"""Plans of care and referrals: joined where the clinic asks for them, by the visit's order or by patient and period."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ptbridge_sandbox.day import FATES, PLANTED

from ptbridge import jobs
from ptbridge.errors import PeerRefused
from tests.world import World, running

BOTH = {"resources": ("CarePlan", "ServiceRequest")}
SEARCHES = {"CarePlan": {"patient", "category", "_lastUpdated"}, "ServiceRequest": {"_id", "patient", "_lastUpdated"}}


@pytest.fixture
def served(bench: Any, tools: Any) -> Any:
    """A server that has both, and one visit of 2026-11-20."""
    bench.server.params = tools.FULL | SEARCHES
    tools.visit(bench.server, 1)
    return bench


def plan(served: Any, identity: str, start: str = "", end: str = "", *, patient: str = "pat-1", **more: Any) -> None:
    dates = {name: day for name, day in (("start", start), ("end", end)) if day}
    subject = {"reference": f"Patient/{patient}"}
    served.server.put({"resourceType": "CarePlan", "id": identity, "subject": subject, "period": dates, **more})


def refer(served: Any, *names: str) -> None:
    encounter = json.loads(served.server.store["Encounter", "enc-1"])
    served.server.put(encounter | {"basedOn": [{"reference": name} for name in names]})


def order(served: Any, identity: str, **more: Any) -> None:
    subject = {"reference": "Patient/pat-1"}
    served.server.put(
        {"resourceType": "ServiceRequest", "id": identity, "authoredOn": "2026-10-01", "subject": subject, **more}
    )


def papers(tools: Any, pulled: Any) -> list[str]:
    return [name for name in tools.contents(pulled, "enc-1") if name.startswith(("CarePlan/", "ServiceRequest/"))]


def test_nothing_of_them_is_asked_for_unless_the_clinic_says_so(served: Any, tools: Any) -> None:
    plan(served, "cp", "2026-10-01")
    order(served, "sr")
    refer(served, "ServiceRequest/sr")
    served.server.refuse = lambda kind, query: kind in SEARCHES  # no scope for them
    assert papers(tools, served.pull()) == []
    served.later(hours=2)
    served.pull()
    assert not any(kind.strip("/") in SEARCHES for kind, _ in served.server.asked)


def test_who_asks_for_them_without_the_scope_is_told(served: Any) -> None:
    served.server.refuse = lambda kind, query: kind == "CarePlan"
    with pytest.raises(PeerRefused, match="CarePlan"):
        served.pull(BOTH)


def test_naming_them_leaves_the_other_types_as_they_are(served: Any, tools: Any) -> None:
    usual = tools.contents(served.pull(), "enc-1")
    plan(served, "cp", "2026-10-01")
    served.cursor = {}
    assert set(tools.contents(served.pull(BOTH), "enc-1")) == {*usual, "CarePlan/cp"}
    served.cursor = {}
    some = served.pull({"resources": (*BOTH["resources"], "Procedure")})
    assert {name.split("/")[0] for name in tools.contents(some, "enc-1")}.isdisjoint({"DocumentReference", "Coverage"})


@pytest.mark.parametrize(
    ("start", "end", "joined"),
    [
        ("2026-10-01", "2026-12-20", True),
        ("2026-10-01", "", True),
        ("", "", True),
        ("2026-08-01", "2026-11-19", True),  # over: a finding tells since when
        ("2025-08-01", "2025-11-20", True),
        ("2025-08-01", "2025-11-19", False),
        ("2026-12-20", "", True),  # later: a finding tells from when
        ("2026-12-21", "", False),
    ],
)
def test_without_a_link_the_plans_near_the_day_are_joined(served: Any, tools: Any, start: str, end: str, joined: bool) -> None:
    plan(served, "cp", start, end)
    plan(served, "hers", "2026-10-01", patient="pat-2")
    assert papers(tools, served.pull(BOTH)) == (["CarePlan/cp"] if joined else [])


def test_the_plan_that_carries_out_the_visits_order_stands_alone(served: Any, tools: Any) -> None:
    plan(served, "ot", "2026-11-01")
    plan(served, "pt", "2026-10-01", activity=[{"reference": {"reference": "ServiceRequest/sr"}}])
    order(served, "sr")
    refer(served, "ServiceRequest/sr")
    assert papers(tools, served.pull(BOTH)) == ["CarePlan/pt", "ServiceRequest/sr"]


@pytest.mark.parametrize("by", ["order", "encounter"])
def test_a_plan_that_the_visit_or_its_order_names_stands_alone(served: Any, tools: Any, by: str) -> None:
    plan(served, "ot", "2026-11-01")
    plan(served, "pt", "2026-10-01")
    order(served, "sr", **({"basedOn": [{"reference": "CarePlan/pt"}]} if by == "order" else {}))
    refer(served, "ServiceRequest/sr", *(["CarePlan/pt"] if by == "encounter" else []))
    assert papers(tools, served.pull(BOTH)) == ["CarePlan/pt", "ServiceRequest/sr"]


def test_a_category_is_asked_where_the_server_demands_one(served: Any, tools: Any) -> None:
    plan(served, "cp", "2026-10-01", category="assess-plan")
    served.server.refuse = lambda kind, query: kind == "CarePlan" and "category" not in query
    pulled = served.pull(BOTH | {"care_plan_category": "assess-plan"})
    assert [query["category"] for query in served.server.searches("CarePlan")] == [["assess-plan"]]
    assert pulled


def test_plans_of_many_visits_are_asked_for_once(served: Any, tools: Any) -> None:
    for number in range(2, 12):
        tools.visit(served.server, number, patient=f"pat-{number % 3}")
    served.pull(BOTH)
    assert len(served.server.searches("CarePlan")) == 1


def test_a_certified_plan_brings_the_visit_back(served: Any, tools: Any) -> None:
    plan(served, "cp", "2026-10-01")
    served.later(minutes=30)
    served.pull(BOTH)
    served.later(minutes=30)
    assert tools.keys(served.pull(BOTH)) == []
    plan(served, "cp", "2026-10-01", extension=[{"url": "certified-on", "valueDate": "2026-11-20"}])
    assert tools.keys(served.pull(BOTH)) == ["enc-1"]


def test_check_says_whether_they_are_read(served: Any) -> None:
    assert any(sentence.startswith("CarePlan is served and not read") for sentence in served.check())
    told = served.check(BOTH)
    assert any("fetched by patient; a visit gets" in sentence for sentence in told)
    assert any("Encounter.basedOn" in sentence for sentence in told)


def test_check_says_when_the_server_has_none(us_core: Any) -> None:
    us_core.server.params = {name: words for name, words in us_core.server.params.items() if name not in SEARCHES}
    assert "CarePlan is not served: visits come without plans of care." in us_core.check(BOTH)


# ---------------------------------------------------------------- the whole way


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The pretend clinic's day, sent by a clinic that reads plans and orders."""
    with running(tmp_path_factory.mktemp("plans")) as world:
        text = world.clinic_file.read_text("utf-8")
        assert "  # options: {}" in text
        world.clinic_file.write_text(
            text.replace("  # options: {}", "  options: {resources: [CarePlan, ServiceRequest]}"), "utf-8"
        )
        world.sync()
        yield world


def found(world: World, visit: str) -> set[str]:
    (day,) = jobs.explain(world.config, visit)["days"]
    return {finding["code"] for finding in day["findings"]}


def test_every_medicare_day_has_its_plan_and_the_planted_ones_are_told(clinic: World) -> None:
    told = {visit: found(clinic, visit) for visit, fate in FATES.items() if fate == "sent"}
    assert {visit for visit, codes in told.items() if "PL03" in codes} == {PLANTED["plan-expired"]}
    assert {visit for visit, codes in told.items() if "PL02" in codes} == {PLANTED["plan-not-certified"]}
    assert not any({"PL01", "PL04", "PL05"} & codes for codes in told.values())
