"""Units: ours, the EMR's, and what happens when they differ or cannot be counted."""

import pytest
from coding_days import CODES, MEDICARE, MIDPOINT, ON, coded, day, line, payer, raised, shown, visit

from ptbridge.coding import code
from ptbridge.model import Discipline, Finding, Intervention, Severity, VisitStatus


def test_units_carry_their_reason():
    found = coded("97110 @24", "97140 @23")
    assert shown(found) == ["97110-GP x2 @24", "97140-GP x1 @23"]
    assert found.lines[0].because[0] == "24 of 47 timed minutes -> 2 of 3 units (medicare_part_b, 8-minute rule)"
    assert found.acceptable == ((("97110", 2), ("97140", 1)),)
    assert found.findings == ()


def test_the_emrs_units_win_when_the_rule_accepts_them():
    found = coded("97110 @20 x1", "97140 @20 x2")
    assert shown(found) == ["97110-GP x1 @20", "97140-GP x2 @20"]
    assert found.findings == ()
    assert "as documented" in found.lines[1].because[0]


def test_too_many_units_hold_and_are_not_silently_changed():
    found = coded("97110 @33 x3", "97140 @7 x1")
    assert raised(found) == ["UN12 error"]
    finding = found.findings[0]
    assert finding.message == ("the EMR has 97110 x3, 97140 x1; 40 pooled minutes allow 97110 x2, 97140 x1 (8-minute rule)")
    assert (finding.visit_id, finding.line_key) == ("v1", "1")
    assert shown(found) == ["97110-GP x2 @33", "97140-GP x1 @7"]


def test_right_total_on_the_wrong_code_holds():
    assert raised(coded("97110 @33 x3", "97140 @7 x0")) == ["UN12 error"]


def test_too_few_units_are_billed_as_documented_with_a_warning():
    found = coded("97110 @33 x1", "97140 @15 x1")
    assert raised(found) == ["UN12 warning"]
    assert shown(found) == ["97110-GP x1 @33", "97140-GP x1 @15"]


def test_a_service_is_not_lost_on_a_zero_of_the_emr():
    assert raised(coded("97110 @33 x0", "97140 @15 x1")) == ["UN12 error"]
    assert raised(coded("97110 @33 x0")) == ["UN12 error"]


def test_units_for_some_codes_choose_among_the_acceptable_answers():
    assert shown(coded("97110 @20", "97140 @20 x2")) == ["97110-GP x1 @20", "97140-GP x2 @20"]


def test_fewer_units_for_some_codes_never_lift_the_day_above_its_total():
    # 30 minutes each in 2 pairs of ties: 97112 takes the extra unit of the tie, so 97110 must not have it as well
    found = coded("97110 @20", "97112 @20 x2", "97140 @30 x1")
    assert raised(found) == ["UN12 warning"]
    assert shown(found) == ["97110-GP x1 @20", "97112-GP x2 @20", "97140-GP x1 @30"]


def test_too_many_units_for_some_codes_hold():
    assert raised(coded("97110 @20", "97140 @20 x3")) == ["UN12 error"]


def test_negative_units_hold():
    assert raised(coded("97110 @20 x2", "97140 @20 x-1")) == ["UN12 error"]
    assert raised(coded(line("97110 @20 x2", line_key="a"), line("97110 @20 x-1", line_key="b"))) == ["UN12 error"]


def test_an_untimed_code_above_one_holds():
    found = coded("97161 x2")
    assert raised(found) == ["UN12 error"]
    assert shown(found) == ["97161-GP x1"]


def test_two_visits_of_one_day_share_one_pool_and_one_line():
    two = day(visit("97110 @7"), visit("97110 @8", "97140 @8", visit_id="v2"))
    found = code(two, policy=MEDICARE, codes=CODES)
    assert shown(found) == ["97110-GP x1 @15", "97140-GP x1 @8"]
    assert found.lines[0].line_keys == ("v1/1", "v2/1")


def test_zero_units_are_an_exclusion_with_its_rule():
    found = coded("97110 @18", "97140 @13", "97116 @10", "97035 @8")
    assert shown(found) == ["97110-GP x1 @18", "97140-GP x1 @13", "97116-GP x1 @10"]
    assert [(one.line_key, one.procedure, one.rule) for one in found.exclusions] == [("v1/4", "97035", "zero-units")]
    assert "8 of 49 timed minutes -> 0 of 3 units" in found.exclusions[0].because


def test_bundled_codes_are_excluded_and_refused_codes_hold_without_a_swap():
    found = coded("97010", "97014", "97110 @15")
    assert shown(found) == ["97014-GP x1", "97110-GP x1 @15"]
    assert [one.rule for one in found.exclusions] == ["bundled"]
    assert raised(found) == ["CV10 error"]
    assert "G0283" in found.findings[0].message


def test_lines_that_were_not_done_are_no_part_of_the_day():
    found = coded(line("97110 @15"), line("97140 @15", not_done=True))
    assert found.exclusions == ()
    assert shown(found) == ["97110-GP x1 @15"]


def test_services_that_the_mapping_calls_not_billable_are_exclusions():
    cash = Intervention(line_key="7", documented="local|WRAP", not_billable="acme.yaml:12")
    found = coded("97110 @15", cash)
    assert [(one.line_key, one.procedure, one.rule) for one in found.exclusions] == [("v1/7", "local|WRAP", "not-billable")]
    assert "acme.yaml:12" in found.exclusions[0].because
    assert found.findings == ()


@pytest.mark.parametrize("status", [VisitStatus.ENTERED_IN_ERROR, VisitStatus.CANCELLED, VisitStatus.NO_SHOW])
def test_a_visit_that_did_not_happen_bills_nothing(status):
    found = coded("97110 @15", status=status)
    assert found.lines == ()
    assert [one.rule for one in found.exclusions] == [status.value]


def test_an_unknown_code_holds_and_is_never_corrected():
    found = coded("97710 @15 x1", "97110 @15")
    assert raised(found) == ["MP20 error"]
    assert shown(found) == ["97110-GP x1 @15"]


def test_a_line_without_code_holds_once():
    bare = Intervention(line_key="9", documented="local|XYZ")
    assert raised(coded(bare)) == ["MP20 error"]
    said = Finding(code="MP01", severity=Severity.ERROR, message="no code for XYZ", line_key="9")
    assert raised(coded(bare, findings=(said,))) == []


def test_without_a_payer_nothing_is_counted():
    found = coded("97110 @40 x2", "97161", policy=None)
    assert raised(found) == ["CV01 error"]
    assert found.acceptable == ()
    assert shown(found) == ["97110 x2 @40", "97161 x1"]
    assert found.payer is None


def test_an_unset_counting_rule_holds_with_the_question():
    found = coded("97110 @40", policy=payer(discipline_modifier="none"))
    assert raised(found) == ["UN10 error"]
    assert "Ask the payer" in found.findings[0].fix
    assert found.lines == ()


def test_untimed_codes_need_no_counting_rule():
    found = coded("97161", policy=payer(discipline_modifier="none"))
    assert found.findings == ()
    assert shown(found) == ["97161 x1"]


def test_without_a_service_date_no_rule_is_in_force():
    found = code(day(visit("97110 @40"), on=None), policy=MEDICARE, codes=CODES)
    assert set(raised(found)) == {"UN10 error"}
    assert found.lines == ()


def test_quantities_are_the_emrs_or_held():
    assert shown(coded("97597 x1", "97598 x3")) == ["97597-GP x1", "97598-GP x3"]
    found = coded("97597", "97598")
    assert raised(found) == ["UN14 error"]
    assert shown(found) == ["97597-GP x1"]
    assert coded("97598 x0").exclusions[0].rule == "zero-units"


def test_an_add_on_alone_holds():
    assert raised(coded("97130 @30", discipline=Discipline.SLP)) == ["UN13 error"]


def test_a_chain_from_one_entry_and_from_two():
    found = coded("97129 @47", discipline=Discipline.SLP)
    assert shown(found) == ["97129-GN x1 @15", "97130-GN x2 @32"]
    assert found.lines[1].line_keys == ("v1/1",)
    found = coded("97129 @20 x1", "97130 @17 x1", discipline=Discipline.SLP)
    assert shown(found) == ["97129-GN x1 @15", "97130-GN x1 @22"]
    assert found.lines[1].line_keys == ("v1/2",)


def test_a_chain_with_one_unit_excludes_its_documented_add_on():
    found = coded("97129 @15", "97130 @5", discipline=Discipline.SLP)
    assert shown(found) == ["97129-GN x1 @20"]
    assert [(one.procedure, one.rule) for one in found.exclusions] == [("97130", "zero-units")]


def test_two_units_of_a_chains_first_code_hold():
    assert raised(coded("97129 @30 x2", discipline=Discipline.SLP)) == ["UN12 error"]


def test_midpoint_policy():
    assert shown(coded("97112 @24", "97110 @23", policy=MIDPOINT)) == ["97112-GP x2 @24", "97110-GP x2 @23"]


def test_a_truncated_list_of_answers_says_so():
    names = ["97110", "97112", "97113", "97116", "97124", "97140", "97530", "97533", "97535", "97537", "97542", "97750"]
    found = coded(*[f"{name} @8" for name in names])
    assert len(found.acceptable) == 256
    assert found.because[0].endswith("the first 256 answers are listed")


# ---------------------------------------------------------------- totals only


@pytest.mark.parametrize(
    ("lines", "total", "policy", "expected"),
    [
        (["97110 x2", "97140 x1"], 38, MEDICARE, []),
        (["97110 x2", "97140 x1"], 37, MEDICARE, ["UN11 error", "UN11 error"]),
        (["97110 x1", "97140 x1"], 38, MEDICARE, ["UN12 warning"]),
        (["97110 x2", "97140 x1"], None, MEDICARE, ["UN11 error", "UN11 error"]),
        (["97110", "97140 x1"], 38, MEDICARE, ["UN11 error", "UN11 error"]),
        (["97110 @33 x2", "97140 x1"], 40, MEDICARE, []),
        (["97110 @38 x2", "97140 x1"], 40, MEDICARE, ["UN11 error"]),
        (["97110 @50 x3", "97140 x1"], 40, MEDICARE, ["UN11 error"]),
        (["97110 @41 x3", "97140 x0"], 40, MEDICARE, ["UN11 error"]),
        (["97110 @20 x1", "97140 @21 x1", "97112 x0", "97116 x0"], 40, MEDICARE, ["UN11 error", "UN11 error"]),
        (["97110 @30 x4", "97140 x1", "97112 x1"], 90, MEDICARE, ["UN11 error", "UN11 error"]),
        (["97110 x2", "97140 x1"], 31, MIDPOINT, []),
        (["97110 x2", "97140 x1"], 30, MIDPOINT, ["UN11 error", "UN11 error"]),
        (["97110 @22 x2", "97140 x1", "97112 x1"], 60, MIDPOINT, ["UN11 error", "UN11 error"]),
        (["97129 x2"], 30, MEDICARE, ["UN11 error"]),
        (["97550 x1"], 30, MEDICARE, ["UN11 error"]),
        (["97110 x1", "97161 x2"], 15, MEDICARE, ["UN11 error"]),
        (["97110 @-5 x1"], 15, MEDICARE, ["UN11 error"]),
    ],
)
def test_units_without_minutes_stand_only_where_the_days_total_bears_them(lines, total, policy, expected):
    found = coded(*lines, policy=policy, timed_minutes_total=total)
    assert raised(found) == expected
    if not expected:
        assert [one.units for one in found.lines] == [int(text[-1]) for text in lines]
        assert "of the day's total" in found.because[0]


def test_a_visit_whose_lines_all_have_minutes_needs_no_total_of_its_own():
    two = day(visit("97110 x2", timed_minutes_total=25), visit("97140 @15 x1", visit_id="v2"))
    found = code(two, policy=MEDICARE, codes=CODES)
    assert found.findings == ()
    assert shown(found) == ["97110-GP x2", "97140-GP x1 @15"]


def test_hidden_negative_minutes_hold():
    found = coded(line("97110 @20 x1", line_key="a"), line("97110 @-5 x1", line_key="b"))
    assert raised(found) == ["UN11 error"]
    assert "negative minutes" in found.findings[0].message


def test_findings_show_no_patient_data():
    found = coded("97110 @33 x9", "97710", "97598", policy=MEDICARE)
    assert "secret" not in repr(found) + " ".join(map(str, found.findings))
    assert repr(ON) in repr(found)
