"""Running edits: all of them, in order, and none that fails lets a day pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from ptbridge import plugins
from ptbridge.edits import STOPPED, run
from ptbridge.edits.cases import build_day, build_facts, read_cases
from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.codes import load_codes
from ptbridge.policy.facts import Facts
from ptbridge.policy.payers import shipped_payers
from ptbridge.ports import Edit

CODES = load_codes()


def day_and_facts(row: str) -> tuple[PricedDay, Facts]:
    (case,) = read_cases(f"Cases (medicare_part_b)\n    {row} -> ok")
    return build_day(case, CODES), build_facts(case, codes=CODES, policies=shipped_payers(), icd10=None)


def test_every_problem_is_found_at_once_in_the_order_of_the_codes() -> None:
    priced, facts = day_and_facts(
        "97110 x3 @22 | note_signed=no | diagnoses=none | pointers=none | member_id=none | rendering=none"
    )
    codes = [finding.code for finding in run(priced, facts, reversed(plugins.edits()))]
    assert codes == sorted(codes)
    assert {"CV02", "DC01", "DX01", "MD01", "PR02", "UN01"} <= set(codes)


def test_an_edit_that_raises_holds_the_day_and_says_nothing_of_the_patient() -> None:
    def check(priced: PricedDay, facts: Any) -> Iterator[Finding]:
        yield Finding(code="ZZ01", severity=Severity.WARNING, message="before it fell")
        raise ValueError(f"cannot read {priced.day.patient.family}")

    broken = Edit(code="ZZ01", severity=Severity.ERROR, title="broken", manual="", check=check)
    priced, facts = day_and_facts("97110-GP x2 @22")
    findings = run(priced, facts, [broken, *plugins.edits()])
    stopped = next(finding for finding in findings if finding.code == STOPPED)
    assert stopped.holds
    assert "ZZ01" in stopped.message and "ValueError" in stopped.message
    assert "Testerly" not in str(findings)
    assert [finding.code for finding in findings] == [STOPPED, "UN01", "ZZ01"]


def test_edits_survive_a_day_about_which_nothing_is_known() -> None:
    nothing = (
        "97110 x1 | on=none | discipline=none | diagnoses=none | pointers=none | rendering=none | coverages=none | place=none"
    )
    priced, facts = day_and_facts(
        nothing + " | note_signed=none | timed_total=none | treatment_total=none | unit_price_cents=none"
    )
    findings = run(priced, facts, plugins.edits())
    assert STOPPED not in {finding.code for finding in findings}
    assert any(finding.holds for finding in findings)


def test_findings_name_the_visit_and_the_documented_line() -> None:
    priced, facts = day_and_facts("97110-GP x1 @15, 97710-GP x1")
    (finding,) = (finding for finding in run(priced, facts, plugins.edits()) if finding.code == "PC01")
    assert (finding.visit_id, finding.line_key) == ("v1", "1")


def test_a_line_that_was_struck_out_in_the_note_stands_behind_nothing() -> None:
    priced, facts = day_and_facts("97110-GP x1 @15")
    (visit,) = priced.day.visits
    struck = replace(visit, interventions=tuple(replace(done, not_done=True) for done in visit.interventions))
    day = replace(priced.day, visits=(struck,))
    findings = run(replace(priced, coded=replace(priced.coded, day=day)), facts, plugins.edits())
    assert "DC04" in {finding.code for finding in findings if finding.holds}


def test_two_visits_with_different_referring_providers_are_pointed_out() -> None:
    priced, facts = day_and_facts("97110-GP x1 @15, 97140-GP x1 @15 | second_visit=11")
    one, two = priced.day.visits
    assert one.referring is not None
    other = replace(two, referring=replace(one.referring, npi="1245319599"))
    day = replace(priced.day, visits=(one, other))
    findings = run(replace(priced, coded=replace(priced.coded, day=day)), facts, plugins.edits())
    assert [(finding.code, finding.message) for finding in findings] == [
        ("DC05", "the day's visits disagree on the referring NPI")
    ]


def test_a_day_that_bills_nothing_asks_for_nothing_unless_something_already_holds_it() -> None:
    priced, facts = day_and_facts("97010-GP x0 @10 | member_id=none | note_signed=no")
    assert run(priced, facts, plugins.edits()) == []
    held = Finding(code="UN11", severity=Severity.ERROR, message="no minutes")
    findings = run(replace(priced, coded=replace(priced.coded, findings=(held,))), facts, plugins.edits())
    assert {"CV02", "DC01"} <= {finding.code for finding in findings}


def test_the_day_itself_is_not_changed() -> None:
    priced, facts = day_and_facts("97110-GO-GP-CQ-KX-59 x3 @22")
    before = repr(priced)
    run(priced, facts, plugins.edits())
    assert repr(priced) == before
    assert facts.today == date(2026, 3, 3)
