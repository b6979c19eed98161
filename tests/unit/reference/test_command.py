"""`ptbridge reference` as a person and a scheduler meet it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from ptbridge.cli import exit_codes, main
from ptbridge.jobs import kit
from ptbridge.policy.reference import Reference
from ptbridge.specs.config import Config
from tests import make_reference_files as make


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return make.small_files(tmp_path)


def reference(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["reference", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_load_list_check(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    there = "--config", tmp_path
    code, out, _ = reference(capsys, "list", *there)
    assert code == exit_codes.DONE and "Nothing is loaded" in out
    code, out, _ = reference(capsys, "load", *there, *files)
    assert code == exit_codes.DONE and "2026Q4" in out and "Left alone: ccipra-v323r0-f1.xlsx" in out
    code, out, _ = reference(capsys, "list", *there)
    assert code == exit_codes.DONE and len(out.splitlines()) == 8
    code, out, _ = reference(capsys, "check", *there, "--on", "2026-11-02")
    assert code == exit_codes.DONE and "MISSING" not in out
    code, out, _ = reference(capsys, "check", *there, "--on", "2026-12-20")
    assert code == exit_codes.HELD and "ptp: It covers service dates until 2026-12-31." in out
    code, out, _ = reference(capsys, "check", *there, "--on", "2027-01-02")
    assert code == exit_codes.HELD and "MISSING  ptp" in out


def test_json_everywhere(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    there = "--config", tmp_path, "--json"
    loaded = json.loads(reference(capsys, "load", *there, *files)[1])
    assert {row["kind"]: row["period"] for row in loaded["loaded"]}["icd10"] == "FY2027"
    assert "GPCI2026.csv" in loaded["ignored"]
    listed = json.loads(reference(capsys, "list", *there)[1])
    (pairs,) = [row for row in listed if row["kind"] == "ptp"]
    assert (pairs["first"], pairs["last"], pairs["counts"]["back_next_day"]) == ("2026-10-01", "2026-12-31", 1)
    code, out, _ = reference(capsys, "check", *there, "--on", "2026-12-20")
    checked = json.loads(out)
    assert code == exit_codes.HELD and checked["on"] == "2026-12-20" and checked["damaged"] == []
    assert {row["kind"]: row["state"] for row in checked["files"]}["ptp"] == "runs_out"


def test_a_refusal_says_where_and_what_to_do(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = reference(capsys, "load", "--config", tmp_path, files[0])
    assert code == exit_codes.CONFIG and "of 4 parts these are not named: f2, f3, f4." in err
    code, _, err = reference(capsys, "load", "--config", tmp_path / "nowhere", files[0])
    assert code == exit_codes.CONFIG and "ptbridge init" in err


def test_a_changed_file_is_told_by_check(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    reference(capsys, "load", "--config", tmp_path, *files)
    (file,) = (tmp_path / "reference").glob("mue-*.bin")
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    code, out, _ = reference(capsys, "check", "--config", tmp_path, "--on", "2026-11-02")
    assert code == exit_codes.CONFIG and f"{file.name}: the file was changed" in out


def test_a_load_makes_every_day_be_judged_again(tmp_path: Path, files: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(folder=tmp_path, clinics={}, files={})
    today = date(2026, 11, 2)
    before = kit.fingerprint(config, today)
    reference(capsys, "load", "--config", tmp_path, *files)
    assert kit.fingerprint(config, today) != before


def test_a_loaded_order_file_decides_for_its_own_dates(tmp_path: Path, files: list[Path]) -> None:
    main(["reference", "load", "--config", str(tmp_path), str(files[-1]), "--json"])
    look_up = kit._icd10(Reference.open(tmp_path / "reference"))
    assert look_up("M54.50", date(2026, 11, 2)) is True
    assert look_up("S93.401A", date(2026, 11, 2)) is False  # not in the synthetic file of fiscal year 2027
    assert look_up("S93.401A", date(2026, 3, 2)) is True  # the shipped list
