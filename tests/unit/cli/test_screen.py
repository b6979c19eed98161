import json
from dataclasses import dataclass
from datetime import date

import pytest

from ptbridge.cli import run_view, screen

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\r\nb\x9b2Jc\u202egnp.exe\u2066d\x7f"


def test_clean_leaves_no_character_that_steers_a_terminal() -> None:
    shown = screen.clean(HOSTILE)
    assert shown == "a [31mred ]0;title b 2Jc gnp.exe d"
    assert all(character.isprintable() for character in shown)
    assert screen.clean(None) == ""
    assert screen.clean("naïve → 12 µm") == "naïve → 12 µm"


def test_table_aligns_and_cleans() -> None:
    shown = screen.table([("a", 5, "x\x1b"), ("long", 1234, "")], headings=("k", "n", ""), right=(1,))
    assert shown.splitlines() == ["  k        n", "  a        5  x", "  long  1234"]


def test_json_is_json_and_steers_nothing() -> None:
    @dataclass
    class Row:
        name: str
        on: date

    text = screen.as_json([Row(HOSTILE, date(2026, 2, 1))])
    assert json.loads(text) == [{"name": HOSTILE, "on": "2026-02-01"}]
    assert not any(0x7F <= ord(character) <= 0x9F or character == "\x1b" for character in text)
    assert "\n" not in screen.as_json({"a": 1}, lines=True)


@pytest.mark.parametrize(("number", "said"), [(0, "0 visits"), (1, "1 visit"), (1204, "1,204 visits")])
def test_count(number: int, said: str) -> None:
    assert screen.count(number, "visit") == said


def test_progress_is_one_line_a_stage_when_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.Progress() as progress:
        for done in range(5):
            progress("pulling", done)
        progress("sending", 1, 10)
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["pulling", "sending"]
    assert captured.out == ""


def test_progress_rewrites_one_line_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with screen.Progress() as progress:
        progress("pulling", 3)
        progress("sending", 5, 10)
    shown = capsys.readouterr().err
    assert "\n" not in shown
    assert "sending [############............] 5 of 10" in shown
    assert shown.endswith("\r")


def test_the_same_words_about_two_lines_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"code": "MP10", "severity": "error", "message": "without the minutes of each", "fix": "Document them."}
    other = {**parts, "message": "another"}
    run_view.show_held(
        [{"id": "pt-1", "visits": ["V1"], "reasons": [{**parts, "line_key": "1"}, other, {**parts, "line_key": "2"}]}]
    )
    said = capsys.readouterr().out
    assert said.count("without the minutes of each") == 1 and said.count("another") == 1


def test_a_ledger_whose_runs_were_all_cut_off_does_not_say_that_none_was_started(capsys: pytest.CaptureFixture[str]) -> None:
    run_view.show_status("oak", {"days": {}, "last_run": None})
    assert "no run has ended yet" in capsys.readouterr().out
