"""The edges of the coding rules: each is a place where a small wrong change once passed every other test."""

import json
from datetime import UTC, date, datetime

import pytest
from coding_days import CODES, MEDICARE, MIDPOINT, ON, coded, day, line, payer, raised, shown, visit

from ptbridge.coding import Known, code, units_answer
from ptbridge.coding.findings import PROPOSALS
from ptbridge.coding.modifiers import ordered
from ptbridge.coding.units_answer import answer_json_line
from ptbridge.model import Discipline, Provider
from ptbridge.policy.fees import Fee, FeeSchedule
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.reference import PairEdit, quarter, reference_of

PTA = Provider(id="a", credential="PTA")
SINCE = date(2020, 1, 1)


# ---------------------------------------------------------------- totals only


@pytest.mark.parametrize(
    ("lines", "total", "policy", "expected"),
    [
        (["97110 @30 x2", "97140 x1", "97112 x1"], 60, MEDICARE, []),
        (["97110 @15 x2", "97140 x1", "97112 x1"], 60, MEDICARE, []),
        (["97110 @15 x3", "97140 x1", "97112 x1"], 75, MEDICARE, ["UN11 error"] * 2),
        (["97110 @14 x0", "97140 x1", "97112 x1"], 36, MEDICARE, []),
        (["97110 @15 x0", "97140 x1", "97112 x1"], 36, MEDICARE, ["UN11 error"] * 2),
        (["97110 x2", "97140 x0"], 23, MIDPOINT, []),
        (["97110 x2", "97140 x0"], 22, MIDPOINT, ["UN11 error"] * 2),
        (["97110 x1", "97161 x1"], 15, MEDICARE, []),
        (["97110 x1", "97161 x0"], 15, MEDICARE, ["UN11 error"]),
        (["97110 x1", "97161"], 15, MEDICARE, []),
        (["97110 @30 x2", "97140 x0"], 35, MEDICARE, []),
    ],
)
def test_what_a_total_can_still_rule_out(lines, total, policy, expected):
    assert raised(coded(*lines, policy=policy, timed_minutes_total=total)) == expected


def test_a_chain_may_stand_on_the_total_with_one_unit_of_its_first_code():
    found = coded("97129 x1", "97130 x1", discipline=Discipline.OT, timed_minutes_total=30)
    assert (shown(found), raised(found)) == (["97129-GO x1", "97130-GO x1"], [])


def test_a_visit_without_timed_lines_needs_no_total():
    two = day(visit("97110 x1", timed_minutes_total=15), visit("97161", visit_id="v2"))
    found = code(two, policy=MEDICARE, codes=CODES)
    assert (shown(found), raised(found)) == (["97110-GP x1", "97161-GP x1"], [])


def test_negative_minutes_of_one_code_are_said_though_another_lacks_them():
    found = coded("97110 @-5 x1", "97140 x1", timed_minutes_total=30)
    assert [one.message for one in found.findings] == ["97110: negative minutes", "97140: negative minutes"]


def test_one_missing_code_is_judged_by_difference_and_its_finding_points_to_it():
    found = coded("97110 @33 x1", "97140 x1", timed_minutes_total=45)
    assert raised(found) == ["UN12 warning"]
    assert (found.findings[0].visit_id, found.findings[0].line_key) == ("v1", "2")
    found = coded("97110 @30 x3", "97140 x0", timed_minutes_total=35)
    assert "the day's total leaves it 5, which does not allow 97110 x3, 97140 x0" in found.findings[0].message


def test_the_reason_says_which_total_or_that_there_are_no_minutes():
    assert coded("97110 x2", timed_minutes_total=38).lines[0].because[0] == "38 timed minutes in total -> 2 as documented"
    assert coded("97110 x2").lines[0].because[0] == "no minutes -> 2 as documented"


# ---------------------------------------------------------------- units


def test_negative_units_are_never_billed_not_even_where_no_rule_is_known():
    assert coded("97110 @15 x-1", policy=None).lines == ()
    assert shown(coded("97161 x-1", policy=None)) == ["97161 x1"]


def test_zero_minutes_of_a_second_line_take_nothing_away():
    assert shown(coded(line("97110 @10", line_key="a"), line("97110 @0", line_key="b"))) == ["97110-GP x1 @10"]


def test_units_for_some_codes_that_fit_raise_nothing():
    assert raised(coded("97110 @20", "97140 @20 x2")) == []


def test_the_emrs_side_of_a_tie_with_a_chain_has_no_add_on():
    found = coded("97129 @20 x1", "97535 @20 x2", discipline=Discipline.OT)
    assert (shown(found), raised(found)) == (["97129-GO x1 @20", "97535-GO x2 @20"], [])


def test_a_quantity_says_that_it_is_one():
    assert coded("97598 x3").lines[0].because[0] == "counts a quantity -> 3 as documented"


# ---------------------------------------------------------------- assistants


def test_a_part_below_zero_holds_though_the_sum_is_right():
    assert raised(coded(line("97110 @15", therapist_minutes=20, assistant_minutes=-5))) == ["MD11 error"]


def test_no_minutes_by_the_assistant_is_an_answer():
    found = coded(line("97110 @15", assistant_minutes=0), assistant=PTA)
    assert (shown(found), raised(found)) == (["97110-GP x1 @15"], [])
    found = coded(line("97110 @15", therapist_minutes=0), assistant=PTA)
    assert (shown(found), raised(found)) == (["97110-CQ-GP x1 @15"], [])


def test_what_is_not_the_therapists_is_the_assistants():
    assert shown(coded(line("97110 @30", therapist_minutes=15))) == ["97110-CQ-GP x1 @15", "97110-GP x1 @15"]


def test_a_line_that_says_nothing_is_the_therapists_where_no_assistant_is_on_the_visit():
    two = [line("97110 @15", by_assistant=True, line_key="a"), line("97110 @15", line_key="b")]
    assert shown(coded(*two)) == ["97110-CQ-GP x1 @15", "97110-GP x1 @15"]


def test_the_emrs_modifier_on_one_code_of_a_chain_is_kept_and_said():
    first = line("97129 @15", therapist_minutes=15, assistant_minutes=0, modifiers=("CO",))
    second = line("97130 @15", therapist_minutes=15, assistant_minutes=0)
    assert raised(coded(first, second, discipline=Discipline.OT)) == ["MD14 warning"]


PAYMENT = "59 XE XP XS XU CQ CO 22 25 52 76 77 95 93 GT GQ FQ AT LT RT"


@pytest.mark.parametrize("word", PAYMENT.split())
def test_what_changes_the_payment_stands_before_the_discipline(word):
    order = ("payment", "discipline", "information")
    assert ordered(("GP", word), order) == (word, "GP")
    assert ordered(("KX", "GP", word, "GP"), order) == (word, "GP", "KX")


# ---------------------------------------------------------------- KX, pairs, ABN


def judged(*lines, known=None, **fields):
    policy = fields.pop("policy", MEDICARE)
    discipline = fields.pop("discipline", Discipline.PT)
    return code(day(visit(*lines, **fields), discipline=discipline), policy=policy, codes=CODES, known=known or Known())


def allowed(**cents):
    return FeeSchedule([Fee(procedure=name[1:], amount_cents=amount, from_=SINCE) for name, amount in cents.items()])


def test_only_therapy_lines_count_and_carry_kx():
    policy = payer(counting_rule="eight_minute_total", discipline_modifier="required", kx="propose")
    known = Known(history=PatientHistory(accrued_cents=247_900), allowed=allowed(_97110=100, _97169=100))
    found = judged("97110 @15", "97169", known=known, policy=policy)
    assert (found.allowed_cents, raised(found)) == ((100, None), [])
    more = Known(history=PatientHistory(accrued_cents=248_000), allowed=known.allowed)
    (finding,) = judged("97110 @15", "97169", known=more, policy=policy).findings
    assert finding.message.startswith("97110: ") and (finding.visit_id, finding.line_key) == ("v1", "1")


def test_a_line_without_an_allowed_amount_adds_no_cent():
    known = Known(history=PatientHistory(accrued_cents=248_000), allowed=allowed(_97140=0))
    assert raised(judged("97110 @15", known=known)) == []
    (finding,) = judged("97110 @15", known=Known(history=PatientHistory(accrued_cents=248_001), allowed=known.allowed)).findings
    assert "at least $2,480.01" in finding.message


def test_speech_shares_the_threshold_of_physical_therapy():
    known = Known(history=PatientHistory(accrued_cents=248_001), allowed=allowed(_92507=100))
    assert raised(judged("92507", discipline=Discipline.SLP, known=known)) == ["KX10 error"]


def test_of_equal_reductions_the_dearer_unit_stays_whole():
    rows = [("97110", 3000, 2400), ("97140", 5000, 4400)]
    fees = [Fee(procedure=name, amount_cents=full, from_=SINCE) for name, full, _ in rows]
    fees += [Fee(procedure=name, modifiers=frozenset({"MPPR"}), amount_cents=less, from_=SINCE) for name, _, less in rows]
    known = Known(history=PatientHistory(accrued_cents=0), allowed=FeeSchedule(fees))
    assert judged("97110 @15", "97140 @15", known=known).allowed_cents == (2400, 5000)


def pairs(column1, column2):
    pair = PairEdit(
        column1=column1, column2=column2, indicator=1, effective=SINCE, deletion=None, period="2026Q4", source="made up"
    )
    return Known(reference=reference_of(quarter(2026, 4), pairs=[pair]))


def test_times_that_begin_and_end_at_once_prove_nothing():
    at = datetime(2026, 11, 20, 9, tzinfo=UTC)
    one = line("97140 @15", start=at, end=at)
    other = line("97530 @15", start=at, end=at.replace(minute=15))
    assert raised(judged(one, other, known=pairs("97140", "97530"))) == []


def test_a_line_of_zero_minutes_does_not_make_room_in_the_total():
    lines = ("97530 @15", "97150 @30", "97112 @0")
    assert raised(judged(*lines, known=pairs("97530", "97150"), treatment_minutes_total=45)) == ["MD20 error"]
    assert raised(judged(*lines, known=pairs("97530", "97150"), treatment_minutes_total=44)) == []


def test_an_abn_of_one_visit_of_the_day_is_worth_the_word():
    two = day(visit("97110 @15", abn_signed_on=ON), visit("97140 @15", visit_id="v2"))
    assert raised(code(two, policy=MEDICARE, codes=CODES)) == ["MD24 information"]


def test_what_a_person_may_confirm():
    words = {code: " ".join(sorted(words)) for code, words in PROPOSALS.items()}
    assert words == {"KX10": "KX", "MD20": "59 XE XP XS XU", "MD21": "GA GX GY GZ"}


def test_a_payer_without_an_abn_setting_offers_none():
    policy = payer(counting_rule="eight_minute_total", discipline_modifier="none", denial_expected_codes="97110")
    assert raised(judged("97110 @15", policy=policy)) == []


# ---------------------------------------------------------------- ptbridge units


def test_minutes_that_are_the_sum_of_both_parts_are_taken():
    given = {"code": "97110", "minutes": 15, "therapist_minutes": 10, "assistant_minutes": 5}
    assert units_answer(MEDICARE, [given], "PT", ON)["lines"] == [{"code": "97110", "units": 1, "modifiers": ["GP"]}]


@pytest.mark.parametrize("first", range(5))
def test_of_several_unknown_keys_the_first_by_name_is_told(first):
    keys = ["zeta", "mu", "beta", "xi", "alpha", "rho", "nu", "tau", "chi", "pi"][first:]
    text = json.dumps({"lines": []} | dict.fromkeys(keys, 1))
    assert answer_json_line(text, MEDICARE, ON)["error"].startswith(f"{min(keys)}: unknown key")
