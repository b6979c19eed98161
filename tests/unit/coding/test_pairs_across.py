"""Pairs apply to one billing provider, patient and date: what another discipline's day has to do with this one's lines."""

from datetime import UTC, date, datetime

import pytest
from coding_days import CODES, MEDICARE, ON, day, line, payer, raised, shown, visit

from ptbridge.coding import Known, code
from ptbridge.policy.history import OtherLine, PatientHistory
from ptbridge.policy.reference import PairEdit, Reference, quarter, reference_of

RULES = {
    "counting_rule": "eight_minute_total",
    "discipline_modifier": "required",
    "modifier_order": "payment, discipline, information",
    "code_pairs": "medicare",
    "pair_modifier_word": "XP",
}


def table(column1, column2, indicator=1):
    pair = PairEdit(
        column1=column1, column2=column2, indicator=indicator, effective=date(2020, 1, 1), deletion=None, period="", source=""
    )
    return reference_of(quarter(2026, 4), pairs=[pair])


def at(minute):
    return datetime(ON.year, ON.month, ON.day, 9, minute, tzinfo=UTC)


def other(first=15, last=30, procedure="97530", **fields):
    facts = {"modifiers": ("GO",), "units": 1, "discipline": "OT", "reference": "pt-1", "payer": "medicare_part_b"} | fields
    times = {} if first is None else {"start": at(first), "end": at(last)}
    return OtherLine(procedure=procedure, **facts, **times)


def judged(*others, reference, confirmed=(), policy=MEDICARE, lines=None):
    lines = lines or (line("97110 @15", start=at(0), end=at(15)),)
    known = Known(history=PatientHistory(other_lines=others), reference=reference, confirmed=frozenset(confirmed))
    return code(day(visit(*lines)), policy=policy, codes=CODES, known=known)


def pair_findings(found):
    return [one for one in found.findings if one.code in ("MD20", "MD12")]


@pytest.mark.parametrize("columns", [("97110", "97530"), ("97530", "97110")])
def test_separate_times_in_two_disciplines_are_proposed_with_both_named(columns):
    (finding,) = pair_findings(judged(other(), reference=table(*columns)))
    assert finding.where == "modifier 59" and finding.severity.value == "error"
    assert finding.message.startswith(f"97110: pair {columns[0]}/{columns[1]}, indicator 1")
    assert "97530 of OT on the same date; the documented times of both do not overlap -> 59" in finding.message


def test_a_person_confirms_and_the_line_of_this_day_carries_it():
    assert shown(judged(other(), reference=table("97530", "97110"), confirmed=["XP"])) == ["97110-XP-GP x1 @15"]


@pytest.mark.parametrize(
    ("others", "reference"),
    [
        ((other(14, 30),), table("97530", "97110")),
        ((other(None),), table("97530", "97110")),
        ((other(), other(None)), table("97530", "97110")),
        ((other(), other(10, 20)), table("97530", "97110")),
        ((other(),), table("97530", "97110", indicator=0)),
        ((other(modifiers=("59", "GO")),), table("97530", "97110")),
        ((other(payer="workers_comp"),), table("97530", "97110")),
        ((other(procedure="97110"),), table("97530", "97110")),
        ((other(),), Reference()),
        ((), table("97530", "97110")),
    ],
    ids=[
        *("overlap", "no times", "a line without times", "a line that overlaps", "indicator 0", "lifted there"),
        *("another payer", "one code", "no file", "alone"),
    ],
)
def test_nothing_is_offered_without_a_pair_and_separate_times(others, reference):
    found = judged(*others, reference=reference, confirmed=["59"])
    assert shown(found) == ["97110-GP x1 @15"] and pair_findings(found) == []


def test_one_line_there_that_is_not_lifted_is_enough():
    found = judged(other(30, 40, modifiers=("59", "GO")), other(), reference=table("97530", "97110"))
    assert [one.code for one in pair_findings(found)] == ["MD20"]


def test_the_emrs_own_word_on_this_day_settles_it():
    marked = (line("97110 @15", modifiers=("XU",), start=at(0), end=at(15)),)
    assert pair_findings(judged(other(), reference=table("97530", "97110"), lines=marked)) == []


def test_without_times_of_its_own_a_line_of_this_day_is_not_told_apart():
    lines = (line("97110 @15"), line("97140 @15", start=at(40), end=at(55)))
    assert pair_findings(judged(other(), reference=table("97530", "97110"), lines=lines)) == []


def test_added_without_a_person_only_where_the_payer_looks_at_this_days_column():
    auto = payer(**RULES, pair_modifier="auto")
    there = other(payer="p")
    assert shown(judged(there, reference=table("97530", "97110"), policy=auto)) == ["97110-XP-GP x1 @15"]
    found = judged(there, reference=table("97110", "97530"), policy=auto)
    assert (shown(found), raised(found)) == (["97110-GP x1 @15"], ["MD20 error"])
    first = payer(**RULES, pair_modifier="auto", pair_modifier_on="column_1")
    assert shown(judged(there, reference=table("97110", "97530"), policy=first)) == ["97110-XP-GP x1 @15"]
    assert shown(judged(there, reference=table("97530", "97110"), policy=first)) == ["97110-GP x1 @15"]


def test_a_payer_that_has_not_said_which_word_is_asked():
    unsaid = payer(**{name: use for name, use in RULES.items() if name != "pair_modifier_word"}, pair_modifier="propose")
    (finding,) = pair_findings(judged(other(payer="p"), reference=table("97530", "97110"), policy=unsaid))
    assert finding.code == "MD12" and "59 or which X for pair 97530/97110, indicator 1" in finding.message


def test_a_payer_that_wants_no_such_modifier_gets_none():
    none = payer(**RULES, pair_modifier="none")
    assert pair_findings(judged(other(payer="p"), reference=table("97530", "97110"), policy=none)) == []


def test_lines_are_seen_by_their_own_payer_and_by_all_when_it_is_not_known():
    mine, theirs, unknown = other(payer="p"), other(payer="q"), other(payer=None)
    history = PatientHistory(other_lines=(mine, theirs, unknown))
    assert history.lines_seen_by("p") == (mine, unknown)
    assert history.lines_seen_by(None) == (mine, theirs, unknown)


def test_of_several_lines_of_one_code_the_first_is_named():
    others = other(15, 30), other(40, 50, discipline="SLP")
    (finding,) = pair_findings(judged(*others, reference=table("97530", "97110")))
    assert "97530 of OT on the same date" in finding.message
