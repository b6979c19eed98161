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


ROWS = [("CARC CO-197", "1,204", "MD01 UN02 DC06 DX08 NC03"), ("277CA A7:562:85", "3", "")]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)


@pytest.mark.parametrize("columns", [23, 24, 30, 40, 50, 51, 52, 80])
def test_no_line_of_a_table_is_wider_than_the_terminal_and_no_word_is_lost(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    on_a_terminal(monkeypatch, columns)
    shown = screen.table(ROWS, headings=("reason", "days", "went with"), right=(1,))
    assert max(map(len, shown.splitlines())) <= columns
    words = [word for row in ROWS for cell in row for word in cell.split()]
    assert [word for word in words if word not in shown.split()] == []


def test_the_last_column_wraps_beside_the_others_while_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, 50)
    shown = screen.table(ROWS, headings=("reason", "days", "went with"), right=(1,)).splitlines()
    assert shown[0] == "  reason            days  went with" and shown[2] == "  277CA A7:562:85      3"
    on_a_terminal(monkeypatch, 49)
    assert screen.table(ROWS, headings=("reason", "days", "went with"), right=(1,)).splitlines() == [
        "  reason            days",
        "  CARC CO-197      1,204",
        "      went with: MD01 UN02 DC06 DX08 NC03",
        "  277CA A7:562:85      3",
    ]


def test_the_first_column_goes_above_when_the_others_are_too_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, 23)
    assert screen.table(ROWS, right=(1,)).splitlines() == [
        "  CARC CO-197",
        "    1,204",
        "      MD01 UN02 DC06",
        "        DX08 NC03",
        "  277CA A7:562:85",
        "        3",
    ]
    on_a_terminal(monkeypatch, 24)
    assert screen.table(ROWS, right=(1,)).splitlines()[0] == "  CARC CO-197      1,204"


def test_where_nobody_looks_a_row_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert [line.strip() for line in screen.table(ROWS, right=(1,)).splitlines()] == [
        "CARC CO-197      1,204  MD01 UN02 DC06 DX08 NC03",
        "277CA A7:562:85      3",
    ]


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
