"""The counting rules against the intervals and examples of the manual, and the corners that the manual leaves open."""

import pytest

from ptbridge.policy import load_codes
from ptbridge.policy.counting import MAX_ANSWERS, allocate, allowed_units, midpoint_units

CODES = load_codes()
EIGHT, MIDPOINT = "eight_minute_total", "midpoint_each_code"


def lines(text):
    found = []
    for word in text.split():
        code, _, minutes = word.partition("=")
        row = CODES.get(code)
        assert row is not None, code
        found.append((row, int(minutes) if minutes else None))
    return found


def answers(rule, text):
    return [dict(answer) for answer in allocate(rule, lines(text)).acceptable]


@pytest.mark.parametrize(
    ("minutes", "units"),
    [(0, 0), (7, 0), (8, 1), (22, 1), (23, 2), (37, 2), (38, 3), (52, 3), (53, 4), (67, 4), (68, 5), (82, 5)],
)
def test_the_table_of_the_manual(minutes, units):
    assert allowed_units(minutes) == units


@pytest.mark.parametrize(
    ("minutes", "length", "units"),
    [
        (7, 15, 0),
        (8, 15, 1),
        (22, 15, 1),
        (23, 15, 2),
        (15, 30, 0),
        (16, 30, 1),
        (45, 30, 1),
        (46, 30, 2),
        (30, 60, 0),
        (31, 60, 1),
        (61, 120, 1),
    ],
)
def test_a_unit_counts_after_more_than_half_of_its_time(minutes, length, units):
    assert midpoint_units(minutes, length) == units


def test_one_minute_of_another_code_can_lift_the_first():
    assert answers(EIGHT, "97110=37 97140=1") == [{"97110": 3, "97140": 0}]


def test_eight_minutes_of_a_code_do_not_assure_a_unit():
    assert answers(EIGHT, "97110=14 97140=8") == [{"97110": 1, "97140": 0}]
    assert answers(MIDPOINT, "97110=14 97140=8") == [{"97110": 1, "97140": 1}]


def test_equal_remainders_with_unequal_totals_are_both_accepted():
    assert answers(EIGHT, "97110=25 97140=10") == [{"97110": 2, "97140": 0}, {"97110": 1, "97140": 1}]


def test_short_services_make_one_unit_under_the_longest():
    assert answers(EIGHT, "97110=3 97140=6 97112=2") == [{"97110": 0, "97140": 1, "97112": 0}]


def test_a_code_written_twice_is_one_service_in_the_place_of_its_first_mention():
    assert answers(EIGHT, "97110=7 97140=8 97110=8") == [{"97110": 1, "97140": 1}]
    assert answers(MIDPOINT, "97110=4 97140=8 97110=4") == [{"97110": 1, "97140": 1}]


def test_an_untimed_code_counts_once_and_its_minutes_stay_out_of_the_total():
    assert answers(EIGHT, "97161=45 97110=8 97161=10") == [{"97161": 1, "97110": 1}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("97129=7", {"97129": 0}),
        ("97129=22", {"97129": 1}),
        ("97129=38", {"97129": 1, "97130": 2}),
        ("97129=15 97130=15", {"97129": 1, "97130": 1}),
        ("97130=15 97129=5", {"97129": 1, "97130": 0}),
        ("97130=30", {"97130": 2}),
        ("97550=15", {"97550": 0}),
        ("97550=16", {"97550": 1}),
        ("97550=37", {"97550": 1}),
        ("97550=38", {"97550": 1, "97551": 1}),
        ("92607=60 92608=16", {"92607": 1, "92608": 1}),
        ("92607=75", {"92607": 1}),
        ("97545=61", {"97545": 1}),
        ("97545=151", {"97545": 1, "97546": 1}),
        ("90912=30", {"90912": 1, "90913": 1}),
    ],
)
@pytest.mark.parametrize("rule", [EIGHT, MIDPOINT])
def test_a_chain_has_one_count_of_minutes_and_one_unit_of_its_first_code(rule, given, expected):
    assert answers(rule, given) == [expected]


def test_codes_of_another_unit_length_stay_out_of_the_fifteen_minute_total():
    assert answers(EIGHT, "97550=38 97110=7") == [{"97550": 1, "97551": 1, "97110": 0}]


def test_a_chain_in_the_pool_shares_the_left_over_minutes():
    assert answers(EIGHT, "97129=20 97535=18") == [{"97129": 1, "97130": 1, "97535": 1}]


def test_a_tie_between_chain_and_code_spells_out_the_add_on_only_where_it_has_units():
    assert answers(EIGHT, "97129=20 97535=20") == [{"97129": 1, "97130": 1, "97535": 1}, {"97129": 1, "97535": 2}]


def test_accepts_exactly_the_acceptable_answers():
    allocation = allocate(EIGHT, lines("97112=20 97110=20"))
    assert allocation.accepts({"97112": 2, "97110": 1})
    assert allocation.accepts({"97112": 1, "97110": 2})
    for wrong in (
        {"97112": 3, "97110": 0},
        {"97112": 2, "97110": 2},
        {"97112": 1, "97110": 1},
        {"97112": 2},
        {"97112": 2, "97110": 1, "97140": 1},
    ):
        assert not allocation.accepts(wrong), wrong


def test_covers_means_fewer_of_some_and_more_of_none():
    allocation = allocate(EIGHT, lines("97112=20 97110=20"))
    assert allocation.covers({"97112": 1, "97110": 1})
    assert not allocation.covers({"97112": 2, "97110": 2})
    assert not allocation.covers({"97112": 3, "97110": 0})


def test_a_chain_is_accepted_only_with_one_unit_of_its_first_code():
    allocation = allocate(EIGHT, lines("97129=30"))
    assert allocation.accepts({"97129": 1, "97130": 1})
    assert not allocation.accepts({"97129": 2})
    assert not allocation.covers({"97129": 2})


def test_a_long_list_of_ties_is_cut_and_says_so_while_accepts_knows_all():
    names = ["97110", "97112", "97113", "97116", "97124", "97140", "97530", "97533", "97535", "97537", "97542", "97750"]
    allocation = allocate(EIGHT, lines(" ".join(f"{name}=8" for name in names)))
    assert allocation.choose == 6  # 96 minutes, 6 units, 12 codes alike
    assert len(allocation.acceptable) == MAX_ANSWERS
    assert not allocation.complete
    assert allocation.accepts(dict.fromkeys(names[:6], 0) | dict.fromkeys(names[6:], 1))


@pytest.mark.parametrize("given", ["97110", "97598=20"])
def test_what_cannot_be_counted_is_refused(given):
    with pytest.raises(ValueError, match=given[:5]):
        allocate(EIGHT, lines(given))


def test_negative_minutes_and_unknown_rules_are_refused():
    row = CODES.get("97110")
    with pytest.raises(ValueError, match="not -1"):
        allocate(EIGHT, [(row, -1)])
    with pytest.raises(ValueError, match="known: eight_minute_total, midpoint_each_code"):
        allocate("eight", [(row, 15)])


def test_nothing_documented_is_nothing_billed():
    assert answers(EIGHT, "") == [{}]
    assert answers(EIGHT, "97110=0") == [{"97110": 0}]
