"""What edits look up: check digits, diagnosis codes, minutes, and the notation of their cases."""

from __future__ import annotations

import zlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptbridge.edits.cases import build_facts, read_cases
from ptbridge.edits.diagnosis_code import well_formed
from ptbridge.edits.icd10 import load_icd10, read_release, shipped_release
from ptbridge.edits.md05_malformed_modifier import well_formed as well_formed_modifier
from ptbridge.edits.minutes import eight_minute_units
from ptbridge.edits.npi import is_npi
from ptbridge.edits.visits import line_minutes
from ptbridge.model import Intervention
from ptbridge.policy.codes import load_codes


def luhn(number: str) -> bool:
    """The textbook sum, right to left, to check ours against."""
    doubled = [int(digit) * (2 if index % 2 else 1) for index, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@given(st.text("0123456789", min_size=10, max_size=10))
def test_npi_agrees_with_the_textbook_luhn_sum(number: str) -> None:
    assert is_npi(number) == (number[0] in "12" and luhn("80840" + number))


@pytest.mark.parametrize("text", ["", "123456789", "12345678930", "123456789३", "1234567893 ", "abcdefghij"])
def test_what_is_no_npi(text: str) -> None:
    assert not is_npi(text)


def test_the_example_of_cms_is_an_npi() -> None:
    assert is_npi("1234567893")


@pytest.mark.parametrize("code", ["M54.50", "M5450", "S83.511A", "W18.39XA", "R42", "C7A.00", "QA0.0142", "U07.1"])
def test_well_formed_diagnoses(code: str) -> None:
    assert well_formed(code)


@pytest.mark.parametrize("code", ["", "M5", "724.2", "m54.50", "M54.", "M54.50000", "M.5450", "M54-50", " M54.50", "M54.50\n"])
def test_diagnoses_that_are_not(code: str) -> None:
    assert not well_formed(code)


def test_every_shipped_diagnosis_is_well_formed() -> None:
    codes = shipped_release().codes
    assert len(codes) > 70_000
    assert all(map(well_formed, codes))


@pytest.mark.parametrize(
    ("code", "on", "billable"),
    [
        ("M54.50", date(2025, 10, 1), True),
        ("M5450", date(2026, 9, 30), True),
        ("M54.5", date(2026, 3, 2), False),
        ("M54.5", date(2025, 10, 1), False),
        ("M54.5", date(2026, 9, 30), False),
        ("M54.5", date(2026, 10, 1), None),
        ("M54.50", date(2026, 10, 1), True),
        ("M54.50", date(2027, 10, 1), True),
        ("M54.50", date(2027, 10, 2), None),
        ("M54.50", date(2025, 9, 30), True),
        ("M54.50", date(2024, 9, 29), None),
    ],
)
def test_icd10_look_up_says_unknown_rather_than_guess(code: str, on: date, billable: bool | None) -> None:
    assert load_icd10()(code, on) is billable


def test_a_damaged_list_is_refused() -> None:
    with pytest.raises(ValueError, match="says 3 codes and holds 1"):
        read_release(zlib.compress(b'{"codes": 3, "release": "x", "valid_from": "2025-10-01", "valid_to": "2026-09-30"}\nA000'))


@pytest.mark.parametrize(
    ("minutes", "units"), [(0, 0), (7, 0), (8, 1), (22, 1), (23, 2), (37, 2), (38, 3), (52, 3), (53, 4), (127, 8), (128, 9)]
)
def test_the_interval_table_of_the_manual(minutes: int, units: int) -> None:
    assert eight_minute_units(minutes) == units


@pytest.mark.parametrize(
    ("whole", "therapist", "assistant", "minutes"), [(30, 13, 17, 30), (None, 13, 17, 30), (None, 13, None, None), (0, 9, 9, 0)]
)
def test_minutes_of_a_line_are_its_own_or_both_parts_together(
    whole: int | None, therapist: int | None, assistant: int | None, minutes: int | None
) -> None:
    done = Intervention(line_key="1", documented="x", minutes=whole, therapist_minutes=therapist, assistant_minutes=assistant)
    assert line_minutes(done) == minutes


@pytest.mark.parametrize(
    ("modifier", "good"), [("GP", True), ("59", True), ("gp", False), ("G", False), ("GPX", False), ("G-", False)]
)
def test_form_of_a_modifier(modifier: str, good: bool) -> None:
    assert well_formed_modifier(modifier) is good


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("97110-GP x1", "has no ' -> '"),
        ("97110-GP x1 | mood=good -> ok", "is not a fact of a case"),
        ("9711-GP x1 -> ok", "is not a service line"),
    ],
)
def test_a_case_that_cannot_be_read_says_how_to_write_it(row: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_cases(f"Cases (none)\n    {row}")


def test_a_case_of_an_unknown_payer_is_refused() -> None:
    (case,) = read_cases("Cases (no_such_payer)\n    97110-GP x1 -> ok")
    with pytest.raises(ValueError, match="no payer policy 'no_such_payer'"):
        build_facts(case, codes=load_codes(), policies={}, icd10=None)
