"""Modifiers that depend on more than a line: KX, 59 and X{EPSU}, GA to GZ, telehealth."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from coding_days import CODES, MEDICARE, ON, day, line, payer, raised, shown, visit

from ptbridge.coding import Known, code
from ptbridge.coding.findings import PROPOSALS
from ptbridge.model import Discipline
from ptbridge.policy.fees import Fee, FeeSchedule
from ptbridge.policy.history import OtherLine, PatientHistory
from ptbridge.policy.reference import PairEdit, Reference, quarter, reference_of

SINCE = date(2020, 1, 1)


def schedule(**amounts):
    """`_97110=(3000, 2400)`: the amount allowed for one unit in full and after the reduction, in cents."""
    fees = []
    for name, (full, reduced) in amounts.items():
        fees.append(Fee(procedure=name[1:], amount_cents=full, from_=SINCE))
        fees.append(Fee(procedure=name[1:], modifiers=frozenset({"MPPR"}), amount_cents=reduced, from_=SINCE))
    return FeeSchedule(fees)


ALLOWED = schedule(_97110=(3000, 2400), _97140=(2800, 2300), _97530=(4000, 3000), _92507=(7000, 6000))


def judged(*lines, policy=MEDICARE, discipline=Discipline.PT, on=ON, known=None, **fields):
    visits = (visit(*lines, service_date=on, **fields),)
    return code(day(*visits, discipline=discipline, on=on), policy=policy, codes=CODES, known=known or Known())


def kx(accrued, *lines, confirmed=(), allowed=ALLOWED, opening=None, others=(), **fields):
    history = PatientHistory(accrued_cents=accrued, opening_cents=opening, other_lines=others)
    known = Known(history=history, allowed=allowed, confirmed=frozenset(confirmed))
    return judged(*(lines or ("97110 @15",)), known=known, **fields)


# ---------------------------------------------------------------- KX


@pytest.mark.parametrize(("accrued", "codes"), [(245_000, []), (245_001, ["KX10 error"])])
def test_the_threshold_itself_is_not_passed_one_cent_more_is(accrued, codes):
    assert raised(kx(accrued)) == codes


def test_the_proposal_names_the_total_the_amount_and_the_modifier():
    (finding,) = kx(240_000, opening=10_000).findings
    assert finding.message.startswith(
        "97110: at least $2,530.00 allowed in 2026 with this day (PT with SLP) is above $2,480.00"
    )
    assert finding.where == "modifier KX" and "--add KX" in finding.fix


def test_kx_is_added_on_a_persons_word_or_on_the_payers_terms():
    assert shown(kx(250_000, confirmed=["KX"])) == ["97110-GP-KX x1 @15"]
    auto = payer(counting_rule="eight_minute_total", discipline_modifier="required", kx="auto")
    assert shown(kx(250_000, policy=auto)) == ["97110-GP-KX x1 @15"]
    none = payer(counting_rule="eight_minute_total", discipline_modifier="required", kx="none")
    assert (shown(found := kx(250_000, policy=none)), found.allowed_cents, raised(found)) == (["97110-GP x1 @15"], (), [])
    assert shown(kx(0, confirmed=["KX"])) == ["97110-GP x1 @15"]


def test_the_emrs_own_kx_is_kept_and_asks_nothing():
    found = kx(250_000, line("97110 @15", modifiers=("KX",)))
    assert (shown(found), raised(found)) == (["97110-GP-KX x1 @15"], [])


@pytest.mark.parametrize("word", ["GA", "GY", "GZ"])
def test_never_with_an_abn_modifier(word):
    found = kx(250_000, line("97110 @15", modifiers=(word,)), confirmed=["KX"])
    assert "KX" not in found.lines[0].modifiers


def test_ot_has_a_threshold_of_its_own_and_a_year_without_an_amount_is_said():
    assert "(OT)" in kx(250_000, "97530 @15", discipline=Discipline.OT).findings[0].message
    found = kx(1, on=date(2027, 1, 4))
    assert (
        raised(found) == ["KX12 warning"] and "threshold of 2027 is in no table, loaded or shipped" in found.findings[0].message
    )
    hold = payer(counting_rule="eight_minute_total", discipline_modifier="required", kx="propose", kx_amount_unknown="hold")
    assert raised(kx(1, on=date(2027, 1, 4), policy=hold)) == ["KX12 error"]


def test_without_allowed_amounts_nobody_counts_and_it_says_so_unless_the_answer_alone_is_above():
    assert raised(kx(None, allowed=None)) == ["KX11 information"]
    assert raised(kx(None, allowed=None, opening=248_001)) == ["KX10 error"]
    assert raised(kx(None, allowed=None, opening=248_000)) == []
    assert raised(judged("97110 @15")) == []


def test_the_unit_with_the_highest_practice_expense_stays_whole():
    found = kx(0, "97110 @30", "97530 @15", "97140 @15")
    # 97530 loses most by the reduction, so it is the one that is not reduced
    assert found.allowed_cents == (4800, 4000, 2300)
    assert kx(0, "97110 @30").allowed_cents == (5400,)
    other = OtherLine(procedure="92507", modifiers=("GN",), units=1, discipline="SLP", reference="pt-1")
    assert kx(0, "97110 @30", others=(other,)).allowed_cents == (4800,)
    assert kx(0, "97112 @15").allowed_cents == (None,)


# ---------------------------------------------------------------- pairs


def table(indicator=1):
    pair = PairEdit(
        column1="97140", column2="97530", indicator=indicator, effective=SINCE, deletion=None, period="2026Q4", source="made up"
    )
    return reference_of(quarter(2026, 4), pairs=[pair], name="pairs of a test")


def clock(*minutes):
    start, end = (datetime(2026, 11, 20, 9 + minute // 60, minute % 60, tzinfo=UTC) for minute in minutes)
    return {"start": start, "end": end}


def apart(first=(0, 15), second=(15, 30)):
    return line("97140 @15", **clock(*first)), line("97530 @15", **clock(*second))


def paired(*lines, reference=None, confirmed=(), **fields):
    return judged(*lines, known=Known(reference=reference or table(), confirmed=frozenset(confirmed)), **fields)


def test_a_pair_with_separate_times_is_proposed_on_column_two_with_the_pair_cited():
    (finding,) = paired(*apart()).findings
    assert finding.code == "MD20" and finding.where == "modifier 59"
    assert "97530: pair 97140/97530, indicator 1" in finding.message and "do not overlap" in finding.message
    assert shown(paired(*apart(), confirmed=["59"])) == ["97140-GP x1 @15", "97530-59-GP x1 @15"]
    assert shown(paired(*apart(), confirmed=["XU"])) == ["97140-GP x1 @15", "97530-XU-GP x1 @15"]


@pytest.mark.parametrize(
    ("lines", "reference"),
    [
        (apart(), table(indicator=0)),
        (apart((0, 20), (15, 30)), table()),
        (("97140 @15", "97530 @15"), table()),
        ((line("97140 @15", **clock(0, 15)), "97530 @15"), table()),
        (apart(), Reference()),
    ],
    ids=["indicator 0", "overlap", "no times", "times of one only", "no file for the date"],
)
def test_never_without_an_active_pair_of_indicator_one_and_separate_minutes(lines, reference):
    found = paired(*lines, reference=reference, confirmed=["59"])
    assert not any("59" in one.modifiers for one in found.lines)
    assert "MD20 error" not in raised(found)


def test_the_emrs_own_word_on_either_column_settles_it():
    marked = (line("97140 @15", modifiers=("XS",), **clock(0, 15)), line("97530 @15", **clock(15, 30)))
    assert raised(paired(*marked)) == []


def group_pair():
    pair = PairEdit(
        column1="97530", column2="97150", indicator=1, effective=SINCE, deletion=None, period="2026Q4", source="made up"
    )
    return reference_of(quarter(2026, 4), pairs=[pair], name="pairs of a test")


@pytest.mark.parametrize(("total", "proposed"), [(45, ["MD20 error"]), (44, []), (None, [])])
def test_group_and_individual_minutes_are_separate_when_they_fit_the_total(total, proposed):
    found = paired("97530 @15", "97150 @30", reference=group_pair(), treatment_minutes_total=total)
    assert [one for one in raised(found) if one.startswith("MD20")] == proposed


OWN = {"counting_rule": "eight_minute_total", "discipline_modifier": "none", "pair_modifier": "auto"}


def test_a_payers_own_pair_goes_first_and_says_what_it_forbids():
    forbids = payer(**OWN, own_pairs="97140 97530 0")
    assert raised(judged(*apart(), policy=forbids)) == ["NC20 error"]
    marked = (line("97140 @15", modifiers=("59",)), "97530 @15")
    assert raised(judged(*marked, policy=forbids)) == ["NC20 error"]
    allows = payer(**OWN, own_pairs="97140 97530 1", pair_modifier_word="XU", pair_modifier_on="column_1")
    assert shown(judged(*apart(), policy=allows)) == ["97140-XU x1 @15", "97530 x1 @15"]
    assert raised(judged("97140 @15", "97530 @15", policy=allows)) == ["NC20 error"]
    assert raised(judged(*marked, policy=allows)) == []
    assert raised(judged(*apart(), policy=payer(**OWN, own_pairs="97140 97530 1"))) == ["MD12 error"]


def test_a_payers_own_pair_of_other_codes_says_nothing_about_this_day():
    elsewhere = payer(**OWN, own_pairs="97150 97124 0")
    assert raised(judged(*apart(), policy=elsewhere)) == raised(judged(*apart(), policy=payer(**OWN)))


# ---------------------------------------------------------------- ABN, telehealth

ABN = {"counting_rule": "eight_minute_total", "discipline_modifier": "none", "abn_modifiers": "auto"}


@pytest.mark.parametrize(
    ("signed", "listed", "line_shown", "codes"),
    [
        (ON, "denial_expected_codes", "97110-GA x1 @15", []),
        (date(2026, 11, 21), "denial_expected_codes", "97110 x1 @15", ["MD21 error"]),
        (None, "denial_expected_codes", "97110 x1 @15", ["MD21 error"]),
        (ON, "statutory_codes", "97110-GX-GY x1 @15", []),
        (None, "statutory_codes", "97110-GY x1 @15", []),
    ],
)
def test_what_an_abn_makes_of_a_listed_code(signed, listed, line_shown, codes):
    found = judged("97110 @15", policy=payer(**ABN, **{listed: "97110"}), abn_signed_on=signed)
    assert (shown(found), raised(found)) == ([line_shown], codes)


def test_gz_is_never_automatic_and_a_listed_code_with_kx_contradicts_itself():
    policy = payer(**ABN, denial_expected_codes="97110")
    (finding,) = judged("97110 @15", policy=policy).findings
    assert finding.where == "modifier GZ"
    assert shown(judged("97110 @15", policy=policy, known=Known(confirmed=frozenset({"GZ"})))) == ["97110-GZ x1 @15"]
    assert raised(judged(line("97110 @15", modifiers=("KX",)), policy=policy)) == ["MD23 error"]
    assert raised(judged(line("97110 @15", modifiers=("GA",)), policy=policy)) == []


def test_an_abn_that_nothing_uses_is_worth_a_word_where_the_payer_knows_abns():
    assert raised(judged("97110 @15", abn_signed_on=ON)) == ["MD24 information"]
    assert raised(judged("97110 @15", policy=payer(**ABN | {"abn_modifiers": "none"}), abn_signed_on=ON)) == []


def test_telehealth_by_video_and_audio_as_the_payer_says_and_a_payer_that_says_nothing_holds():
    assert shown(judged("97110 @15", telehealth="video")) == ["97110-95-GP x1 @15"]
    assert shown(judged("97110 @15", telehealth="audio")) == ["97110-93-GP x1 @15"]
    assert shown(judged(line("97110 @15", modifiers=("GT",)), telehealth="video")) == ["97110-GT-GP x1 @15"]
    assert raised(judged("97110 @15", telehealth="video", on=date(2028, 1, 3))) == ["MD12 error"]
    plain = payer(counting_rule="eight_minute_total", discipline_modifier="none")
    assert "telehealth_video" in judged("97110 @15", telehealth="video", policy=plain).findings[0].message
    none = payer(counting_rule="eight_minute_total", discipline_modifier="none", telehealth_video="none")
    assert shown(judged("97110 @15", telehealth="video", policy=none)) == ["97110 x1 @15"]


def test_a_code_partly_by_telehealth_is_for_a_person():
    away, here = visit("97110 @15", visit_id="v1", telehealth="video"), visit("97110 @15", "97140 @15", visit_id="v2")
    found = code(day(away, here), policy=MEDICARE, codes=CODES)
    assert raised(found) == ["MD22 error"]
    assert shown(found)[1] == "97140-GP x1 @15"


def test_every_proposal_can_be_confirmed_by_the_word_that_it_names():
    found = [
        *kx(250_000).findings,
        *paired(*apart()).findings,
        *judged("97110 @15", policy=payer(**ABN, denial_expected_codes="97110")).findings,
    ]
    for finding in found:
        assert finding.where.removeprefix("modifier ") in PROPOSALS[finding.code]


def test_a_document_without_line_keys_raises_nothing():
    found = kx(250_000, replace(line("97110 @15"), line_key=""))
    assert raised(found) == ["KX10 error"]
