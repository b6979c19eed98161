"""The shipped code table: dates, chains, and what a broken row says."""

from datetime import date

import pytest

from ptbridge.errors import ConfigError
from ptbridge.model import Discipline
from ptbridge.policy import load_codes
from ptbridge.policy.codes import COLUMNS

CODES = load_codes()
HEADER = ",".join(COLUMNS)
ROW = "97110,exercise,minutes,15,yes,PT OT,always,no,,yes,6,3,,,a source"


def test_what_the_table_says_of_an_everyday_code():
    row = CODES.get("97110")
    assert row is not None
    assert (row.timed, row.minutes_per_unit, row.pooled, row.therapy, row.daily_max, row.mai) == (
        True,
        15,
        True,
        "always",
        6,
        3,
    )
    assert row.disciplines == {Discipline.PT, Discipline.OT}


@pytest.mark.parametrize(
    ("code", "on", "valid"),
    [
        ("97001", date(2016, 12, 31), True),
        ("97001", date(2017, 1, 1), False),
        ("97161", date(2016, 12, 31), False),
        ("97161", date(2017, 1, 1), True),
        ("97127", date(2020, 1, 1), False),
        ("97129", date(2020, 1, 1), True),
        ("98979", date(2025, 12, 31), False),
        ("98979", date(2026, 1, 1), True),
        ("97710", date(2026, 1, 1), False),
    ],
)
def test_validity_by_service_date(code, on, valid):
    assert CODES.valid_on(code, on) is valid


def test_97710_is_no_code():
    assert CODES.get("97710") is None
    assert "97710" not in CODES


@pytest.mark.parametrize(
    ("first", "add_on", "minutes"),
    [("97129", "97130", 15), ("97550", "97551", 15), ("97545", "97546", 60), ("92607", "92608", 30), ("90912", "90913", 15)],
)
def test_chains_point_both_ways(first, add_on, minutes):
    one, other = CODES.get(first), CODES.get(add_on)
    assert one is not None
    assert other is not None
    assert (one.add_on, one.add_on_minutes, other.add_on_of) == (add_on, minutes, first)
    assert one.pooled == other.pooled


def test_only_fifteen_minute_codes_are_pooled_and_evaluations_take_no_assistant():
    for row in CODES:
        assert not row.pooled or row.minutes_per_unit == 15, row.code
        assert not (row.evaluation and row.assistant), row.code
        assert row.source, row.code
        assert len(row.label) < 60, row.code  # our own plain labels, no descriptors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("code,label\n", "the first line must be"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", "97110 stands twice, first on line 2"),
        (f"{HEADER}\n{ROW.replace('minutes,15', 'hours,15')}\n", "'hours' is not one of session, minutes, quantity"),
        (f"{HEADER}\n{ROW.replace('always', 'maybe')}\n", "'maybe' is not one of always, sometimes, no"),
        (f"{HEADER}\n{ROW.replace('minutes,15', 'session,15')}\n", "minutes_per_unit goes with counts=minutes"),
        (f"{HEADER}\n{ROW.replace(',no,,yes', ',no,97111,yes')}\n", "its add_on 97111 is not in the table"),
        (f"{HEADER}\n{ROW.replace(',6,3', ',six,3')}\n", "97110: invalid literal"),
        (f"{HEADER}\n{ROW.replace('15,yes', '15,true')}\n", "'true' is not yes or no"),
        (f"{HEADER}\n97110,exercise\n", "97110: not 15 columns"),
    ],
)
def test_a_broken_table_names_file_line_and_what_to_do(tmp_path, text, words):
    file = tmp_path / "codes.csv"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_codes(file)
    assert words in str(caught.value)
    assert f"{file}:" in str(caught.value)
