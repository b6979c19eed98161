"""The edge of the command line: quick help, exit codes, one clear line for every error, nothing of a patient."""

import json
import os
import subprocess
import sys

import click
import pytest

from ptbridge import errors
from ptbridge.cli import _COMMANDS, exit_codes, main, root
from ptbridge.cli.exit_codes import MEANING, exit_code_for

PATIENT = "Testerly-Bobolink"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ptbridge", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys, ptbridge.cli as c; assert c.main(['--help']) == 0;"
        "heavy = {'msgspec', 'orjson', 'yaml', 'httpx', 'aiohttp', 'apsw', 'joserfc', 'ptbridge.jobs', 'ptbridge.specs'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "[]"
    assert "sync" in done.stdout


@pytest.mark.parametrize("name", [name for section in _COMMANDS.values() for name in section])
def test_the_line_on_the_help_page_is_the_command_s_own_first_sentence(name: str) -> None:
    context = click.Context(root)
    command = root.get_command(context, name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == root.line_of_help(name)


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        return [(path, command)]
    context = click.Context(command)
    names = command.list_commands(context)
    return [found for name in names for found in all_commands(command.get_command(context, name), (*path, name))]


def own_commands() -> list[tuple[tuple[str, ...], click.Command]]:
    return [(path, command) for path, command in all_commands(root) if path != ("burst",)]


def test_every_command_but_the_demo_has_json() -> None:
    words = {"--json", "--jsonl"}
    without = [path for path, command in own_commands() if not any(words & set(option.opts) for option in command.params)]
    assert without == [("demo",)]


def test_every_option_has_help() -> None:
    bare = [
        (path, option.name)
        for path, command in own_commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 6),
        (errors.PeerUnavailable("x"), 5),
        (errors.PeerRefused("x"), 5),
        (errors.OutcomeUnknown("x"), 4),
        (errors.LedgerBusy("x"), 7),
        (errors.LedgerError("x"), 8),
        (KeyError("x"), 1),
    ],
)
def test_exit_code_of_each_error(error: Exception, code: int) -> None:
    assert exit_code_for(error) == code
    assert code in MEANING


def test_the_page_names_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exit-codes", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert {row["exit_code"] for row in page} == codes


def test_unknown_word_and_no_word() -> None:
    assert run("nonsense").returncode == 2 and "no command 'nonsense'.\n" in run("nonsense").stderr
    assert "Did you mean sync?" in run("synch").stderr
    assert run().returncode == 2
    assert run("--version").stdout.startswith("ptbridge ")


@click.command()
@click.argument("kind")
def burst(kind: str) -> None:
    """Raise."""
    patient = PATIENT  # a local variable, as a traceback with locals would show
    raise {"key": KeyError, "config": errors.ConfigError, "interrupt": KeyboardInterrupt}[kind](patient)


@pytest.fixture(autouse=True)
def with_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """`ptbridge burst`, found as every command is."""
    monkeypatch.setitem(sys.modules, "burst_module", sys.modules[burst.callback.__module__])
    monkeypatch.setitem(root._known, "burst", ("burst_module:burst", ""))


@pytest.mark.parametrize("traceback", ["", "1"])
def test_an_unexpected_error_shows_its_class_and_place_only(
    traceback: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PTBRIDGE_TRACEBACK", traceback)
    assert main(["burst", "key"]) == 1
    shown = capsys.readouterr()
    assert "unexpected KeyError at test_main.py:" in shown.err
    assert PATIENT not in shown.err + shown.out
    assert ("Traceback" in shown.err or 'File "' in shown.err) == bool(traceback)


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["burst", "interrupt"]) == 130
    assert "stopped" in capsys.readouterr().err


def test_the_reader_of_the_output_may_go_away() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ptbridge", "explain", "UN01"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_without_the_characters_does_not_break_a_list() -> None:
    done = run("explain", "UN01", PYTHONIOENCODING="ascii")
    assert done.returncode == 0


def test_python_api_has_the_same_verbs() -> None:
    program = (
        "import sys, ptbridge; assert 'click' not in sys.modules and 'ptbridge.jobs' not in sys.modules; print(*dir(ptbridge))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert {"sync", "held", "release", "exclude", "explain", "retry", "reconcile", "units", "status"} <= set(
        done.stdout.split()
    )
    import ptbridge

    for verb in ptbridge._VERBS:
        assert getattr(ptbridge, verb) is not None
        assert verb in (ptbridge.__doc__ or "") or issubclass(getattr(ptbridge, verb), Exception)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ptbridge.nothing
