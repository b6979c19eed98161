"""The sandbox EMR as a process of its own: says when it is ready, serves, and stops when asked."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import orjson
import pytest
from ptbridge_sandbox.day import DAY


def talk_to_process(arguments: list[str], path: str, headers: dict[str, str] | None = None) -> dict:
    """Start, ask once, end with SIGTERM; the answer. Raises when it does not stop with code 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ptbridge_sandbox.emr", "--port", "0", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", process.stdout.readline())
        assert ready is not None
        request = urllib.request.Request(f"{ready[1]}/fhir{path}", headers=headers or {})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return orjson.loads(answer.read())
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()


def test_a_day_behind_a_static_token(tmp_path: Path):
    token = tmp_path / "token"
    token.write_text("let-me-in\n")
    bundle = talk_to_process(
        ["--bearer-file", str(token), "--profile", "us_core"],
        "/Encounter?_summary=count",
        {"Authorization": "Bearer let-me-in"},
    )
    assert bundle["total"] == len(DAY)


@pytest.mark.parametrize("count", [0, 250])
def test_scale_or_a_folder(tmp_path: Path, count: int):
    (tmp_path / "one.json").write_text('{"resourceType":"Encounter","id":"one"}')
    arguments = ["--encounters", str(count)] if count else ["--folder", str(tmp_path)]
    assert talk_to_process(arguments, "/Encounter?_summary=count")["total"] == (count or 1)
