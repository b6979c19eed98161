"""More edges of the payers' numbers, found by putting every small wrong change to the tests."""

from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy import load_codes, load_fees, load_payers, shipped_payers
from ptbridge.policy.assistants import Split, over_tenth_percentage, timed_split
from ptbridge.policy.counting import allocate
from ptbridge.policy.pairs import PAIR_MODIFIERS, read_pair

CODES = load_codes()


def allocated(rule, *lines):
    return allocate(rule, [(CODES.get(code), minutes) for code, minutes in lines])


def test_eleven_of_a_hundred_and_five_minutes_round_to_ten_per_cent():
    assert not over_tenth_percentage(11, 105)


@pytest.mark.parametrize(("therapist", "assistant"), [(8, 14), (14, 8), (8, 8)])
def test_eight_minutes_of_each_carry_one_unit_each_and_the_rule_is_published(therapist, assistant):
    assert timed_split(2, therapist, assistant, 15, "percentage") == Split(1, 1, gap=False)


def test_seven_minutes_of_each_are_one_unit_with_the_modifier():
    assert timed_split(1, 7, 7, 15, "percentage") == Split(1, 0, gap=False)


def test_a_code_is_in_the_table_or_not():
    assert "97110" in CODES and "97710" not in CODES


def test_a_chain_without_its_first_code_is_no_answer():
    chain = allocated("eight_minute_total", ("97129", 45))
    assert not chain.accepts({"97130": 3}) and not chain.covers({"97130": 2})
    assert chain.accepts({"97129": 1, "97130": 2})


def test_a_chain_that_earns_nothing_may_be_left_out():
    found = allocated("eight_minute_total", ("97129", 5), ("97110", 30))
    assert found.accepts({"97110": 2}) and found.covers({})


def test_no_minutes_are_no_minutes():
    assert allocated("midpoint_each_code", ("97110", 0), ("97140", 15)).pool_minutes == 15
    assert allocated("eight_minute_total", ("97110", 0), ("97110", 7)).units == (("97110", 0),)
    assert allocated("eight_minute_total", ("97110", 0), ("97110", 8)).units == (("97110", 1),)


# ---------------------------------------------------------------- files

HEAD = "procedure,modifiers,amount,from,to,source\n"


def fees(tmp_path: Path, *rows: str):
    file = tmp_path / "fees.csv"
    file.write_text(HEAD + "\n".join(rows) + "\n")
    return load_fees(file)


def test_modifiers_of_a_fee_may_be_joined_and_one_day_is_a_time(tmp_path):
    schedule = fees(tmp_path, "97110,gp-cq,10.00,2026-01-01,2026-01-01,a contract")
    day = date(2026, 1, 1)
    assert schedule.price("97110", ("CQ", "GP"), day) == 1000
    assert schedule.price("97110", ("GP",), day) is None
    (rows,) = schedule._fees.values()
    assert rows[0].source == "a contract"


def test_a_cent_below_zero_is_no_price(tmp_path):
    with pytest.raises(ConfigError, match="an amount of zero or more"):
        fees(tmp_path, "97110,,-0.01,2026-01-01,,")


@pytest.mark.parametrize("rows", [(0, 1), (1, 0)])
def test_two_prices_that_share_one_day_are_refused(tmp_path, rows):
    both = ["97110,,1.00,2026-01-01,2026-06-30,", "97110,,2.00,2026-06-30,,"]
    with pytest.raises(ConfigError, match="two prices on the same day"):
        fees(tmp_path, *(both[row] for row in rows))


@pytest.mark.parametrize("written", ["9714 97530 1", "97140 9753 1", "97140 97530 9", "97140 97530"])
def test_a_pair_needs_two_codes_and_an_indicator(written):
    with pytest.raises(ValueError, match="needs column 1, column 2 and indicator"):
        read_pair(written, "")


def test_the_five_words_that_lift_a_pair():
    assert set(PAIR_MODIFIERS) == {"59", "XE", "XP", "XS", "XU"}


def test_an_extends_that_leads_nowhere_names_its_line(tmp_path):
    (tmp_path / "a.yaml").write_text("payer: a\ntitle: A\nstanding: complete\nextends: nobody\nsettings: {}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:4: extends: no payer 'nobody'"):
        load_payers([tmp_path])


def test_every_item_of_the_codes_that_are_not_taken_says_what_to_do(tmp_path):
    entry = '{use: "97014 report G0283, 97169", from: 2026-01-01, source: s}'
    text = f"payer: a\ntitle: A\nstanding: complete\nsettings:\n  invalid_codes:\n    - {entry}\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match="needs what to do after each code"):
        load_payers([tmp_path])


def test_what_a_policy_remembers_does_not_make_it_another():
    one, other = shipped_payers()["tricare"], shipped_payers()["tricare"]
    one.terms(date(2026, 1, 1))
    assert one == other


def test_every_code_of_a_coverage_list_names_a_diagnosis(tmp_path):
    entry = '{use: "G0283 M17, 97110", from: 2026-01-01, source: s}'
    text = f"payer: a\ntitle: A\nstanding: complete\nsettings:\n  covered_diagnoses:\n    - {entry}\n"
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match="needs the beginnings of diagnoses after each code"):
        load_payers([tmp_path])
