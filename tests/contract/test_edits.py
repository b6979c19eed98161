"""Every edit file, found by listing the folder, is held to what it promises in its own docstring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ptbridge import plugins
from ptbridge.edits import run
from ptbridge.edits.cases import Case, build_day, build_facts, difference, read_cases
from ptbridge.edits.icd10 import load_icd10
from ptbridge.policy.codes import load_codes
from ptbridge.policy.payers import shipped_payers
from ptbridge.ports import Edit
from tests import make_docs

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src" / "ptbridge" / "edits"
FILES = sorted(path for path in FOLDER.glob("*.py") if re.match(r"[a-z]{2}\d{2}_", path.name))
EDITS = plugins.edits()
CASES = [(edit, case) for edit in EDITS for case in read_cases(edit.manual)]
SECTIONS = ("What it checks", "Why it matters", "Fix", "Source")

CODES = load_codes()
PAYERS = shipped_payers()
ICD10 = load_icd10()


def test_every_file_is_an_edit_and_every_edit_a_file() -> None:
    assert [path.stem[:4].upper() for path in FILES] == [edit.code for edit in EDITS]
    assert len(EDITS) >= 65


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.code)
def test_manual_has_every_section_in_order_and_none_is_empty(edit: Edit) -> None:
    lines = edit.manual.splitlines()
    headings = [line for line in lines[1:] if line and not line.startswith(" ")]
    assert tuple(headings[:4]) == SECTIONS
    assert headings[4:] and all(re.fullmatch(r"Cases \([a-z0-9_]+\)", heading) for heading in headings[4:])
    for heading in headings:
        assert lines[lines.index(heading) + 1].startswith("    "), f"{edit.code}: {heading} is empty"


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.code)
def test_one_case_fires_at_the_declared_severity_and_one_is_ok(edit: Edit) -> None:
    cases = read_cases(edit.manual)
    assert any(not case.expected for case in cases)
    assert any(severity is edit.severity for case in cases for severity, _ in case.expected)


@pytest.mark.parametrize(("edit", "case"), CASES, ids=[f"{edit.code}: {case.text}" for edit, case in CASES])
def test_case(edit: Edit, case: Case) -> None:
    facts = build_facts(case, codes=CODES, policies=PAYERS, icd10=ICD10)
    priced = build_day(case, CODES)
    assert difference(case, edit, priced, facts) is None
    for finding in edit.check(priced, facts):
        assert finding.code == edit.code
        assert finding.fix.endswith(".")
        assert "Testerly" not in f"{finding} {finding.visit_id} {finding.line_key}"


def test_a_clean_day_has_no_findings_at_all() -> None:
    rows = (
        "97110-GP x1 @24, 97140-GP x1 @15, 97530-GP-CQ x1 @8, G0283-GP x1 @15 -> ok",
        "97161-GP x1 @40 -> ok",
        "92507-GN x1 @45 | discipline=SLP -> ok",
        "97165-GO x1 @40, 97535-GO x1 @15 | discipline=OT -> ok",
    )
    for row in rows:
        (case,) = read_cases(f"Cases (medicare_part_b)\n    {row}")
        facts = build_facts(case, codes=CODES, policies=PAYERS, icd10=ICD10)
        assert run(build_day(case, CODES), facts, EDITS) == []


def test_generated_pages_are_what_make_docs_would_write() -> None:
    assert make_docs.stale_pages() == [], "run `make docs` and commit what it writes"


def test_a_changed_or_left_over_page_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_docs, "DOCS", tmp_path)
    make_docs.main()
    assert make_docs.stale_pages() == []
    (tmp_path / "edits" / "UN01.md").write_text("something else")
    (tmp_path / "edits" / "ZZ99.md").write_text("an edit that is gone")
    assert make_docs.stale_pages() == ["edits/UN01.md", "edits/ZZ99.md"]
