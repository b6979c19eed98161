"""The chaos harness runs, and notices a ptbridge that is broken on purpose. The scenarios themselves: `make chaos`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.ground import HANGS_SECONDS
from tests.chaos.power import missing

ROOT = Path(__file__).parents[2]


def chaos(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command, seen = [sys.executable, "-m", "tests.chaos", *words], {**os.environ, **environment}
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env=seen, timeout=HANGS_SECONDS)


def test_a_scenario_is_played_from_its_integer() -> None:
    done = chaos("--only", "several_at_once", "--seed", "7", "--rounds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok       several_at_once --seed 7" in done.stdout


def test_what_a_machine_lacks_is_skipped_and_said_in_plain_words(tmp_path: Path) -> None:
    done = chaos("--only", "kill_at_a_system_call", "--rounds", "1", PATH=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped  kill_at_a_system_call: needs strace: install it (Debian: apt-get install strace)" in done.stdout
    assert "1 skipped" in done.stdout


def test_ci_runs_chaos_as_a_gate() -> None:
    assert [line.partition("#")[0].strip() for line in (ROOT / ".ci" / "run").read_text().splitlines()][-1] == "make chaos"


@pytest.mark.parametrize(
    ("scenario", "sabotage", "word"),
    [
        ("kill_at_any_moment", "new_key_for_every_attempt", "doubled"),
        ("killed_while_messages_come", "acknowledged_but_not_stored", "acknowledged and is not in the inbox"),
        ("power_cut", "nothing_is_synced", "FAILED"),
    ],
)
def test_what_is_broken_on_purpose_is_noticed(scenario: str, sabotage: str, word: str) -> None:
    if scenario == "power_cut" and missing():
        pytest.skip(missing())
    said = ""
    for seed in range(1, 7):  # the moment of a kill is a matter of luck: most integers do, not every one
        done = chaos("--only", scenario, "--sabotage", sabotage, "--seed", str(seed), "--rounds", "1")
        said += done.stdout + done.stderr
        if "skipped  " in done.stdout:
            pytest.skip(done.stdout)
        if done.returncode == 1 and word in done.stdout:
            assert f"play it again: python -m tests.chaos --only {scenario} --seed {seed}" in done.stdout
            return
    pytest.fail(said)
