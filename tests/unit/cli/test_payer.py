"""`ptbridge payer diff`: the page's own example, all payers at once, and conflicting rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptbridge.cli import main

PAGE = Path(__file__).parents[3] / "docs" / "payer-settings.md"


def diff(folder: Path, *words: str) -> int:
    return main(["payer", "diff", *words, "--config", str(folder)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A config folder with the file that the page shows."""
    (tmp_path / "payers").mkdir()
    example = PAGE.read_text("utf-8").partition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "payers" / "commercial_midpoint.yaml").write_text(example, "utf-8")
    return tmp_path


def test_the_example_of_the_page_is_taken_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(folder) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:2] == ["commercial_midpoint against commercial_midpoint", "counting_rule:"]
    assert "+ eight_minute_total, from 2026-06-01  (amendment 1)" in shown


def test_without_a_name_every_payer_with_a_file_is_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "payer: plan_b\ntitle: B\nstanding: complete\nextends: auto\nsettings: {}\n"
    (folder / "payers" / "b.yaml").write_text(text, "utf-8")
    assert diff(folder, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["payer"], one["against"], len(one["changed"])) for one in found] == [
        ("commercial_midpoint", "commercial_midpoint", 1),
        ("plan_b", "auto", 0),
    ]


def test_a_folder_without_payers_is_as_shipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(tmp_path) == 0
    assert capsys.readouterr().out.startswith("Every payer is as shipped")


def test_conflicting_rules_are_refused_with_both_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "payers" / "commercial_midpoint.yaml"
    file.write_text(file.read_text("utf-8").replace("to: 2026-05-31", "to: 2026-06-30"), "utf-8")
    assert diff(folder) == 6
    said = capsys.readouterr().err
    assert "commercial_midpoint.yaml:8: settings.counting_rule" in said and "on line 7" in said
