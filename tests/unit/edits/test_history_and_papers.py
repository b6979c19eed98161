"""What the edits on plans, authorizations, limits and filing rest on: dates, counts, and the notation of their cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptbridge import plugins
from ptbridge.edits import STOPPED, run
from ptbridge.edits.cases import Case, build_day, build_facts, read_cases
from ptbridge.edits.dx06_laterality import stem_and_side
from ptbridge.edits.filing import last_day_to_file, months_later
from ptbridge.edits.icd10 import load_icd10
from ptbridge.model import Finding
from ptbridge.policy.codes import load_codes
from ptbridge.policy.payers import Terms, shipped_payers
from ptbridge.policy.visit_pools import VisitPool, pool_problem, read_pool

CODES = load_codes()
PAYERS = shipped_payers()
EDITS = plugins.edits()


def case_of(row: str, payer: str = "medicare_part_b") -> Case:
    (case,) = read_cases(f"Cases ({payer})\n    {row} -> ok")
    return case


def findings(row: str, payer: str = "medicare_part_b") -> list[Finding]:
    case = case_of(row, payer)
    return run(build_day(case, CODES), build_facts(case, codes=CODES, policies=PAYERS, icd10=load_icd10()), EDITS)


# ---------------------------------------------------------------- filing


@pytest.mark.parametrize(
    ("on", "months", "last"),
    [
        ("2024-02-29", 12, "2025-02-28"),
        ("2023-02-28", 12, "2024-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2026-03-02", 12, "2027-03-02"),
        ("2026-10-31", 6, "2027-04-30"),
        ("2026-12-15", 1, "2027-01-15"),
    ],
)
def test_months_end_on_the_same_day_or_on_the_last_of_a_shorter_month(on: str, months: int, last: str) -> None:
    assert months_later(date.fromisoformat(on), months) == date.fromisoformat(last)


@given(st.dates(date(2000, 1, 1), date(2090, 12, 31)))
def test_a_year_to_file_is_365_days_and_366_only_over_a_leap_day(on: date) -> None:
    last = last_day_to_file(Terms(payer="x", timely_filing_months=12), on)
    assert last is not None
    assert (last - on).days in (365, 366)
    leap_day_between = any((on + timedelta(days=day)).strftime("%m-%d") == "02-29" for day in range(1, 366))
    assert ((last - on).days == 366) is (leap_day_between and on.strftime("%m-%d") != "02-29")


def test_the_earlier_limit_counts_and_an_unset_one_is_none() -> None:
    on = date(2026, 3, 2)
    assert last_day_to_file(Terms(payer="x", timely_filing_months=12, timely_filing_days=90), on) == date(2026, 5, 31)
    assert last_day_to_file(Terms(payer="x"), on) is None


# ---------------------------------------------------------------- pools of visits


def test_a_pool_is_read_as_written() -> None:
    assert read_pool("therapy PT OT 60") == VisitPool("therapy", frozenset({"PT", "OT"}), 60)
    assert read_pool("speech SLP 30 soft").soft


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("therapy 60", "needs a name"),
        ("therapy PT many", "needs a name"),
        ("60", "needs a name"),
        ("therapy PT ST 60", "names 'ST'"),
    ],
)
def test_a_pool_that_cannot_be_read_says_why(written: str, says: str) -> None:
    assert says in (pool_problem(written) or "")
    with pytest.raises(ValueError, match=says):
        read_pool(written)


# ---------------------------------------------------------------- sides


@pytest.mark.parametrize(
    ("code", "side"),
    [
        ("M25.561", ("M2556", "right")),
        ("M25562", ("M2556", "left")),
        ("M25.569", ("M2556", "unspecified")),
        ("S83.512A", ("S8351", "left")),
        ("M17.10", ("M171", "unspecified")),
        ("M17.0", ("", "")),
        ("M54.50", ("", "")),
        ("S06.0X1A", ("", "")),
        ("S0", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_side_is_read_only_where_the_characters_show_it(code: str, side: tuple[str, str]) -> None:
    assert stem_and_side(code) == side


# ---------------------------------------------------------------- what a finding says and does not say


def test_an_unknown_setting_in_a_case_is_refused() -> None:
    case = case_of("97110-GP x1 @15 | terms=mood=good")
    with pytest.raises(ValueError, match="'mood' is not a setting"):
        build_facts(case, codes=CODES, policies=PAYERS, icd10=None)


def test_a_row_may_go_on_below_where_it_is_indented_further() -> None:
    one, two = read_cases("Cases (none)\n    97110-GP x1\n        | note_signed=no\n        -> ok\n    97140-GP x1 -> ok")
    assert one.text == "97110-GP x1 | note_signed=no -> ok"
    assert two.text == "97140-GP x1 -> ok"


def test_numbers_of_authorizations_and_claims_stay_out_of_findings() -> None:
    said = findings(
        "97110-GP x1 @15 | authorization=SECRET1 | authorizations=SECRET1 visits=1 used=1 codes=97140 to=2026-01-01;"
        " SECRET2 visits=3 | accident=auto number=SECRET3"
    )
    assert {"AU03", "AU06", "WC02", "WC04"} <= {finding.code for finding in said}
    assert "SECRET" not in " ".join(map(str, said))


def test_a_truncated_diagnosis_is_answered_with_the_codes_that_go_on() -> None:
    (finding,) = findings("97110-GP x1 @15 | diagnoses=M54.5")
    assert finding.fix == "Code the diagnosis to its last character for that date: M54.50, M54.51, M54.59."


def test_a_diagnosis_with_too_many_ways_to_go_on_gets_no_list() -> None:
    (finding,) = findings("97110-GP x1 @15 | diagnoses=S52.501")
    assert (finding.code, finding.fix) == ("DX03", "Code the diagnosis to its last character for that date.")


def test_a_day_that_has_everything_against_it_still_gets_every_answer() -> None:
    row = (
        "97110-GP-KX-GA-59 x2 @30, 97140-GP x1 @15 | plan=2025-01-02..2025-02-01 | certified=none | treatment_days=30"
        " | reports=none | evaluations=2026-02-25 97161 | authorization=A1 | authorizations=A1 visits=3 used=3"
        " | pools=therapy 99 | other_lines=PT 97140-GP x1 | accrued_cents=1 | opening_cents=1 | accident=employment"
        " | times=09:00-09:30 09:10-09:25 | telehealth=video | signed_at=2026-04-02T10:00 | today=2027-06-01 | billing=cash"
        " | terms=visit_limits=therapy PT 20; referral=required; authorization=required; accident_kind=auto"
    )
    codes = {finding.code for finding in findings(row)}
    assert STOPPED not in codes
    assert codes >= {
        *("PL02", "PL03", "DC06", "DC11", "AU04", "VL01", "DU02", "MD08", "MD09", "MD17", "NC08", "NB01"),
        *("KX01", "PR06", "TF01", "WC02", "WC04"),
    }


def test_edits_know_no_order_of_lines() -> None:
    row = "97110-GP-GA x1 @15, 97140-GP-XU x1 @15, 97530-GP x1 @15 | place=02 | diagnoses=M25.561, M25.569"
    case = case_of(row)
    facts = build_facts(case, codes=CODES, policies=PAYERS, icd10=load_icd10())
    day = build_day(case, CODES)
    turned = replace(day, charges=day.charges[::-1])
    assert sorted(map(str, run(day, facts, EDITS))) == sorted(map(str, run(turned, facts, EDITS)))


@pytest.mark.parametrize(("payer", "hint"), [("commercial_midpoint", "; one on file covers 2026-03-02"), ("medicaid", "")])
def test_a_missing_authorization_names_one_on_file_only_if_it_is_of_this_payer(payer: str, hint: str) -> None:
    row = f"97110-GP x1 @15 | terms=authorization=required | authorizations=A1 visits=12 payer={payer}"
    (finding,) = findings(row, "commercial_midpoint")
    assert finding.message == f"the authorization number is missing{hint}"
