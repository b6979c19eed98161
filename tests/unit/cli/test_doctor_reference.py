"""`ptbridge doctor` says in one line which of CMS's files answer, and until when."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from ptbridge.cli import main
from ptbridge.policy.reference import load
from tests import make_reference_files as make

INIT = [
    *("--clinic", "northside", "--name", "Northside", "--time-zone", "America/Chicago", "--npi", "1234567893"),
    *("--emr-url", "http://127.0.0.1:9/fhir", "--client-id", "ptbridge", "--biller-url", "http://127.0.0.1:9"),
    *("--payer", "MCR-B=medicare_part_b"),
]


def line(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str, str]:
    capsys.readouterr()
    main(["doctor", "--offline", "--json", "--config", str(folder)])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (one,) = (check for check in checks if check["what"].startswith("official files"))
    return one["status"], one["what"], one["do"]


def test_one_line_names_what_is_loaded_and_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "ptbridge"
    assert main(["init", "--config", str(folder), *INIT]) == 0
    status, what, do = line(folder, capsys)
    assert status == "warn" and "ptp missing, mue missing, add_on missing" in what and "rvu" not in what
    assert "ptbridge reference check" in do
    today = datetime.now().astimezone().date()
    quarter = f"{today.year}q{(today.month + 2) // 3}"
    version = f"v{today.year - 1994}{(today.month - 1) // 3}r0"
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    load(make.whole_quarter(downloads, 40, 10, version=version, quarter=quarter), folder / "reference")
    status, what, _ = line(folder, capsys)
    assert f"ptp until {today.year}-" in what and f"mue until {today.year}-" in what and "mue missing" not in what


def test_a_damaged_index_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "ptbridge"
    assert main(["init", "--config", str(folder), *INIT]) == 0
    (folder / "reference").mkdir()
    (folder / "reference" / "index.json").write_text("{")
    capsys.readouterr()
    assert main(["doctor", "--offline", "--json", "--config", str(folder)]) == 6
    failed = [check["what"] for check in json.loads(capsys.readouterr().out)["checks"] if check["status"] == "fail"]
    assert any("index.json" in what for what in failed)
