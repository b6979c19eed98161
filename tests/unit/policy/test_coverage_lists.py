"""A coverage list beside a payer's policy: read with its policy, by the dates of the setting, refused with file and line."""

from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy import load_payers
from ptbridge.policy.coverage_lists import named_file, read_list

POLICY = """payer: {name}
title: A contractor
standing: complete
{extends}settings:
  covered_diagnoses:
    - {{use: "G0283 M17 M54.5", from: 2025-01-01, to: 2025-12-31, source: "article, revision 4"}}
    - {{use: "file lists/article.csv", from: 2026-01-01, source: "article, revision 5"}}
"""
ROWS = "procedure,diagnosis\ng0283,m17\nG0283,M25.561\nG0283,M17\n97033,M77\n"


def folder(tmp_path: Path, rows: str | None = ROWS, *, name: str = "north") -> Path:
    (tmp_path / "lists").mkdir(parents=True, exist_ok=True)
    (tmp_path / f"{name}.yaml").write_text(POLICY.format(name=name, extends=""))
    if rows is not None:
        (tmp_path / "lists" / "article.csv").write_text(rows)
    return tmp_path


def test_the_list_is_that_of_the_service_date(tmp_path: Path) -> None:
    policy = load_payers([folder(tmp_path)])["north"]
    assert policy.terms(date(2025, 12, 31)).covered_diagnoses == {"G0283": ("M17", "M54.5")}
    assert policy.terms(date(2026, 1, 1)).covered_diagnoses == {"G0283": ("M17", "M25.561"), "97033": ("M77",)}
    assert policy.terms(date(2024, 12, 31)).covered_diagnoses == {}
    assert policy.setting("covered_diagnoses", date(2026, 1, 1)).use == "file lists/article.csv"  # type: ignore[union-attr]


def test_who_extends_a_policy_has_its_list_in_the_same_folder_and_in_a_later_one(tmp_path: Path) -> None:
    first = folder(tmp_path / "first")
    own = "payer: {0}\ntitle: Own\nstanding: complete\nextends: north\nsettings: {{}}\n"
    (first / "same.yaml").write_text(own.format("same"))
    later = tmp_path / "later"
    later.mkdir()
    (later / "own.yaml").write_text(own.format("own"))
    policies = load_payers([first, later])
    for name in ("same", "own"):
        assert policies[name].terms(date(2026, 1, 1)).covered_diagnoses["97033"] == ("M77",)


def test_a_list_of_its_own_goes_before_the_one_of_the_same_name_that_it_extends(tmp_path: Path) -> None:
    first = folder(tmp_path / "first")
    later = folder(tmp_path / "later", "procedure,diagnosis\n97110,S83\n", name="south")
    south = later / "south.yaml"
    south.write_text(POLICY.format(name="south", extends="extends: north\n"))
    policies = load_payers([first, later])
    assert policies["south"].terms(date(2026, 1, 1)).covered_diagnoses == {"97110": ("S83",)}
    assert policies["north"].terms(date(2026, 1, 1)).covered_diagnoses["G0283"] == ("M17", "M25.561")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (None, r"article\.csv: cannot be read \(FileNotFoundError\)"),
        ("", r"article\.csv:1: the first line must be procedure,diagnosis"),
        ("procedure,diagnosis,description\nG0283,M17,words\n", r"article\.csv:1: the first line must be procedure,diagnosis"),
        ("procedure,diagnosis\n", r"article\.csv: no row in it"),
        ("procedure,diagnosis\nG0283\n", r"article\.csv:2: not two columns"),
        ("procedure,diagnosis\nG0283,M17,words\n", r"article\.csv:2: not two columns"),
        ("procedure,diagnosis\nG0283,M17\nG028,M17\n", r"article\.csv:3: 'G028' is not a procedure code"),
        ("procedure,diagnosis\nG0283,M17.\n", r"article\.csv:2: 'M17\.' is not a diagnosis"),
        ("procedure,diagnosis\nG0283,7172\n", r"article\.csv:2: '7172' is not a diagnosis"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(tmp_path: Path, rows: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_payers([folder(tmp_path, rows)])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UnicodeDecodeError"):
        read_list(path)


def test_a_list_in_the_setting_itself_names_no_file() -> None:
    assert named_file("G0283 M17") is None
    assert named_file("file lists/a b.csv") == "lists/a b.csv"
