"""What the source did between two judgements, in words without patient data; and who must act."""

from __future__ import annotations

from typing import Any

import pytest

from ptbridge.jobs.changes import source_changes
from ptbridge.jobs.owners import delivery_owner, goes_by_itself, owner_of


def a_page(*visits: str, status: str = "finished", **lines: dict[str, Any]) -> dict[str, Any]:
    documented = [{"line_key": f"e1/{key}", **facts} for key, facts in lines.items()]
    return {"visits": [{"visit_id": visit, "status": status} for visit in visits], "documented": documented}


def what(before: dict[str, Any], now: dict[str, Any], *touching: tuple[str, str, bool, str]) -> list[str]:
    return [f"{row['visit_id']} {row['what']} {row['at']}".strip() for row in source_changes(before, now, touching)]


def test_lines_that_came_went_and_changed_are_told_apart() -> None:
    before = a_page("e1", a={"procedure": "97110", "minutes": 30, "modifiers": ["GP"]}, b={"procedure": "97140"})
    now = a_page("e1", a={"procedure": "97110", "minutes": 45, "modifiers": None}, c={"procedure": None})
    assert what(before, now, ("e1", "read", True, "2026-11-20")) == [
        "e1 line 97110: minutes 30 became 45, modifiers GP became none 2026-11-20",
        "e1 line 97140 removed 2026-11-20",
        "e1 line without a code added 2026-11-20",
    ]
    assert what(a_page("e1"), a_page("e1", status="entered-in-error")) == ["e1 status finished became entered-in-error"]
    assert what(now, now) == []


def insured(*coverages: tuple[str | None, int | None, str]) -> dict[str, Any]:
    rows = [
        {"payer": payer, "order": order, "status": "active", "relationship": "self", "mark": mark}
        for payer, order, mark in coverages
    ]
    return {**a_page("e1"), "coverages": {"e1": rows}}


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        (insured(), insured(("ACME", 1, "a1")), ["e1 insurance none became ACME"]),
        (insured(("ACME", 1, "a1")), insured(), ["e1 insurance ACME became none"]),
        (insured(("ACME", 1, "a1")), insured(("BLUE8", 1, "a1")), ["e1 insurance ACME became BLUE8"]),
        (
            insured(("ACME", 1, "a1")),
            insured(("ACME", 1, "a1"), ("BLUE8", 2, "b1"), (None, 3, "c1")),
            ["e1 insurance ACME became ACME, BLUE8 (secondary), of an unknown payer (tertiary)"],
        ),
        (
            insured(("ACME", 1, "a1"), ("BLUE8", 2, "b1")),
            insured(("ACME", 1, "a1"), ("BLUE8", 2, "b2")),
            ["e1 insurance BLUE8 (secondary): member id, group, plan or subscriber changed"],
        ),
        (insured(("ACME", 1, "a1")), insured(("ACME", 1, "a1")), []),
        (a_page("e1"), insured(("ACME", 1, "a1")), []),  # judged before these facts were kept, or purged
    ],
)
def test_another_insurance_is_told_without_the_patients_numbers(
    before: dict[str, Any], now: dict[str, Any], words: list[str]
) -> None:
    assert what(before, now) == words


@pytest.mark.parametrize(
    ("touching", "words"),
    [
        (("e1", "gone", True, ""), "e1 deleted at the source"),
        (("e1", "quarantined", True, ""), "e1 its newest record cannot be read"),
        (("e1", "read", False, ""), "e1 moved to another treatment day or patient"),
    ],
)
def test_a_visit_that_is_no_longer_there_says_where_it_went(touching: tuple[str, str, bool, str], words: str) -> None:
    assert what(a_page("e1", "e2"), a_page("e2", "e3"), touching) == [words, "e3 visit added to this day"]


@pytest.mark.parametrize(
    ("codes", "owner"),
    [
        (["SB01"], "biller"),
        (["SB04"], "ptbridge"),
        (["MP01"], "integrator"),
        (["DC01"], "clinic"),
        (["SB01", "DC01"], "clinic"),
        ([], "clinic"),
    ],
)
def test_the_owner_follows_the_findings(codes: list[str], owner: str) -> None:
    assert owner_of(codes) == owner


@pytest.mark.parametrize(
    ("reason", "alone"),
    [
        ("SB04", True),
        ("SB06", True),
        ("SB04 SB06", True),
        ("DC01 SB04", False),
        ("SB01", False),
        ("in-doubt", False),
        ("", False),
    ],
)
def test_only_what_is_held_for_nothing_else_goes_by_itself(reason: str, alone: bool) -> None:
    assert goes_by_itself(reason) is alone


@pytest.mark.parametrize(
    ("reason", "native_code", "owner"),
    [
        ("rejected:not-billable", "not-billable", "clinic"),
        ("rejected:422", "422", "integrator"),
        ("rejected:", "", "integrator"),
        ("in-doubt", "lost-answer", "biller"),
        ("in-doubt", "ZeroDivisionError", "ptbridge"),
        ("attempts-exhausted", "429", "biller"),
        ("something-new", "", "clinic"),
    ],
)
def test_the_owner_of_a_dead_letter_follows_its_last_answer(reason: str, native_code: str, owner: str) -> None:
    assert delivery_owner(reason, native_code) == owner
