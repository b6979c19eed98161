"""Worked examples as data. `make cases` rewrites `expected` in units.json; the diff is the review."""

import json
import os
from datetime import date
from pathlib import Path

import pytest

from ptbridge.coding import parse_units_argument, units_answer
from ptbridge.policy import shipped_payers

OURS = Path(__file__).with_name("units.json")
SHARED = Path(__file__).parents[2] / "../shared/cases/units.json"
POLICIES = shipped_payers()
ON = date(2026, 11, 20)
RULES = {"cms_8min": "medicare_part_b", "cqco_cms": "medicare_part_b", "ama_midpoint": "commercial_midpoint"}


def answer(case):
    lines = [parse_units_argument(word) for word in case["given"].split()]
    found = units_answer(POLICIES[case["policy"]], lines, case.get("discipline", "PT"), ON)
    if "error" in found:
        return found
    notation = ["-".join([line["code"], *line["modifiers"]]) + f" x{line['units']}" for line in found["lines"]]
    return {"lines": notation, "acceptable": found["acceptable"], "because": found["because"]}


def our_cases():
    cases = json.loads(OURS.read_text(encoding="utf-8"))
    if os.environ.get("PTBRIDGE_REWRITE_CASES"):
        cases = [{**case, "expected": answer(case)} for case in cases]
        OURS.write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return cases


@pytest.mark.parametrize("case", our_cases(), ids=lambda case: f"{case['policy']}: {case['given']}")
def test_our_cases(case):
    assert answer(case) == case["expected"], case["why"]


@pytest.mark.parametrize("case", json.loads(SHARED.read_text()) if SHARED.exists() else [], ids=lambda case: case["id"])
def test_published_examples(case):
    policy = POLICIES[RULES[case["rule"]]]
    lines = case["lines"]
    found = units_answer(policy, lines, "PT", ON)
    if case["rule"] == "cqco_cms":
        split = {line["code"]: {"with": 0, "without": 0} for line in lines}
        for line in found["lines"]:
            split[line["code"]]["with" if "CQ" in line["modifiers"] else "without"] += line["units"]
        assert split in case["expected"], case["note"]
        return
    billed = {line["code"]: 0 for line in lines} | {line["code"]: line["units"] for line in found["lines"]}
    assert billed in case["expected"], case["note"]
    key = lambda units: sorted(units.items())  # noqa: E731
    assert sorted(found["acceptable"], key=key) == sorted(case["expected"], key=key), case["note"]
