"""Every code block of the README is run, read or checked as what it is."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import ptbridge
from ptbridge.cli import root
from ptbridge.intake import compile_mapping
from ptbridge.specs.mapping_files import load_mapping

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
OF = {kind: [body for found, body in BLOCKS if found == kind] for kind, _ in BLOCKS}


def test_every_kind_of_block_is_covered_here() -> None:
    assert set(OF) == {"", "console", "yaml", "python", "cron", "ini"}


def test_console_blocks_run_in_an_empty_folder(tmp_path: Path) -> None:
    commands = [line.removeprefix("$ ") for body in OF["console"] for line in body.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 8
    for command in commands:
        words = shlex.split(command)
        assert words[0] == "ptbridge"
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ptbridge", *words[1:]], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout.strip(), command
    assert (tmp_path / "ptbridge" / "emr_jwks.json").exists()


@pytest.mark.parametrize("body", OF["python"])
def test_python_blocks_run(body: str) -> None:
    exec(compile(body, "README.md", "exec"), {})


@pytest.mark.parametrize("body", OF["yaml"])
def test_mapping_blocks_compile(tmp_path: Path, body: str) -> None:
    path = tmp_path / "riverside.yaml"
    path.write_text(body, "utf-8")
    compile_mapping(load_mapping(path))


def test_plain_blocks_name_commands_and_options_that_exist() -> None:
    named = [
        line.split("#")[0].split() for body in OF[""] for line in body.splitlines() if line.startswith(("ptbridge ", "$ pt"))
    ]
    assert len(named) >= 8
    for words in named:
        words = words[words.index("ptbridge") + 1 :]
        command = root.get_command(None, words[0])  # type: ignore[arg-type]
        assert command is not None, words
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_what_the_demo_prints_is_what_the_readme_shows(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "ptbridge", "demo", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    (shown,) = [body for body in OF[""] if body.startswith("$ ptbridge sync")]
    rest = _of_any_day(done.stdout)
    for block in _of_any_day(shown).split("…\n"):  # `…` stands for lines left out; each block is whole, and they come in order
        _, found, rest = rest.partition("\n" + block)
        assert found, block


def _of_any_day(text: str) -> str:
    """The demo's day is the last weekday before today."""
    return re.sub(r"\d{4}-\d{2}-\d{2}", "2026-11-20", text)


def test_make_words_exist() -> None:
    words = re.findall(r"^make (\w+)", "\n".join(OF[""]), re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert words == ["demo", "test"] and all(re.search(rf"^{word}:", makefile, re.MULTILINE) for word in words)


def test_the_night_job_is_well_formed() -> None:
    (cron,) = OF["cron"]
    assert re.fullmatch(r"(\S+ ){4}\S+  PTBRIDGE_CONFIG=\S+ ptbridge sync --json >> \S+ \|\| \[ \$\? -eq 3 \]\n", cron)
    for part in re.split(r"^# /etc/systemd.*\n", OF["ini"][0], flags=re.MULTILINE)[1:]:
        unit = configparser.ConfigParser(interpolation=None, strict=True)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(part)
        assert unit.sections()
        if unit.has_section("Service"):
            assert unit["Service"]["ExecStart"].split()[1:] == ["sync"]


def test_the_names_of_the_python_api_are_there() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    sentence = re.search(r"`ptbridge\.load_config`.*? are the command line's verbs", text, re.DOTALL)
    assert sentence is not None
    for name in re.findall(r"`(?:ptbridge\.)?(\w+)`", sentence[0]):
        assert callable(getattr(ptbridge, name))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8")):
        assert (ROOT / target).exists(), target
