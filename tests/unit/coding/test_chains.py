"""Chains (97129, then 97130) with an assistant: who furnished which unit, and days that are held with units as documented."""

import pytest
from coding_days import coded, line, payer, raised, shown

from ptbridge.model import Discipline

UNSET = payer(discipline_modifier="required", assistant_modifier="cq_co", assistant_method="percentage")


def split(code, therapist, assistant, units=None):
    minutes = therapist + assistant
    return line(code, minutes=minutes, therapist_minutes=therapist, assistant_minutes=assistant, units_documented=units)


def chain(*lines, **fields):
    return coded(*lines, discipline=Discipline.OT, **fields)


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ((3, 2), ["97129-GO-CO x3 @15", "97130-GO-CO x1 @10", "97130-GO x1 @20"]),
        ((2, 1), ["97129-GO-CO x2 @15", "97130-GO x1 @30"]),
        ((2, 0), ["97129-GO-CO x2 @15"]),
        ((2, None), ["97129-GO-CO x2 @15"]),
    ],
)
def test_a_first_code_with_several_units_is_held_and_each_code_stands_as_documented(units, expected):
    found = chain(split("97129", 5, 10, units[0]), split("97130", 20, 10, units[1]), policy=UNSET)
    assert shown(found) == expected
    assert "UN10 error" in raised(found)


def test_units_beyond_the_minutes_are_the_assistants_who_furnished_all():
    found = chain(split("97129", 0, 45, 4), policy=UNSET)
    assert shown(found) == ["97129-GO-CO x4 @45"]


def test_a_unit_beyond_the_minutes_that_the_days_total_bears_carries_the_modifier_of_who_furnished_all():
    lines = (split("97110", 0, 30, 3), line("97140", units_documented=0))
    found = coded(*lines, timed_minutes_total=45)
    assert shown(found) == ["97110-CQ-GP x3 @30"]
    lines = (split("97110", 30, 0, 3), line("97140", units_documented=0))
    assert shown(coded(*lines, timed_minutes_total=45)) == ["97110-GP x3 @30"]
