"""Contract D27, the half of the person who asks: earlier days judged by the files of now, shown first, then exactly that."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.day import BILLING_NPI

from ptbridge import jobs
from ptbridge.errors import ConfigError
from ptbridge.jobs import Scope
from ptbridge.jobs.purge import purge
from ptbridge.ledger import Ledger
from tests.contract.test_changes import change, day, edit_clinic, pass_window, policy, sent
from tests.hl7_clinic import Hl7World, a_visit
from tests.world import DAY, World, running

VISIT, OTHER = "enc-0002", "enc-0003"
ALL = Scope(since=DAY)
GONE = "http://127.0.0.1:9"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with running(tmp_path / "config") as one:
        one.sync()
        yield one


def ptbridge(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("ptbridge")), *words, "--config", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def dearer(folder: Path) -> None:
    """97110 was entered at the wrong price."""
    for fees in (folder / "fees").iterdir():
        fees.write_text(re.sub(r"(?m)^(97110,[^,]*),[0-9.]+", r"\1,50.00", fees.read_text("utf-8")), "utf-8")


def another_word(world: World, word: str = "97530") -> None:
    """97110 of this EMR was read wrongly."""
    with world.mapping_file.open("a", encoding="utf-8") as mapping:
        mapping.write(f'\nlookups:\n  services:\n    "97110": "{word}"\n')


def everything(folder: Path) -> list[tuple[Any, ...]]:
    """Every row of the tables that a judgement writes, and where the history ends."""
    with Ledger.open(folder / "state", write=False) as ledger:
        tables = (
            "treatment_day",
            "day_version",
            "visit",
            "visit_version",
            "submission",
            "billed_line",
            "asked_anew",
            "standing",
        )
        rows = [row for table in tables for row in ledger._connection.execute(f"SELECT * FROM {table}")]
        return [*rows, ledger.history.head()]


def books_of(world: World) -> dict[str, Any]:
    """What the biller has; how often it was asked is no part of it."""
    return {name: value for name, value in world.books().items() if name != "requests"}


def apply(world: World, scope: Scope = ALL, **options: Any) -> dict[str, Any]:
    """Have done what is shown."""
    name = jobs.rejudge(world.config, scope)["name"]
    answer = jobs.rejudge(world.config, scope, apply=name, reason="price list of March", actor="ana", **options)
    assert answer["applied"]
    return answer


def test_D27_asked_it_shows_what_would_come_of_it_and_the_next_sync_does_exactly_that(world: World) -> None:
    """Through the real process. The EMR cannot be reached from here on: nothing of this may need it."""
    edit_clinic(world, world.emr.base_url, GONE)
    dearer(world.folder)
    before, books = everything(world.folder), books_of(world)
    shown = ptbridge(world.folder, "rejudge", "--since", "2026-11-19", "--json")
    assert shown.returncode == 0, shown.stderr
    answer = json.loads(shown.stdout)
    rows = answer["days"]
    assert 20 < len(rows) < answer["judged"] and answer["totals"]["held"]["days"] == 0
    assert {(row["before"]["state"], row["after"]["state"], row["route"]) for row in rows} == {("sent", "queued", "update")}
    assert all(row["difference"]["amount_cents"] > 0 == row["difference"]["units"] and row["asked"] for row in rows)
    assert (everything(world.folder), books_of(world)) == (before, books), "to look changes nothing, here or there"

    assert ptbridge(world.folder, "sync").returncode == 5
    assert books_of(world) == books, "and to look is not to ask"

    words = ("rejudge", "--since", "2026-11-19", "--apply", answer["name"], "--reason", "price list of March", "--by", "ana")
    done = ptbridge(world.folder, *words)
    assert done.returncode == 0 and "The next sync does exactly this" in done.stdout, done.stdout + done.stderr
    assert books_of(world) == books, "nothing leaves before the next sync"
    assert ptbridge(world.folder, "sync").returncode == 5

    now = books_of(world)
    assert now["charges"] == books["charges"] and now["units"] == books["units"]
    assert now["amount_cents"] - books["amount_cents"] == answer["totals"]["goes"]["amount_cents"]
    changed = {str(row["visits"][0]) for row in rows}
    for visit in ("enc-0002", "enc-0003", "enc-0004", "enc-0005"):
        assert sent(world, visit) == [("1", "accepted"), *([("7", "accepted")] if visit in changed else [])]
    assert {"at", "event", "detail", "actor"} == set(day(world)["history"][0])
    assert [
        (one["event"], one["detail"], one["actor"])
        for one in day(world, rows[0]["visits"][0])["history"]
        if "asked" in one["event"]
    ] == [("asked-anew", "price list of March", "ana")]
    world.agrees()
    again = ptbridge(world.folder, "rejudge", "--since", "2026-11-19")
    assert again.returncode == 0 and "nothing would change" in again.stdout


def test_D27_what_is_shown_says_what_is_read_otherwise_and_what_to_type_next(world: World) -> None:
    another_word(world)
    shown = ptbridge(world.folder, "rejudge", VISIT)
    assert shown.returncode == 0
    (row,) = jobs.rejudge(world.config, Scope(names=(VISIT,)))["days"]
    assert row["read_otherwise"] == [{"visit_id": VISIT, "what": "line 97110: procedure 97110 became 97530"}]
    assert row["difference"]["lines"] == ["take off 97110-GP x1 $42.00", "add 97530-GP x1 $52.75"]
    for word in (
        "sent -> queued",
        "97110-GP x1 $42.00",
        "97530-GP x1 $52.75",
        "+0 units, $10.75",
        "replace what the biller has",
    ):
        assert word in shown.stdout
    assert f"--apply {jobs.rejudge(world.config, Scope(names=(VISIT,)))['name']} --reason TEXT" in shown.stdout


def test_D27_only_the_days_that_were_named_or_lie_between_the_dates_go(world: World) -> None:
    dearer(world.folder)
    assert jobs.rejudge(world.config, Scope(since=DAY + timedelta(days=1)))["judged"] == 0
    assert jobs.rejudge(world.config, Scope(since=date(2026, 1, 1), until=DAY - timedelta(days=1)))["name"] is None
    assert jobs.rejudge(world.config, Scope(since=DAY, until=DAY))["judged"] == jobs.rejudge(world.config, ALL)["judged"] > 50
    apply(world, Scope(names=(VISIT,)))
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    assert jobs.rejudge(world.config, ALL)["days"], "the others were not asked about"
    assert sum(1 for frequency, *_ in world.biller.books.history if frequency == "7") <= 1
    world.agrees()


def test_D27_what_is_no_longer_what_was_shown_is_shown_again_and_not_done(world: World) -> None:
    dearer(world.folder)
    name = jobs.rejudge(world.config, ALL)["name"]
    world.store.edit_visit(VISIT, {"97112": 40})
    world.sync()
    before = everything(world.folder)
    late = ptbridge(world.folder, "rejudge", "--since", "2026-11-19", "--apply", name, "--reason", "price list of March")
    assert late.returncode == 3 and f"no longer what was shown as {name}" in late.stdout
    assert everything(world.folder) == before
    assert jobs.rejudge(world.config, ALL)["name"] in late.stdout


def test_D27_files_that_change_after_the_word_was_given_let_it_lapse(world: World) -> None:
    """What was shown was shown for those files."""
    dearer(world.folder)
    apply(world)
    books = books_of(world)
    another_word(world)
    world.sync()
    assert books_of(world) == books
    (lapsed,) = [one for one in day(world)["history"] if one["event"] == "asked-anew-lapsed"]
    assert lapsed["detail"] == "another configuration"
    world.sync()
    assert books_of(world) == books, "and for good: nobody is asked twice"


def test_D27_a_dry_run_rehearses_what_was_asked_and_leaves_the_question_standing(world: World) -> None:
    dearer(world.folder)
    asked = apply(world)
    rehearsed = world.sync(dry_run=True)
    assert len(rehearsed.would_send) == len(asked["days"])
    assert world.sync().submissions_sent == len(asked["days"])


def test_D27_the_clinics_policy_its_hold_window_and_undo_hold_as_ever(world: World) -> None:
    policy(world, '{hold_window_minutes: "30", confirm: [decrease-after-paid, replacement]}')
    dearer(world.folder)
    shown = jobs.rejudge(world.config, Scope(names=(VISIT,)))
    (row,) = shown["days"]
    assert row["after"]["state"] == "held" and row["confirm"] == ["replacement"] and row["who"] == "clinic"
    assert shown["totals"]["goes"]["days"] == 0 and shown["totals"]["held"]["amount_cents"] == 800
    apply(world, Scope(names=(VISIT,)))
    world.sync()
    assert day(world)["state"] == "held" and sent(world) == [("1", "accepted")]
    jobs.confirm(world.config, VISIT, "the price list is right")
    world.sync()
    assert change(world)["route"] == "update" and change(world)["goes_at"]
    jobs.undo(world.config, VISIT, "not this month")
    pass_window(world)
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "replaced")]
    world.agrees()


def test_D27_the_hold_window_is_told_before(world: World) -> None:
    policy(world, '{hold_window_minutes: "30"}')
    dearer(world.folder)
    assert "after 30 minutes of the hold window" in ptbridge(world.folder, "rejudge", VISIT).stdout


def test_D27_a_day_whose_source_was_purged_is_named_and_left_as_it_is(world: World) -> None:
    later = datetime.combine(DAY, datetime.min.time(), UTC) + timedelta(days=800)
    purge(world.config, older_than_days=400, now=later, really=True, actor="auditor")
    dearer(world.folder)
    books = books_of(world)
    answer = jobs.rejudge(world.config, ALL)
    assert answer["days"] == [] and answer["name"] is None
    assert {row["message"] for row in answer["left_out"]} == {"cannot be judged anew: its source was purged"}
    assert len(answer["left_out"]) > 50
    said = ptbridge(world.folder, "rejudge", VISIT).stdout
    assert (
        f"{day(world)['reference']} (2026-11-19)" in said and "its source was purged" in said and "nothing would change" in said
    )
    many = ptbridge(world.folder, "rejudge", "--since", "2026-11-19").stdout
    assert f"and {len(answer['left_out']) - 20} more" in many
    assert books_of(world) == books


def test_D27_what_is_purged_or_excluded_between_the_word_and_the_sync_is_left_alone(world: World) -> None:
    dearer(world.folder)
    apply(world)
    jobs.exclude(world.config, OTHER, "paid in cash")
    with Ledger.open(world.folder / "state") as ledger:
        (row,) = ledger.days.named(VISIT)
        ledger._connection.execute("UPDATE treatment_day SET purged_at = '2026-12-01' WHERE id = ?", (row.id,))
    world.sync()
    assert sent(world) == [("1", "accepted")] and sent(world, OTHER) == [("1", "accepted"), ("8", "accepted")]
    lapsed = [one["detail"] for one in day(world)["history"] if one["event"] == "asked-anew-lapsed"]
    assert lapsed == ["purged"]


def test_D27_what_a_person_excluded_stays_excluded(world: World) -> None:
    jobs.exclude(world.config, VISIT, "paid in cash")
    world.sync()
    another_word(world)
    answer = jobs.rejudge(world.config, Scope(names=(VISIT,)))
    assert answer["days"] == [] and answer["left_out"][0]["reason"] == "excluded-by-person"
    apply(world)
    world.sync()
    assert sent(world)[-1] == ("8", "accepted")
    world.agrees()


def test_D27_a_day_whose_answer_is_not_known_is_left_for_later(world: World) -> None:
    with Ledger.open(world.folder / "state") as ledger:
        (row,) = ledger.days.named(VISIT)
        ledger._connection.execute("UPDATE submission SET state = 'in-doubt', open = 1 WHERE day_id = ?", (row.id,))
    dearer(world.folder)
    answer = jobs.rejudge(world.config, Scope(names=(VISIT,)))
    assert answer["days"] == [] and answer["left_out"][0]["message"].startswith("its answer is not known yet")


def test_D27_what_can_no_longer_be_read_or_coded_would_be_held_and_is_told_so(world: World) -> None:
    another_word(world, "not-billable")
    text = world.mapping_file.read_text("utf-8")
    taken = jobs.rejudge(world.config, ALL)
    assert any(row["difference"]["amount_cents"] < 0 for row in taken["days"])
    world.mapping_file.write_text(text.replace("not-billable", "97XX0"), "utf-8")
    answer = jobs.rejudge(world.config, Scope(names=(VISIT,)))
    (row,) = answer["days"]
    assert row["after"]["state"] == "held" and row["reasons"] and answer["totals"]["held"]["days"] == 1
    assert row["reasons"][0]["code"] in ptbridge(world.folder, "rejudge", VISIT).stdout
    apply(world, Scope(names=(VISIT,)))
    books = books_of(world)
    world.sync()
    assert day(world)["state"] == "held" and books_of(world) == books, "a person decides; the biller keeps what it has"


def test_D27_another_policy_can_be_asked_for(world: World) -> None:
    edit_clinic(world, "policy: medicare_part_b", "policy: commercial_midpoint")
    rows = jobs.rejudge(world.config, ALL)["days"]
    assert rows and all("policy medicare_part_b became commercial_midpoint" in row["facts"] for row in rows)
    assert {row["difference"]["units"] for row in rows} - {0}
    answer = apply(world)
    books = books_of(world)
    world.sync()
    goes = answer["totals"]["goes"]
    assert books_of(world)["units"] - books["units"] == goes["units"]
    assert books_of(world)["amount_cents"] - books["amount_cents"] == goes["amount_cents"]
    world.agrees()


def test_D27_visits_that_belong_to_another_day_now_are_taken_back_there_and_billed_here_once(world: World) -> None:
    """The billing provider was wrong: each day is another one, and its visit must never be live twice."""
    books = books_of(world)
    edit_clinic(world, BILLING_NPI, "1003000126")
    rows = jobs.rejudge(world.config, Scope(names=(VISIT,)))["days"]
    old, new = sorted(rows, key=lambda row: not row["asked"])
    assert (old["before"]["state"], old["after"]["state"], old["after"]["lines"]) == ("sent", "queued", [])
    assert (new["before"]["state"], new["after"]["state"], new["asked"]) == ("open", "queued", False)
    assert new["after"]["lines"] == old["before"]["lines"] and new["visits"] == [VISIT]
    assert "follows from another day" in ptbridge(world.folder, "rejudge", VISIT).stdout
    apply(world, Scope(names=(VISIT,)))
    world.sync()
    assert books_of(world)["amount_cents"] == books["amount_cents"] and books_of(world)["charges"] == books["charges"]
    assert sent(world) == [("1", "accepted")] and old["id"] != day(world)["reference"]
    world.agrees()


def test_D27_what_the_next_sync_would_do_by_itself_is_no_part_of_the_answer(world: World) -> None:
    """Held days are judged anew anyway; they are not what is asked about."""
    held = {row["id"] for row in jobs.held(world.config)}
    dearer(world.folder)
    rows = jobs.rejudge(world.config, ALL)["days"]
    assert held and not held & {row["id"] for row in rows}


def test_a_scope_must_be_named_and_an_unknown_name_and_a_missing_reason_are_refused(world: World) -> None:
    for scope, options, words in (
        (Scope(), {}, "--since DATE, or their ids"),
        (Scope(names=("enc-9999",)), {}, "enc-9999: no treatment day"),
        (ALL, {"apply": "x", "reason": " "}, "needs a reason"),
    ):
        with pytest.raises(ConfigError, match=words):
            jobs.rejudge(world.config, scope, **options)
    assert ptbridge(world.folder, "rejudge").returncode == 6


# ---------------------------------------------------------------- HL7 v2


def test_D27_hl7_messages_that_were_kept_are_read_by_the_new_mapping(clinic: Hl7World) -> None:
    """Through the real process; the inbox is gone, so that what the ledger kept must do."""
    folder = clinic.world.folder
    clinic.receive(*a_visit(), *a_visit("V2", "M200"))
    clinic.sync()
    books = books_of(clinic.world)
    assert books["charges"] == 2
    inbox = folder / "state" / "inbox.sqlite"
    inbox.rename(folder / "aside")
    with (folder / "mappings" / "lakeside-pt.yaml").open("a", encoding="utf-8") as mapping:
        mapping.write('\nlookups:\n  services:\n    "97140": "97530"\n')
    answer = json.loads(ptbridge(folder, "rejudge", "V2", "--json").stdout)
    (row,) = answer["days"]
    assert [one["what"] for one in row["read_otherwise"]] == ["line 97140: procedure 97140 became 97530"]
    assert books_of(clinic.world) == books
    assert ptbridge(folder, "rejudge", "V2", "--apply", answer["name"], "--reason", "97140 was a wrong word").returncode == 0
    (folder / "aside").rename(inbox)
    assert ptbridge(folder, "sync").returncode == 0
    now = books_of(clinic.world)
    assert now["charges"] == 2 and now["amount_cents"] - books["amount_cents"] == answer["totals"]["goes"]["amount_cents"] != 0
    assert {line["procedure"] for line in clinic.day("V2")["lines"]} == {"97110", "97530"}
    assert {line["procedure"] for line in clinic.day("V1")["lines"]} == {"97110", "97140"}
    clinic.world.agrees()
