"""More edges of the coding rules, found by putting every small wrong change to the tests."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from coding_days import CODES, MEDICARE, MIDPOINT, ON, SHIPPED, coded, day, line, payer, raised, shown, visit

from ptbridge.coding import Known, code, price, units_answer
from ptbridge.model import Diagnosis, Discipline, Finding, Provider, Severity
from ptbridge.policy.fees import Fee, FeeSchedule
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.reference import PairEdit, Reference, load, quarter, reference_of
from tests import make_reference_files as make

PTA = Provider(id="a", credential="PTA")
SINCE = date(2020, 1, 1)
UNSET = payer(discipline_modifier="required", assistant_modifier="cq_co", assistant_method="percentage")


def people(code_, therapist, assistant, **fields):
    return line(code_, minutes=therapist + assistant, therapist_minutes=therapist, assistant_minutes=assistant, **fields)


def at(*minutes):
    start, end = (datetime(2026, 11, 20, 9 + minute // 60, minute % 60, tzinfo=UTC) for minute in minutes)
    return {"start": start, "end": end}


def judged(*visits, policy=MEDICARE, discipline=Discipline.PT, **known):
    return code(day(*visits, discipline=discipline), policy=policy, codes=CODES, known=Known(**known))


def messages(found):
    return [finding.message for finding in found.findings]


# ---------------------------------------------------------------- ABN, telehealth, prices


def test_an_abn_of_one_visit_covers_the_line_that_two_visits_document():
    listed = payer(counting_rule="eight_minute_total", abn_modifiers="auto", denial_expected_codes="97110")
    two = visit("97110 @15", abn_signed_on=ON), visit("97110 @15", visit_id="v2")
    assert shown(judged(*two, policy=listed)) == ["97110-GA x2 @30"]


@pytest.mark.parametrize("word", ["GA", "GX", "GY", "GZ"])
def test_a_line_with_any_of_the_four_keeps_it_as_it_is(word):
    listed = payer(counting_rule="eight_minute_total", abn_modifiers="auto", statutory_codes="97110")
    assert shown(coded(line("97110 @15", modifiers=(word,)), policy=listed)) == [f"97110-{word} x1 @15"]


@pytest.mark.parametrize("word", ["95", "93", "GT", "GQ", "FQ"])
def test_the_emrs_own_telehealth_word_stays_alone(word):
    for way in ("video", "audio"):
        found = coded(line("97110 @15", modifiers=(word,)), telehealth=way)
        assert {*found.lines[0].modifiers} == {word, "GP"}


def test_a_line_in_person_is_left_alone_beside_one_by_video():
    plain = payer(counting_rule="eight_minute_total", discipline_modifier="none", telehealth_video="95")
    two = visit("97110 @15", telehealth="video"), visit("97140 @15", visit_id="v2")
    assert (shown(found := judged(*two, policy=plain)), raised(found)) == (["97110-95 x1 @15", "97140 x1 @15"], [])


def test_a_code_furnished_in_two_ways_gets_no_modifier_at_all():
    words = {"telehealth_video": "95", "telehealth_audio": "93"}
    plain = payer(counting_rule="eight_minute_total", discipline_modifier="none", **words)
    two = visit("97110 @15", telehealth="video"), visit("97110 @15", visit_id="v2", telehealth="audio")
    assert (shown(found := judged(*two, policy=plain)), raised(found)) == (["97110 x2 @30"], ["MD22 error"])


def test_what_has_no_price_points_to_its_first_documented_line():
    (finding,) = price(judged(visit("97110 @15", line("97110 @15"))), None).findings
    assert finding.line_key == "1"


# ---------------------------------------------------------------- chains and assistants


def test_codes_that_add_to_each_other_without_minutes_are_no_chain_of_minutes():
    found = coded("97597", "97598 x2")
    assert (shown(found), found.exclusions) == (["97597-GP x1", "97598-GP x2"], ())


@pytest.mark.parametrize(
    ("therapist", "assistant", "expected"),
    [
        (15, 20, ["97129-CO-GO x1 @15", "97130-GO x1 @20"]),
        (15, 15, ["97129-GO x1 @15", "97130-CO-GO x1 @15"]),
        (20, 15, ["97129-GO x1 @15", "97130-CO-GO x1 @20"]),
    ],
)
def test_the_first_code_goes_to_whoever_furnished_more_of_a_chain(therapist, assistant, expected):
    found = coded(people("97129", therapist, assistant), discipline=Discipline.OT)
    assert shown(found) == expected


def test_what_is_unknown_of_a_chain_is_said_of_its_first_code():
    lines = line("97129 @15"), line("97130 @15")
    found = coded(*lines, discipline=Discipline.OT, assistant=PTA)
    (finding,) = (one for one in found.findings if one.code == "MD11")
    assert finding.message.startswith("97129:") and finding.line_key == "1"


def test_a_chain_of_uneven_units_is_the_assistants_as_a_whole():
    lines = people("97550", 20, 10), people("97551", 10, 5)
    assert shown(coded(*lines)) == ["97550-CQ-GP x1 @30", "97551-CQ-GP x1 @15"]


def test_the_emrs_modifier_does_not_stay_on_the_therapists_units():
    found = coded(people("97110", 15, 15, modifiers=("CQ",)))
    assert shown(found) == ["97110-CQ-GP x1 @15", "97110-GP x1 @15"]


def test_the_emrs_modifier_alone_says_that_an_assistant_took_part():
    found = coded(line("97110 @15", modifiers=("CQ",)), "97110 @15")
    assert shown(found) == ["97110-CQ-GP x1 @15", "97110-GP x1 @15"]


@pytest.mark.parametrize(
    ("fields", "lines", "codes"),
    [
        ({"minutes": 15, "therapist_minutes": -1, "assistant_minutes": 16}, ["97110-GP x1 @15"], ["MD11 error"]),
        ({"minutes": 15, "assistant_minutes": 10}, ["97110-CQ-GP x1 @15"], []),
        ({"minutes": 15, "therapist_minutes": 15}, ["97110-GP x1 @15"], []),
        ({"minutes": 15, "therapist_minutes": -1}, ["97110-GP x1 @15"], ["MD11 error"]),
        ({"minutes": 15, "therapist_minutes": 0}, ["97110-CQ-GP x1 @15"], []),
    ],
)
def test_one_persons_minutes_say_the_others(fields, lines, codes):
    found = coded(line("97110", **fields), assistant=PTA)
    assert (shown(found), raised(found)) == (lines, codes)


def test_without_minutes_a_line_stands_for_one_and_no_more():
    found = coded(line("97161", assistant_minutes=2), line("97150", assistant_minutes=2))
    assert raised(found) == ["MD11 error"]


# ---------------------------------------------------------------- units as documented, and on a total


def test_a_timed_code_with_no_units_by_the_emr_is_excluded_where_no_rule_is_known():
    found = coded("97110 @30 x0", "97140 @30 x2", "97150", policy=UNSET)
    assert shown(found) == ["97140-GP x2 @30", "97150-GP x1"]
    assert [(one.procedure, one.rule) for one in found.exclusions] == [("97110", "zero-units")]
    assert "untimed -> 1 unit" in found.lines[1].because


def test_the_emrs_timed_units_alone_are_held_against_the_total():
    found = coded("97110 x2", "97140 x0", "97150 x1", timed_minutes_total=30)
    assert raised(found) == []
    assert "the EMR's 2 timed units fit the 30 minutes" in found.because[0]


def test_too_few_units_on_a_total_point_to_the_first_code_without_minutes():
    found = coded("97110 x1", "97140 x1", timed_minutes_total=45)
    assert raised(found) == ["UN12 warning"] and found.findings[0].line_key == "1"


@pytest.mark.parametrize(
    ("lines", "total", "said"),
    [
        (("97110 @-1 x1", "97140 x1"), 30, "97110: negative minutes"),
        (("97110 x1", "96125 x1"), 75, "codes of another unit length need their own"),
        (("97110 x-1", "97140 x1"), 30, "no minutes and no units"),
        (("97110 x1", "97129 x2"), 45, "the first code of a chain bills at most one unit"),
        (("97129 x2",), 30, "the first code of a chain bills at most one unit"),
    ],
)
def test_what_a_total_cannot_stand_for(lines, total, said):
    lines = [_negative(text) for text in lines]
    found = coded(*lines, timed_minutes_total=total, discipline=Discipline.OT)
    assert any(said in message for message in messages(found)), messages(found)


def _negative(text):
    name, *rest = text.split()
    fields = {("minutes" if word[0] == "@" else "units_documented"): int(word[1:]) for word in rest}
    return line(name, **fields)


@pytest.mark.parametrize(
    ("lines", "total", "policy"),
    [
        (("97110 @30 x2", "97140 x0"), 30, MEDICARE),
        (("97110 @28 x1", "97140 x1", "97112 x1"), 58, MEDICARE),
        (("97110 @23 x2", "97140 x1", "97112 x1"), 60, MIDPOINT),
    ],
)
def test_units_that_the_total_and_the_known_minutes_bear(lines, total, policy):
    assert not any(one.startswith("UN11") for one in raised(coded(*lines, policy=policy, timed_minutes_total=total)))


def test_a_code_may_have_one_unit_more_than_its_full_quarter_hours_and_no_second():
    lines = "97140 x1", "97112 x1"
    assert raised(coded("97110 @28 x2", *lines, timed_minutes_total=75)) == ["UN12 warning"]
    assert raised(coded("97110 @28 x3", *lines, timed_minutes_total=75)) == ["UN11 error"] * 2


@pytest.mark.parametrize(
    ("lines", "codes"),
    [
        ((line("97110", minutes=-1), line("97110", minutes=16)), ["UN11 error"]),
        ((line("97110", minutes=-1),), ["UN11 error"]),
        ((line("97598", units_documented=-1), line("97597")), ["UN14 error"]),
    ],
)
def test_one_below_zero_is_below_zero(lines, codes):
    assert raised(coded(*lines)) == codes


# ---------------------------------------------------------------- the EMR's units against the rule's


@pytest.mark.parametrize(
    ("lines", "severity"),
    [
        (("97110 @30 x1", "97140 @7 x0"), "warning"),
        (("97530 @15 x1", "97112 @7 x0", "97110 @7 x0", "97140 @7 x0"), "warning"),
        (("97110 @30 x0", "97140 @30 x2"), "error"),
    ],
)
def test_a_zero_of_the_emr_is_money_left_unless_the_code_is_sure_of_a_unit(lines, severity):
    assert raised(coded(*lines)) == [f"UN12 {severity}"]


def test_fewer_units_of_a_chains_first_code_add_none_of_its_add_on():
    assert shown(coded("97129 @45 x1", discipline=Discipline.OT)) == ["97129-GO x1 @45"]


def test_the_difference_points_to_the_first_code_that_differs():
    found = coded("97110 @15 x1", "97140 @15 x3", "97112 @15 x2")
    assert found.findings[0].line_key == "2"
    tied = coded("97112 @20 x2", "97110 @20 x3")  # 2 + 1 or 1 + 2: ours is the first
    assert tied.findings[0].line_key == "2"


@pytest.mark.parametrize(("codes", "more"), [(4, False), (5, True)])
def test_at_most_four_answers_are_named(codes, more):
    names = ["97110", "97112", "97116", "97140", "97530"][:codes]
    found = coded("97110 @3 x5", *(f"{name} @3" for name in names[1:]))
    (message,) = messages(found)
    assert message.count(" or ") == 3 + more and ("another of equal rank" in message) is more


def test_a_tie_names_the_chain_by_its_first_code():
    found = coded("97129 @20", "97110 @20", discipline=Discipline.OT)
    assert found.because[0].startswith("97129, 97110 have equal left-over minutes")


def test_the_word_equal_is_no_cut_of_four_diagnoses():
    linked = ("M54.50", "M25.561", "R26.2", "M62.81")
    found = coded(line("97110 @15", diagnosis_codes=linked), diagnoses=())
    assert "diagnoses as linked to the service" in found.lines[0].because
    found = coded(line("97110 @15", diagnosis_codes=(*linked, "R29.3")), diagnoses=())
    assert "diagnoses as linked to the service, the first 4 of 5" in found.lines[0].because


def test_codes_linked_to_the_same_diagnoses_point_to_the_same_places():
    linked = {"diagnosis_codes": ("R26.2", "M54.50")}
    found = coded(line("97110 @15", **linked), line("97140 @15", **linked), line("97112 @15", diagnosis_codes=("M54.50",)))
    assert [one.diagnosis_pointers for one in found.lines] == [(2, 1), (2, 1), (1,)]


def test_a_second_line_of_a_code_brings_its_modifiers_and_diagnoses():
    first, second = line("97110 @15"), line("97110 @15", modifiers=("59",), diagnosis_codes=("R26.2",))
    found = coded(first, second)
    assert shown(found) == ["97110-59-GP x2 @30"]
    assert [one.code for one in found.diagnoses] == ["M54.50", "R26.2"] and found.lines[0].diagnosis_pointers == (2,)


@pytest.mark.parametrize(("severity", "key", "said"), [("error", "1", False), ("warning", "1", True), ("error", "2", True)])
def test_an_unknown_word_is_said_unless_the_mapping_held_this_very_line(severity, key, said):
    finding = Finding(code="MP01", severity=Severity(severity), message="m", line_key=key)
    unknown = replace(line("97110 @15"), code=None)
    found = coded(unknown, findings=(finding,), diagnoses=(Diagnosis(code="M54.50"),))
    assert ("MP20 error" in raised(found)) is said


# ---------------------------------------------------------------- KX


def schedule(**amounts):
    fees = []
    for name, (full, reduced) in amounts.items():
        fees.append(Fee(procedure=name[1:], amount_cents=full, from_=SINCE))
        fees.append(Fee(procedure=name[1:], modifiers=frozenset({"MPPR"}), amount_cents=reduced, from_=SINCE))
    return FeeSchedule(fees)


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"_97110": (3000, 2000), "_97140": (3000, 2000)}, (3000, 2000)),
        ({"_97110": (4000, 3000), "_97140": (3000, 2000)}, (4000, 2000)),
        ({"_97110": (1000, 0), "_97140": (500, 0)}, (1000, 0)),
    ],
)
def test_of_equals_the_first_unit_stays_whole_and_nothing_is_made_up(amounts, expected):
    found = judged(visit("97110 @15", "97140 @15"), history=PatientHistory(accrued_cents=0), allowed=schedule(**amounts))
    assert found.allowed_cents == expected


def test_a_proposal_points_to_the_first_line_of_the_first_code():
    known = {"history": PatientHistory(accrued_cents=250_000), "allowed": schedule(_97110=(3000, 2000), _97140=(3000, 2000))}
    found = judged(visit("97110 @15", "97140 @15", "97110 @15"), **known)
    (finding,) = (one for one in found.findings if one.code == "KX10")
    assert finding.line_key == "1"


# ---------------------------------------------------------------- pairs


def pairs(column1, column2, indicator=1):
    pair = PairEdit(
        column1=column1, column2=column2, indicator=indicator, effective=SINCE, deletion=None, period="2026Q4", source=""
    )
    return reference_of(quarter(2026, 4), pairs=[pair])


def proposed(found):
    return [one for one in raised(found) if one.startswith("MD20")]


OWN = {"counting_rule": "eight_minute_total", "discipline_modifier": "none"}
APART = (line("97140 @15", **at(0, 15)), line("97530 @15", **at(15, 30)))


def test_a_payers_own_pair_says_why_it_forbids():
    never = messages(coded(*APART, policy=payer(**OWN, own_pairs="97140 97530 0", pair_modifier="auto")))
    assert never[0].endswith("never paid together")
    together = messages(coded("97140 @15", "97530 @15", policy=payer(**OWN, own_pairs="97140 97530 1", pair_modifier="auto")))
    assert together[0].endswith("separate minutes are not documented")


def test_a_payer_that_takes_no_modifier_forbids_its_own_pair():
    found = coded(*APART, policy=payer(**OWN, own_pairs="97140 97530 1", pair_modifier="none", pair_modifier_word="59"))
    assert raised(found) == ["NC20 error"]


def test_one_overlap_is_enough_to_be_together_and_touching_is_not():
    reference = pairs("97140", "97530")
    overlap = line("97140 @15", **at(0, 15)), line("97140 @15", **at(30, 45)), line("97530 @15", **at(40, 55))
    assert proposed(judged(visit(*overlap), reference=reference)) == []
    turned = line("97140 @15", **at(15, 30)), line("97530 @15", **at(0, 15))
    assert proposed(judged(visit(*turned), reference=reference)) == ["MD20 error"]


def test_group_and_individual_need_minutes_on_every_line_that_was_done():
    reference = pairs("97530", "97150")
    total = {"treatment_minutes_total": 45}
    none = visit(line("97530", minutes=0), line("97530", minutes=15), line("97150", minutes=30), **total)
    assert proposed(judged(none, reference=reference)) == []
    not_done = visit("97530 @15", "97150 @30", line("97110", not_done=True), **total)
    assert proposed(judged(not_done, reference=reference)) == ["MD20 error"]


def test_speech_has_a_group_of_its_own():
    one = visit(line("92507", minutes=30), line("92508", minutes=30), treatment_minutes_total=60)
    found = judged(one, discipline=Discipline.SLP, reference=pairs("92507", "92508"))
    assert proposed(found) == ["MD20 error"]


def test_medicaids_own_pairs_are_asked_for_medicaid(tmp_path):
    rows = [("97140", "97530", "", "20200101", "*", "1")]
    file = tmp_path / "pairs.txt"
    file.write_text("\r\n".join(make.pair_lines(rows, medicaid=True)))
    load([file], tmp_path / "reference", period="2026Q4")
    medicaid = SHIPPED["medicaid"]
    lines = line("97140 @15 x1", **at(0, 15)), line("97530 @15 x1", **at(15, 30))
    found = judged(visit(*lines), policy=medicaid, reference=Reference.open(tmp_path / "reference"))
    assert proposed(found) == ["MD20 error"]
    assert proposed(judged(visit(*APART), reference=Reference.open(tmp_path / "reference"))) == []


@pytest.mark.parametrize("word", ["59", "XE", "XP", "XS", "XU"])
def test_any_of_the_five_words_settles_a_pair(word):
    marked = line("97140 @15", modifiers=(word,), **at(0, 15)), APART[1]
    assert proposed(judged(visit(*marked), reference=pairs("97140", "97530"))) == []


def test_the_word_that_a_person_confirmed_is_the_first_by_name():
    found = judged(visit(*APART), reference=pairs("97140", "97530"), confirmed=frozenset({"XU", "59"}))
    assert shown(found)[1].startswith("97530-59-")


# ---------------------------------------------------------------- units_answer


def answer(*lines, discipline="PT"):
    return units_answer(MEDICARE, lines, discipline, ON, codes=CODES)


def test_what_holds_is_an_error_without_a_discipline_too():
    assert answer({"code": "97110"}, discipline=None)["error"].startswith("UN11")
    reasons = answer({"code": "97110", "minutes": 15}, discipline=None)["because"]
    assert not any(reason.startswith("MD13") for reason in reasons)


def test_a_whole_day_is_the_most_that_can_be_documented():
    assert "error" not in answer({"code": "97110", "minutes": 1440})
    assert "write a whole number from 0 to 1440" in answer({"code": "97110", "minutes": 1441})["error"]
