"""Visits that the source keeps from payers: left out with their rule where the payer or the clinic says so, else coded."""

from dataclasses import replace

import pytest
from coding_days import CODES, MEDICARE, SHIPPED, coded, day, line, payer, raised, shown, visit

from ptbridge.coding import Known, code
from ptbridge.edits.nb01_not_for_a_payer import check
from ptbridge.model import PricedDay, VisitStatus
from ptbridge.policy.facts import Facts

RULES = {"counting_rule": "eight_minute_total", "discipline_modifier": "required"}
LEFT_OUT = payer(**RULES, exclude_visits="cash, no-charge")


def excluded(found):
    return [(one.line_key, one.procedure, one.rule) for one in found.exclusions]


def held(found, policy):
    priced = PricedDay(coded=found, charges=())
    return [one.message for one in check.check(priced, Facts(codes=CODES, policy=policy, today=found.day.service_date))]


@pytest.mark.parametrize("word", ["cash", "no-charge"])
def test_the_payers_word_leaves_a_visit_out_with_its_rule_and_source(word):
    found = coded("97110 @15", "97140 @15", policy=LEFT_OUT, billing=word)
    assert (shown(found), raised(found)) == ([], [])
    assert excluded(found) == [("v1/1", "97110", word), ("v1/2", "97140", word)]
    assert found.exclusions[0].because == f"the visit is {word} by the source, left out by p (test)"
    assert held(found, LEFT_OUT) == []


def test_a_word_that_is_not_named_is_coded_and_held():
    found = coded("97110 @15", policy=LEFT_OUT, billing="maintenance")
    assert (shown(found), excluded(found)) == (["97110-GP x1 @15"], [])
    assert held(found, LEFT_OUT) == ["the source says that the visit is maintenance, and a charge would be sent"]
    for nothing_said in (MEDICARE, payer(**RULES)):
        assert len(held(coded("97110 @15", policy=nothing_said, billing="cash"), nothing_said)) == 1


def test_only_that_visit_is_left_out_and_its_minutes_are_not_counted():
    visits = (visit("97110 @8"), visit("97110 @7", visit_id="v2", billing="cash"))
    found = code(day(*visits), policy=LEFT_OUT, codes=CODES)
    assert (shown(found), excluded(found)) == (["97110-GP x1 @8"], [("v2/1", "97110", "cash")])
    assert held(found, LEFT_OUT) == []


def test_the_clinics_word_holds_for_every_payer_and_without_one():
    known = Known(exclude_visits=frozenset({"maintenance"}))
    one = day(visit("97110 @15", billing="maintenance"))
    for policy in (MEDICARE, None):
        found = code(one, policy=policy, codes=CODES, known=known)
        assert (excluded(found), raised(found)) == ([("v1/1", "97110", "maintenance")], [])
        assert found.exclusions[0].because == "the visit is maintenance by the source, left out by the clinic's file"


def test_what_is_left_besides_still_asks_for_a_payer():
    known = Known(exclude_visits=frozenset({"cash"}))
    two = day(visit("97110 @15", billing="cash"), visit("97140 @15", visit_id="v2"))
    assert raised(code(two, policy=None, codes=CODES, known=known)) == ["CV01 error"]
    unknown = day(visit("97110 @15", billing="cash"), visit(replace(line("97140 @15"), code=None), visit_id="v2"))
    assert raised(code(unknown, policy=None, codes=CODES, known=known)) == ["MP20 error", "CV01 error"]
    assert raised(code(day(visit()), policy=None, codes=CODES, known=known)) == ["CV01 error"]


def test_a_status_of_the_visit_goes_before_the_sources_word():
    found = coded("97110 @15", policy=LEFT_OUT, billing="cash", status=VisitStatus.NO_SHOW)
    assert excluded(found) == [("v1/1", "97110", "no-show")]


def test_cash_is_what_self_pay_is_for():
    assert held(coded("97110 @15", policy=SHIPPED["self_pay"], billing="cash"), SHIPPED["self_pay"]) == []
