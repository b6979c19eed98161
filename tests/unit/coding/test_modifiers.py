"""Modifiers, diagnosis pointers and prices of coded lines."""

from datetime import date

import pytest
from coding_days import CODES, MEDICARE, ON, coded, day, line, payer, raised, shown, visit

from ptbridge.coding import code, price
from ptbridge.coding.findings import KINDS
from ptbridge.model import Diagnosis, Discipline, Provider
from ptbridge.policy import FeeSchedule
from ptbridge.policy.fees import Fee

PTA = Provider(id="a", credential="PTA")
EIGHT = {"counting_rule": "eight_minute_total", "discipline_modifier": "required"}


@pytest.mark.parametrize(("discipline", "modifier"), [("PT", "GP"), ("OT", "GO"), ("SLP", "GN")])
def test_one_modifier_for_each_discipline(discipline, modifier):
    assert shown(coded("97535 @15", discipline=Discipline(discipline))) == [f"97535-{modifier} x1 @15"]


def test_the_emrs_modifiers_are_merged_in_the_payers_order():
    found = coded(line("97110 @15", modifiers=("KX", "59")))
    assert shown(found) == ["97110-59-GP-KX x1 @15"]
    own = payer(**EIGHT, modifier_order="discipline, payment, information")
    assert shown(coded(line("97110 @15", modifiers=("KX", "59")), policy=own)) == ["97110-GP-59-KX x1 @15"]
    assert shown(coded(line("97110 @15", modifiers=("KX", "59")), policy=payer(**EIGHT))) == ["97110-KX-59-GP x1 @15"]


def test_five_modifiers_are_kept_for_the_edits():
    found = coded(line("97110 @15", modifiers=("59", "KX", "GA", "76")))
    assert len(found.lines[0].modifiers) == 5


def test_a_wrong_discipline_modifier_of_the_emr_is_kept_and_not_doubled():
    assert shown(coded(line("97110 @15", modifiers=("GO",)))) == ["97110-GO x1 @15"]


def test_an_unset_or_unknown_discipline_holds():
    assert raised(coded("97110 @15", policy=payer(counting_rule="eight_minute_total"))) == ["MD12 error"]
    assert raised(coded("97110 @15", discipline=None)) == ["MD13 error"]
    assert raised(coded("97110 @15", discipline=None, policy=payer(**EIGHT | {"discipline_modifier": "none"}))) == []


def test_a_code_that_is_no_therapy_gets_none():
    assert shown(coded("97169", policy=payer(**EIGHT))) == ["97169 x1"]


# ---------------------------------------------------------------- assistants


def test_split_units_go_on_two_lines_whose_minutes_add_up():
    found = coded(line("97110 @36", therapist_minutes=13, assistant_minutes=23), "97140 @30")
    assert shown(found) == ["97110-CQ-GP x1 @23", "97110-GP x1 @13", "97140-GP x2 @30"]
    assert found.lines[0].line_keys == found.lines[1].line_keys == ("v1/1",)
    assert "1 of 2 units by an assistant -> CQ" in found.lines[0].because[1]


@pytest.mark.parametrize(
    "documented",
    [
        {"lines": [line("97110 @15", by_assistant=True)]},
        {"lines": [line("97110 @15", assistant_minutes=15)]},
        {"lines": [line("97110", therapist_minutes=0, assistant_minutes=15)]},
        {"lines": [line("97110 @15", therapist_minutes=3)]},
        {"lines": [line("97110 @15", modifiers=("CQ",))]},
        {"lines": [line("97110 @15")], "rendering": PTA},
    ],
    ids=[
        "by assistant",
        "assistant minutes",
        "both parts",
        "therapist part",
        "the EMR's CQ",
        "an assistant alone on the visit",
    ],
)
def test_each_way_to_document_an_assistant(documented):
    lines = documented.pop("lines")
    found = coded(*lines, **documented)
    assert shown(found) == ["97110-CQ-GP x1 @15"]
    assert found.findings == ()


def test_the_therapists_own_line_needs_none_though_an_assistant_was_there():
    assert shown(coded(line("97110 @15", by_assistant=False), assistant=PTA)) == ["97110-GP x1 @15"]


@pytest.mark.parametrize(
    "documented",
    [
        line("97110 @15"),
        line("97110 @15", therapist_minutes=5, assistant_minutes=5),
        line("97110 @15", assistant_minutes=20),
        line("97110 @15", therapist_minutes=20),
        line("97110 @15", assistant_minutes=-1),
    ],
)
def test_an_unclear_part_of_the_assistant_holds(documented):
    assert raised(coded(documented, assistant=PTA)) == ["MD11 error"]


def test_parts_without_minutes_hold_when_both_took_part():
    two = [line("97110 x1", by_assistant=True, line_key="a"), line("97110 x1", by_assistant=False, line_key="b")]
    assert raised(coded(*two, timed_minutes_total=30)) == ["MD11 error"]
    assert shown(coded(line("97110 x2", by_assistant=True), timed_minutes_total=30)) == ["97110-CQ-GP x2"]
    mixed = [line("97150", by_assistant=True, line_key="a"), line("97150 @30", by_assistant=False, line_key="b")]
    assert raised(coded(*mixed)) == ["MD11 error"]


def test_ot_pairs_co_with_go_and_slp_has_no_assistant_modifier():
    assert shown(coded(line("97530 @15", by_assistant=True), discipline=Discipline.OT)) == ["97530-CO-GO x1 @15"]
    assert shown(coded(line("92507", by_assistant=True), discipline=Discipline.SLP)) == ["92507-GN x1"]


def test_evaluations_take_no_assistant_modifier():
    assert shown(coded(line("97161 @30", by_assistant=True))) == ["97161-GP x1 @30"]


def test_the_emrs_cq_is_kept_with_a_warning_where_minutes_give_none():
    found = coded(line("97110 @15", therapist_minutes=15, assistant_minutes=0, modifiers=("CQ",)))
    assert shown(found) == ["97110-CQ-GP x1 @15"]
    assert raised(found) == ["MD14 warning"]


def test_a_case_without_a_published_rule_is_a_warning():
    found = coded(line("97110 @18", therapist_minutes=14, assistant_minutes=4), "97140 @3", "97112 @2")
    assert raised(found) == ["MD10 warning"]
    assert shown(found) == ["97110-CQ-GP x1 @4", "97110-GP x1 @14"]


def test_the_method_is_the_clinics_then_the_payers_and_needed_only_where_they_differ():
    differ = line("97150 @15", therapist_minutes=13, assistant_minutes=2)
    assert shown(coded(differ)) == ["97150-CQ-GP x1 @15"]
    assert shown(coded(differ, method="simple")) == ["97150-GP x1 @15"]
    unset = payer(**EIGHT, assistant_modifier="cq_co")
    assert raised(coded(differ, policy=unset)) == ["MD12 error"]
    agree = line("97150 @15", therapist_minutes=5, assistant_minutes=10)
    assert shown(coded(agree, policy=unset)) == ["97150-GP-CQ x1 @15"]


def test_an_unset_assistant_modifier_holds_and_none_means_none():
    assisted = line("97110 @15", by_assistant=True)
    assert raised(coded(assisted, policy=payer(**EIGHT))) == ["MD12 error"]
    assert shown(coded(assisted, policy=payer(**EIGHT, assistant_modifier="none"))) == ["97110-GP x1 @15"]


def test_fewer_units_than_documented_are_the_assistants_first():
    found = coded(line("97110 @45 x1", therapist_minutes=15, assistant_minutes=30))
    assert shown(found) == ["97110-CQ-GP x1 @45"]


def test_a_chain_with_an_assistant():
    chain = line("97129 @45", therapist_minutes=15, assistant_minutes=30)
    found = coded(chain, discipline=Discipline.OT)
    assert [one.rpartition(" @")[0] for one in shown(found)] == ["97129-CO-GO x1", "97130-CO-GO x1", "97130-GO x1"]
    assert sum(one.minutes for one in found.lines) == 45
    found = coded(line("97129 @45", therapist_minutes=30, assistant_minutes=15), discipline=Discipline.OT)
    assert [one.rpartition(" @")[0] for one in shown(found)] == ["97129-GO x1", "97130-CO-GO x1", "97130-GO x1"]


def test_an_uneven_chain_is_with_or_without_as_a_whole():
    found = coded(line("97550 @45", therapist_minutes=35, assistant_minutes=10))
    assert [one.rpartition(" @")[0] for one in shown(found)] == ["97550-CQ-GP x1", "97551-CQ-GP x1"]


# ---------------------------------------------------------------- diagnoses


def test_linked_diagnoses_come_first_and_only():
    ranked = (Diagnosis(code="M25.561", rank=2), Diagnosis(code="M54.50", rank=1))
    found = coded(line("97110 @15", diagnosis_codes=("M25.561",)), "97140 @15", diagnoses=ranked)
    assert [one.code for one in found.diagnoses] == ["M54.50", "M25.561"]
    assert [one.diagnosis_pointers for one in found.lines] == [(2,), (1, 2)]
    assert "linked" in found.lines[0].because[-1]
    assert "no diagnosis linked" in found.lines[1].because[-1]


def test_a_linked_diagnosis_that_the_visit_does_not_list_joins_at_the_end():
    found = coded(line("97110 @15", diagnosis_codes=("R26.2",)))
    assert [one.code for one in found.diagnoses] == ["M54.50", "R26.2"]
    assert found.lines[0].diagnosis_pointers == (2,)


def test_at_most_four_pointers_and_none_invented():
    many = tuple(Diagnosis(code=f"M25.5{place}") for place in range(6))
    assert coded("97110 @15", diagnoses=many).lines[0].diagnosis_pointers == (1, 2, 3, 4)
    linked = coded(line("97110 @15", diagnosis_codes=tuple(one.code for one in many)), diagnoses=many).lines[0]
    assert linked.diagnosis_pointers == (1, 2, 3, 4)
    assert "first 4 of 6" in linked.because[-1]
    none = coded("97110 @15", diagnoses=())
    assert none.lines[0].diagnosis_pointers == ()
    assert none.diagnoses == ()


def test_each_visit_of_a_day_points_to_its_own_diagnoses():
    first = visit("97110 @15", diagnoses=(Diagnosis(code="M54.50"),))
    second = visit("97140 @15", visit_id="v2", diagnoses=(Diagnosis(code="M25.561"), Diagnosis(code="M54.50")))
    found = code(day(first, second), policy=MEDICARE, codes=CODES)
    assert [one.code for one in found.diagnoses] == ["M54.50", "M25.561"]
    assert [one.diagnosis_pointers for one in found.lines] == [(1,), (2, 1)]


# ---------------------------------------------------------------- prices


def test_a_line_costs_its_units_times_the_price():
    fees = FeeSchedule([Fee(procedure="97110", amount_cents=5999, from_=date(2026, 1, 1))], name="fees.csv")
    priced = price(coded("97110 @24", "97140 @23"), fees)
    assert [(one.unit_price_cents, one.amount_cents) for one in priced.charges] == [(5999, 11998), (None, None)]
    assert priced.amount_cents == 11998
    (finding,) = priced.findings
    assert (finding.code, finding.where, finding.line_key) == ("PX01", "fees.csv", "2")
    assert finding.message == f"no price for 97140 on {ON}"


def test_without_a_fee_schedule_every_line_holds():
    priced = price(coded("97110 @24"), None)
    assert [str(finding.severity) for finding in priced.findings] == ["error"]
    assert priced.charges[0].payer == "medicare_part_b"


def test_every_kind_of_finding_says_what_to_do():
    assert len(KINDS) == 23
    for name, kind in KINDS.items():
        assert kind.code == name
        assert kind.meaning
        assert kind.fix.endswith(".")
