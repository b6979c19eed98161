"""CQ/CO by unit: the published examples, both official 10 % computations, and the case that no rule covers."""

import pytest

from ptbridge.policy.assistants import Split, over_tenth_percentage, over_tenth_simple, timed_split, whole_split


@pytest.mark.parametrize(
    ("units", "therapist", "assistant", "expected", "why"),
    [
        (2, 13, 23, Split(1, 1), "CMS examples page"),
        (1, 5, 10, Split(1, 0), "CY2022 rule, example A: the therapist has fewer than 8"),
        (1, 10, 5, Split(0, 1), "the therapist alone carries the unit"),
        (2, 15, 13, Split(1, 1), "WebPT, scenario 1"),
        (2, 30, 0, Split(0, 2), "APTA C: joint minutes are the therapist's"),
        (2, 14, 12, Split(1, 1), "two units left, 9 to 14 minutes each"),
        (2, 10, 19, Split(1, 1), "one full 15 by the assistant, the therapist has 10 of the rest"),
        (3, 23, 22, Split(1, 2), "the therapist has 8 of the last unit"),
        (1, 6, 5, Split(1, 0), "nobody has 8, the assistant has over a tenth"),
        (1, 8, 7, Split(0, 1), "8 minutes are enough"),
        (1, 7, 8, Split(1, 0), "7 are not"),
        (1, 0, 15, Split(1, 0), "the assistant alone"),
        (0, 0, 7, Split(0, 0), "APTA D: not billed"),
        (2, 14, 4, Split(1, 1, gap=True), "two units on 18 left-over minutes: no published rule"),
        (2, 5, 12, Split(2, 0, gap=True), "no published rule and the therapist carries no unit"),
        (1, 15, 15, Split(1, 0), "fewer units billed than documented: none is overpaid"),
    ],
)
@pytest.mark.parametrize("method", ["percentage", "simple"])
def test_units_with_and_without(units, therapist, assistant, expected, why, method):
    assert timed_split(units, therapist, assistant, 15, method) == expected, why


def test_the_two_methods_disagree_on_small_totals():
    assert over_tenth_percentage(2, 15)  # 13 %
    assert not over_tenth_simple(2, 15)  # 15 / 10, rounded, + 1 = 3
    assert over_tenth_simple(3, 15)


@pytest.mark.parametrize(("assistant", "over"), [(6, False), (7, True)])
def test_of_sixty_minutes_seven_are_over_a_tenth(assistant, over):
    assert over_tenth_simple(assistant, 60) is over
    assert over_tenth_percentage(assistant, 60) is over  # 10 % and 12 %


def test_ten_and_a_half_per_cent_round_up():
    assert over_tenth_percentage(21, 200)
    assert not over_tenth_percentage(20, 200)
    assert not over_tenth_percentage(0, 0)


def test_an_untimed_service_is_with_or_without_as_a_whole():
    assert whole_split(1, 40, 5, "percentage") == Split(1, 0)
    assert whole_split(1, 45, 4, "percentage") == Split(0, 1)


def test_a_therapist_part_below_eight_keeps_the_unit_unless_the_assistant_has_a_tenth():
    assert timed_split(1, 7, 0, 15, "percentage") == Split(0, 1)


def test_hour_codes_use_more_than_half_an_hour():
    assert timed_split(1, 31, 20, 60, "percentage") == Split(0, 1)
    assert timed_split(1, 30, 20, 60, "percentage") == Split(1, 0)


@pytest.mark.parametrize(
    ("units", "therapist", "assistant", "expected"),
    [
        (3, 0, 30, Split(3, 0)),
        (3, 30, 0, Split(0, 3)),
        (2, 5, 0, Split(0, 2)),
        (1, 0, 0, Split(0, 1)),
        (3, 15, 15, Split(2, 1, gap=True)),
    ],
)
def test_units_beyond_the_minutes_follow_who_furnished_them(units, therapist, assistant, expected):
    assert timed_split(units, therapist, assistant, 15, "percentage") == expected
