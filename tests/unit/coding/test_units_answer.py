"""The answer behind `ptbridge units`: its exact shape and what it says to wrong input."""

import pytest
from coding_days import MEDICARE, ON, SHIPPED

from ptbridge.coding import parse_units_argument, units_answer
from ptbridge.coding.units_answer import answer_json_line


def ask(*lines, discipline="PT", policy=MEDICARE, **more):
    return units_answer(policy, [*lines], discipline, ON, **more)


def test_the_shape_of_an_answer():
    text = '{"lines": [{"code": "97112", "minutes": 20}, {"code": "97110", "minutes": 20}], "discipline": "PT"}'
    answer = answer_json_line(text, MEDICARE, ON)
    assert list(answer) == ["lines", "acceptable", "because"]
    assert answer["lines"] == [
        {"code": "97112", "units": 2, "modifiers": ["GP"]},
        {"code": "97110", "units": 1, "modifiers": ["GP"]},
    ]
    assert answer["acceptable"] == [{"97112": 2, "97110": 1}, {"97112": 1, "97110": 2}]
    assert "97112: 20 of 40 timed minutes -> 2 of 3 units (medicare_part_b, 8-minute rule)" in answer["because"]


def test_codes_without_units_are_in_acceptable_and_not_in_lines():
    answer = ask({"code": "97110", "minutes": 15}, {"code": "97035", "minutes": 2}, {"code": "97010"})
    assert [line["code"] for line in answer["lines"]] == ["97110"]
    assert answer["acceptable"] == [{"97110": 1, "97035": 0, "97010": 0}]


def test_the_emrs_units_can_be_judged():
    assert "UN12" in ask({"code": "97110", "minutes": 20, "units": 2})["error"]
    assert any(why.startswith("UN12") for why in ask({"code": "97110", "minutes": 33, "units": 1})["because"])


def test_units_of_a_quantity_are_taken_as_given():
    assert ask({"code": "97598", "units": 2})["acceptable"] == [{"97598": 2}]


def test_without_a_discipline_only_an_evaluation_can_tell_it():
    assert ask({"code": "97165"}, discipline=None)["lines"][0]["modifiers"] == ["GO"]
    bare = ask({"code": "97110", "minutes": 15}, discipline=None)
    assert bare["lines"][0]["modifiers"] == []
    assert "no discipline given" in bare["because"][-1]
    both = ask({"code": "97165"}, {"code": "97161"}, discipline=None)
    assert both["lines"][0]["modifiers"] == []


def test_the_clinics_method_is_used():
    line = {"code": "97150", "therapist_minutes": 13, "assistant_minutes": 2}
    assert ask(line)["lines"][0]["modifiers"] == ["CQ", "GP"]
    assert ask(line, assistant_method="simple")["lines"][0]["modifiers"] == ["GP"]


def test_one_part_alone_is_the_whole_time():
    assert ask({"code": "97110", "assistant_minutes": 15})["lines"][0]["modifiers"] == ["CQ", "GP"]
    assert ask({"code": "97110", "therapist_minutes": 15.0})["lines"][0]["modifiers"] == ["GP"]
    assert ask({"code": "97110", "minutes": 30, "assistant_minutes": 15})["lines"][0]["modifiers"] == ["CQ", "GP"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("97110", "lines[0]: str where an object"),
        ({"minutes": 3}, "lines[0].code: None is not in the code table"),
        ({"code": ["97110"]}, "is not in the code table"),
        ({"code": "97710", "minutes": 15}, "lines[0].code: '97710' is not in the code table; check the code"),
        ({"code": "97001"}, f"lines[0].code: 97001 was not valid on {ON}"),
        ({"code": "97110", "minutes": -1}, "lines[0].minutes: -1; write a whole number from 0 to 1440"),
        ({"code": "97110", "minutes": "15"}, "lines[0].minutes: '15'; write a whole number"),
        ({"code": "97110", "minutes": 15.5}, "lines[0].minutes: 15.5"),
        ({"code": "97110", "minutes": True}, "lines[0].minutes: True"),
        ({"code": "97110", "minutes": 10**9}, "lines[0].minutes: 1000000000"),
        ({"code": "97110", "minutes": 15, "timed": False}, "lines[0].timed: 97110 is a timed code; leave `timed` out"),
        ({"code": "97161", "timed": True}, "lines[0].timed: 97161 is not a timed code"),
        ({"code": "97110", "minuts": 15}, "lines[0].minuts: unknown key. Known keys: assistant_minutes, code"),
        ({"code": "97110", "minutes": 9, "therapist_minutes": 5, "assistant_minutes": 5}, "9 is not the sum"),
        ({"code": "97110", "minutes": 3, "assistant_minutes": 5}, "3 is not the sum"),
        ({"code": "97110"}, "UN11: 97110: no minutes and no units. Record the minutes"),
        ({"code": "97014"}, "CV10: medicare_part_b does not take 97014: report G0283"),
    ],
)
def test_wrong_lines_are_answered_with_an_error(line, words):
    assert words in ask(line)["error"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON (Expecting property name"),
        (b"\xff\xfe\x00", "not JSON (not text)"),
        ("[" * 100_000, "not JSON"),
        ("[]", "lines: missing"),
        ('{"lines": "97110"}', "lines: missing"),
        ('{"lines": [], "payer": "x"}', "payer: unknown key"),
        ('{"lines": [], "discipline": "XX"}', "discipline: 'XX' is not one of PT, OT, SLP"),
        ('{"lines": [], "discipline": ["PT"]}', "discipline: ['PT'] is not one of"),
    ],
)
def test_wrong_json_is_answered_with_an_error(text, words):
    assert words in answer_json_line(text, MEDICARE, ON)["error"]


def test_no_lines_are_no_units():
    assert ask() == {"lines": [], "acceptable": [{}], "because": []}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("97110=33", {"code": "97110", "minutes": 33}),
        ("97161", {"code": "97161"}),
        ("g0283", {"code": "G0283"}),
        ("97110=13+23", {"code": "97110", "therapist_minutes": 13, "assistant_minutes": 23}),
    ],
)
def test_arguments_of_the_command_line(text, line):
    assert parse_units_argument(text) == line


@pytest.mark.parametrize("text", ["97110=", "97110=-3", "97110:33", "9711=3", "97110=1+2+3", "", "97110=33.5"])
def test_wrong_arguments_say_what_to_write(text):
    with pytest.raises(ValueError, match="write CODE, CODE=MINUTES or CODE=THERAPIST\\+ASSISTANT"):
        parse_units_argument(text)


def test_all_shipped_policies_answer():
    for policy in SHIPPED.values():
        answer = ask({"code": "97110", "minutes": 15}, policy=policy)
        if "counting_rule" in policy.settings:
            assert answer["lines"]
        else:
            assert answer["error"].startswith("UN10: ")  # unset on purpose: it says which question to ask
