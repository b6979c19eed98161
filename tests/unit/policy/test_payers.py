"""Payer policies: settings by date, extends, refusals with file and line, and the shipped files with their examples."""

from datetime import date, timedelta

import pytest

from ptbridge.coding import parse_units_argument, units_answer
from ptbridge.errors import ConfigError
from ptbridge.model import ServiceLine
from ptbridge.policy import Facts, load_codes, load_payers, shipped_payers

SHIPPED = shipped_payers()
ON = date(2026, 11, 20)
BASE = """
payer: base
title: A payer
standing: starting_point
settings:
  counting_rule:
    - {use: midpoint_each_code, from: 2020-01-01, to: 2025-12-31, source: contract A}
    - {use: eight_minute_total, from: 2026-01-01, source: contract B}
"""
CHILD = """
payer: child
title: Another payer
standing: starting_point
extends: base
settings:
  timely_filing_days:
    - {use: "90", from: 2020-01-01, source: contract C}
"""


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def test_dates_are_inclusive_at_both_ends(tmp_path):
    policy = load_payers([write(tmp_path / "a", base=BASE)])["base"]
    assert policy.setting("counting_rule", date(2019, 12, 31)) is None
    assert policy.setting("counting_rule", date(2025, 12, 31)).use == "midpoint_each_code"
    found = policy.setting("counting_rule", date(2026, 1, 1))
    assert (found.use, found.source) == ("eight_minute_total", "contract B")
    assert policy.terms(date(2025, 12, 31)).counting_rule == "midpoint_each_code"
    assert policy.terms(date(2026, 1, 1)).counting_rule == "eight_minute_total"
    assert policy.terms(date(2026, 1, 1)).discipline_modifier is None


def test_extends_takes_over_what_a_file_does_not_write(tmp_path):
    terms = load_payers([write(tmp_path / "a", base=BASE, child=CHILD)])["child"].terms(ON)
    assert (terms.counting_rule, terms.timely_filing_days) == ("eight_minute_total", 90)


def test_a_later_folder_replaces_and_may_extend_the_same_name(tmp_path):
    own = CHILD.replace("payer: child", "payer: base")
    policies = load_payers([write(tmp_path / "a", base=BASE), write(tmp_path / "b", base=own)])
    terms = policies["base"].terms(ON)
    assert (policies["base"].title, terms.counting_rule, terms.timely_filing_days) == (
        "Another payer",
        "eight_minute_total",
        90,
    )


def test_overlapping_entries_are_refused_with_both_lines(tmp_path):
    folder = write(tmp_path / "a", base=BASE.replace("to: 2025-12-31", "to: 2026-01-01"))
    with pytest.raises(ConfigError) as caught:
        load_payers([folder])
    assert "base.yaml:8: settings.counting_rule: 'eight_minute_total' from 2026-01-01 overlaps" in str(caught.value)
    assert "on line 7; end the older one the day before" in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "counting_rule: [{use: eight, from: 2020-01-01, source: x}]",
            "'eight' is not one of eight_minute_total, midpoint_each_code",
        ),
        ("assistant_method: [{use: round, from: 2020-01-01, source: x}]", "'round' is not one of percentage, simple"),
        ("modifier_order: [{use: 'payment, information', from: 2020-01-01, source: x}]", "each once"),
        ("timely_filing_days: [{use: a year, from: 2020-01-01, source: x}]", "is not a number of days"),
        ("invalid_codes: [{use: '97014', from: 2020-01-01, source: x}]", "needs what to do after each code"),
    ],
)
def test_an_unknown_choice_is_refused_with_its_line(tmp_path, setting, words):
    text = f"payer: p\ntitle: P\nstanding: complete\nsettings:\n  {setting}\n"
    with pytest.raises(ConfigError) as caught:
        load_payers([write(tmp_path / "a", p=text)])
    assert "p.yaml:5: settings." in str(caught.value)
    assert words in str(caught.value)


def test_extends_that_lead_nowhere_or_round_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no payer 'base'"):
        load_payers([write(tmp_path / "a", child=CHILD)])
    circle = BASE.replace("settings:", "extends: child\nsettings:")
    with pytest.raises(ConfigError, match="is a circle"):
        load_payers([write(tmp_path / "b", base=circle, child=CHILD)])


def test_two_files_of_one_name_in_a_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="rename one"):
        load_payers([write(tmp_path / "a", base=BASE, second=BASE)])


def test_facts_give_the_terms_of_the_service_date():
    facts = Facts(codes=load_codes(), policies=SHIPPED, policy=SHIPPED["medicare_part_b"], today=ON)
    assert facts.terms(ON).counting_rule == "eight_minute_total"
    assert facts.terms(None) is None
    assert Facts(codes=load_codes(), today=ON).terms(ON) is None


def test_medicare_is_complete_and_the_others_say_that_they_are_not():
    standing = {name: policy.standing for name, policy in SHIPPED.items()}
    assert standing.pop("medicare_part_b") == "complete"
    assert set(standing) >= {"commercial_midpoint", "commercial_eight_minute", "self_pay"}
    assert set(standing.values()) == {"starting_point"}


def test_cq_exists_since_2020():
    policy = SHIPPED["medicare_part_b"]
    assert policy.terms(date(2019, 12, 31)).assistant_modifier == "none"
    assert policy.terms(date(2020, 1, 1)).assistant_modifier == "cq_co"
    assert policy.terms(ON).place_of_service >= {"11", "12"}
    assert set(policy.terms(ON).invalid_codes) >= {"97014"}


EXAMPLES = [(name, example) for name, policy in SHIPPED.items() for example in policy.examples]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}: {example.given}" for name, example in EXAMPLES])
def test_every_example_of_a_shipped_policy_holds(name, example):
    lines = [parse_units_argument(word) for word in example.given.split()]
    answer = units_answer(SHIPPED[name], lines, "PT", example.on or ON)
    expected = [ServiceLine.parse(text) for text in example.gives.split(",")]
    assert "error" not in answer, answer
    found = [(line["code"], tuple(line["modifiers"]), line["units"]) for line in answer["lines"]]
    with_modifiers = any(line.modifiers for line in expected)
    if not with_modifiers:
        found = [(code, (), units) for code, _, units in found]
    assert found == [(line.procedure, line.modifiers, line.units) for line in expected], example.why


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_policy_has_examples_and_sources(name):
    assert SHIPPED[name].examples
    for entries in SHIPPED[name].settings.values():
        for entry in entries:
            assert entry.source
            assert entry.to is None or entry.to - entry.from_ >= timedelta(0)
