"""`ptbridge changes`, `confirm`, `done`, `undo` and `held --dead` as a person types them, against real servers."""

from __future__ import annotations

import json

import pytest

from ptbridge import cli, jobs
from tests.contract.test_changes import VISIT, edit_minutes, policy, sent
from tests.world import World


def test_a_change_is_shown_confirmed_and_sent(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def say(*words: str) -> tuple[int, str]:
        code = cli.main([*words, "--config", str(world.folder)])
        caught = capsys.readouterr()
        return code, caught.out + caught.err

    policy(world, "{confirm: [replacement]}")
    world.sync()
    assert say("changes") == (0, "Nothing that was sent has changed, and nothing waits in a hold window.\n")
    edit_minutes(world)
    world.sync()
    code, shown = say("changes")
    for words in (VISIT, "before", "after", "differs +", "source enc-0002: line 97112: minutes", "to act: clinic", "SB05"):
        assert words in shown, shown
    assert code == 0 and json.loads(say("changes", "--json")[1])[0]["confirm"] == ["replacement"]
    assert say("changes", "done", VISIT, "--reason", "on the phone")[0] == 6
    code, shown = say("changes", "confirm", VISIT, "--reason", "seen")
    assert code == 0 and "Confirmed enc-0002" in shown
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    code, shown = say("undo", VISIT, "--reason", "too late")
    assert code == 6 and "ptbridge exclude" in shown


@pytest.mark.parametrize("word", ["changes confirm", "release"])
def test_a_word_that_lets_a_day_go_says_when_it_goes(world: World, capsys: pytest.CaptureFixture[str], word: str) -> None:
    def say(*words: str) -> str:
        cli.main([*words, "--config", str(world.folder)])
        return capsys.readouterr().out

    world.sync()
    policy(world, '{confirm: [replacement], hold_window_minutes: "30"}')
    edit_minutes(world)
    world.sync()
    told = say(*word.split(), VISIT, "--reason", "seen")
    assert "begins its hold window of 30 minutes" in told and "goes with the next" not in told
    assert f"at once with `ptbridge retry {VISIT}`" in told
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "queued")], "as it says, the sync began the window and sent nothing"
    jobs.retry(world.config, name=VISIT, reason="now")
    assert sent(world)[-1] == ("7", "accepted")
    edit_minutes(world, 55)
    world.sync()
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace(', hold_window_minutes: "30"', ""))
    assert "goes with the next sync or `ptbridge retry`." in say(*word.split(), VISIT, "--reason", "seen")
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")


def test_the_hold_window_is_not_told_as_a_biller_that_is_away(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def say(*words: str) -> tuple[int, str]:
        return cli.main([*words, "--config", str(world.folder)]), capsys.readouterr().out

    policy(world, '{hold_window_minutes: "30"}')
    code, shown = say("sync")
    assert code == 4 and "56 submissions in the hold window until" in shown and "waiting for the biller" not in shown
    _, shown = say("status")
    assert "56 submissions in the hold window" in shown and "waiting for the biller" not in shown
    text = world.clinic_file.read_text()
    world.clinic_file.write_text(text.replace(world.biller.base_url, "http://127.0.0.1:9"))
    code, shown = say("retry", VISIT, "--reason", "now")
    assert code == 5 and "55 submissions in the hold window until" in shown
    assert "1 submission still waiting for the biller" in shown and "waiting for the biller: 1" in say("status")[1]


def test_what_delivery_gave_up_is_listed_with_who_must_act(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    def say(*words: str) -> tuple[int, str]:
        code = cli.main([*words, "--config", str(world.folder)])
        return code, capsys.readouterr().out

    world.biller.faults.refuse = lambda document: document["lines"][0]["procedure"] == "97150"
    world.sync()
    code, shown = say("held", "--dead")
    assert code == 3 and shown.count("to act: clinic") == 3 and shown.count("ptbridge retry pt-") == 3
    rows = json.loads(say("held", "--dead", "--json")[1])
    assert [row["native_code"] for row in rows] == ["not-billable"] * 3
    world.biller.faults.refuse = 0.0
    for row in rows:
        assert say("retry", row["id"], "--reason", "mended")[0] in (0, 3)
    assert say("held", "--dead") == (0, "Delivery gave nothing up.\n")
    world.agrees()
