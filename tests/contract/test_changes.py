"""What happens to a charge whose visit changed after it was sent: real EMR, biller and ledger, by what each biller can do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox import charting
from ptbridge_sandbox.day import PLANTED

from ptbridge import cli, jobs
from ptbridge.errors import ConfigError
from ptbridge.ledger import Ledger
from ptbridge.model import Answer, Stage, Standing
from ptbridge.ports import AnswerPage
from tests import limited_biller
from tests.world import World

VISIT = "enc-0002"
HELD_BY_THE_OTHER_RULE = "enc-0003"


@pytest.fixture
def limited(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what this world's biller can do; the plugin is found by its entry point."""
    limited_biller.install(tmp_path / "plugin", monkeypatch)

    def limit(can: str) -> World:
        edit_clinic(world, "  platform: charge_api\n", f"  platform: limited_api\n  options: {{can: {can}}}\n")
        return world

    return limit


def edit_clinic(world: World, before: str, after: str) -> None:
    text = world.clinic_file.read_text("utf-8")
    assert before in text
    world.clinic_file.write_text(text.replace(before, after, 1), "utf-8")


@contextmanager
def away(world: World) -> Iterator[None]:
    """The biller cannot be reached meanwhile."""
    edit_clinic(world, world.biller.base_url, "http://127.0.0.1:9")
    yield
    edit_clinic(world, "http://127.0.0.1:9", world.biller.base_url)


def policy(world: World, words: str) -> None:
    with world.clinic_file.open("a", encoding="utf-8") as file:
        file.write(f"\nchanges: {words}\n")


def day(world: World, visit: str = VISIT) -> dict[str, Any]:
    (one,) = jobs.explain(world.config, visit)["days"]
    return one


def sent(world: World, visit: str = VISIT) -> list[tuple[str, str]]:
    """Every submission of the visit's day: frequency and state, in order."""
    return [(row["frequency"], row["state"]) for row in day(world, visit)["submissions"]]


def change(world: World, visit: str = VISIT) -> dict[str, Any]:
    (row,) = [row for row in jobs.changes(world.config) if visit in row["visits"] or visit in str(row["source"])]
    return row


def reference(world: World, visit: str = VISIT) -> str:
    return str(day(world, visit)["reference"])


def news(world: World, name: str, stage: Stage, standing: Standing, number: str | None = None) -> None:
    """The platform says how far the charge is, as its feed would."""
    answer = Answer(
        key=f"{name} {stage} {standing} {number}", stage=stage, standing=standing, reference=name, payer_claim_number=number
    )
    with Ledger.open(world.config.state) as ledger:
        platform = world.config.clinics["riverside-pt"].destination.platform
        ledger.answers.record("riverside-pt", platform, AnswerPage(answers=(answer,)))


def forget(world: World, name: str) -> None:
    """What was rejected is not in the biller's books."""
    del world.biller.books.live[name], world.biller.books.latest[name]
    world.biller.books._sorted = None


def edit_minutes(world: World, minutes: int = 40, visit: str = VISIT) -> None:
    world.store.edit_visit(visit, {"97112": minutes})


def status(world: World, word: str, visit: str = VISIT) -> None:
    world.store.edit("Encounter", visit, lambda encounter: encounter.update(status=word))


def rescan(world: World) -> None:
    with Ledger.open(world.folder / "state") as ledger:
        ledger._connection.execute("DELETE FROM cursor WHERE name LIKE '%rescan%'")


def recount(world: World, visit: str = VISIT) -> None:
    """New totals on the Encounter, after a Procedure came or went."""
    world.store.edit_visit(visit, {})


def events(world: World) -> list[tuple[str, str]]:
    return [(event, name) for event, name, _ in world.biller.books.history]


# ---------------------------------------------------------------- a biller that takes replacements


def test_units_changed_after_sending_are_replaced_and_shown_before(world: World) -> None:
    world.sync()
    edit_minutes(world)
    policy(world, '{hold_window_minutes: "30"}')
    world.sync()
    row = change(world)
    assert row["route"] == "update" and row["who"] == "ptbridge" and row["kind"] == "correction"
    assert row["source"][0]["what"].startswith("line 97112: minutes") and row["source"][0]["at"]
    assert row["difference"]["units"] == row["after"]["units"] - row["before"]["units"] > 0
    assert row["difference"]["amount_cents"] == row["after"]["amount_cents"] - row["before"]["amount_cents"] > 0
    pass_window(world)
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "accepted")] and jobs.changes(world.config) == []
    world.agrees()


def test_a_line_added_after_sending_is_a_replacement(world: World) -> None:
    world.sync()
    before = day(world)["units"]
    procedure = world.store.resource("Procedure", f"{VISIT}-p1")
    added = {**procedure, "id": f"{VISIT}-p9", "code": charting.coding(charting.CPT, "97530")}
    world.store.add(added)
    recount(world)
    world.sync()
    assert sent(world)[-1] == ("7", "accepted") and day(world)["units"] > before
    world.agrees()


def test_a_line_removed_after_sending_is_a_replacement(world: World) -> None:
    world.sync()
    world.store.edit("Procedure", f"{VISIT}-p2", lambda one: one.update(status="entered-in-error"))
    recount(world)
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    assert len(day(world)["lines"]) == 1
    world.agrees()


def test_a_whole_visit_entered_in_error_is_voided_and_undoing_that_bills_it_once_again(world: World) -> None:
    world.sync()
    count = len(events(world))
    status(world, "entered-in-error")
    world.sync()
    assert sent(world) == [("1", "accepted"), ("8", "accepted")]
    status(world, "finished")
    world.sync()
    assert events(world)[count:] == [("voided", reference(world)), ("created", reference(world))]
    world.agrees()


def test_a_void_before_the_original_leaves_nothing_to_send(world: World) -> None:
    with away(world):
        world.sync()
    status(world, "entered-in-error")
    world.sync()
    assert sent(world) == [("1", "replaced")] and day(world)["state"] == "excluded"
    assert reference(world) not in dict(events(world)).values()
    world.agrees()


def test_an_excluded_day_that_was_sent_is_voided(world: World) -> None:
    world.sync()
    jobs.exclude(world.config, VISIT, "paid in cash", actor="owner")
    world.sync()
    assert sent(world)[-1] == ("8", "accepted")
    assert (day(world)["state"], day(world)["decision"]["kind"]) == ("voided", "exclude")
    world.agrees()


def test_who_excludes_a_day_has_said_that_it_is_taken_back(world: World) -> None:
    policy(world, "{confirm: [void]}")
    world.sync()
    jobs.exclude(world.config, VISIT, "paid in cash", actor="owner")
    world.sync()
    assert sent(world)[-1] == ("8", "accepted") and day(world)["state"] == "voided"
    world.agrees()


def test_a_void_that_needs_a_person_shows_what_is_taken_back_and_the_day_stays_excluded(world: World) -> None:
    policy(world, "{confirm: [after-decision]}")
    world.sync()
    news(world, reference(world), Stage.REMITTANCE, Standing.PAID, "ICN1")
    world.sync()
    jobs.exclude(world.config, VISIT, "paid in cash", actor="owner")
    world.sync()
    row = change(world)
    assert row["after"] == {"lines": [], "units": 0, "amount_cents": 0}
    assert row["difference"]["units"] == -row["before"]["units"] < 0
    assert row["difference"]["amount_cents"] == -row["before"]["amount_cents"] < 0
    assert len(row["difference"]["lines"]) == len(row["before"]["lines"])
    jobs.confirm(world.config, VISIT, "the insurer gets it back", actor="owner")
    for _ in range(2):
        world.sync()
        assert (sent(world)[-1], day(world)["state"]) == (("8", "accepted"), "voided")
    world.agrees()


def merge_into(world: World, survivor: str, visit: str = VISIT) -> None:
    """The chart moves to the surviving patient's record: the Encounter and all that hangs on it."""
    subject = {"reference": f"Patient/{survivor}"}
    for kind in ("Procedure", "Condition", "DocumentReference"):
        for entry in world.store.shelf(kind).by_encounter.get(visit, []):
            world.store.edit(kind, entry.id, lambda one: one.update(subject=subject))
    world.store.edit("Encounter", visit, lambda one: one.update(subject=subject))


def patient_of(world: World, visit: str) -> str:
    return str(world.store.resource("Encounter", visit)["subject"]["reference"]).partition("/")[2]


@pytest.mark.parametrize("other", ["enc-0001", "enc-0012"])
def test_a_merged_patient_takes_the_visit_along_and_it_is_live_once_at_every_moment(world: World, other: str) -> None:
    """Into a patient whose own day was seen before, and after: the void goes first either way (D2)."""
    world.sync()
    before, old = world.books(), reference(world)
    merge_into(world, patient_of(world, other))
    world.sync()
    later = events(world)[sum(before["events"].values()) :]
    assert later[0] == ("voided", old)
    assert len(later) == 2 and later[1][0] in ("created", "replaced")
    assert day(world)["reference"] != old and day(world)["state"] == "sent"
    world.agrees()


def insure(world: World, payer: str, visit: str = VISIT) -> None:
    patient = patient_of(world, visit)

    def other(coverage: dict[str, Any]) -> None:
        coverage["payor"][0]["identifier"]["value"] = payer
        coverage["payor"][0]["display"] = charting.PAYER_NAMES[payer]

    world.store.edit("Coverage", f"cov-{patient}-1", other)
    world.store.edit("Encounter", visit, lambda one: None)


def test_another_payer_is_a_replacement_while_the_charge_is_the_billers_own(world: World) -> None:
    world.sync()
    insure(world, "ACME")
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "accepted")] and day(world)["payer_as_given"] == "ACME"
    world.agrees()


def test_another_payer_is_told_also_where_the_day_is_held(world: World) -> None:
    """Under the 8-minute rule the same minutes give other units than the EMR's, so that a person must look."""
    world.sync()
    insure(world, "BLUE8", HELD_BY_THE_OTHER_RULE)
    world.sync()
    row = change(world, HELD_BY_THE_OTHER_RULE)
    assert (row["state"], row["difference"]["payer_changed"]) == ("held", True)
    assert [one["what"] for one in row["source"]] == ["insurance ACME became BLUE8"]


def test_an_insurance_that_ended_is_told(world: World) -> None:
    world.sync()
    world.store.edit("Coverage", f"cov-{patient_of(world, VISIT)}-1", lambda one: one.update(status="entered-in-error"))
    world.store.edit("Encounter", VISIT, lambda one: None)
    world.sync()
    row = change(world)
    assert row["state"] == "held" and row["who"] == "clinic"
    assert any("insurance MCR-B" in one["what"] for one in row["source"]), row["source"]


def test_a_second_insurance_reaches_the_biller_and_is_seen(world: World) -> None:
    world.sync()
    patient = patient_of(world, VISIT)
    first = world.store.resource("Coverage", f"cov-{patient}-1")
    second = {**first, "id": f"cov-{patient}-2", "order": 2, "subscriberId": "SECONDQXZ"}
    second["payor"] = [{"display": "Acme Health Plan", "identifier": {**first["payor"][0]["identifier"], "value": "ACME"}}]
    world.store.add(second)
    world.store.edit("Encounter", VISIT, lambda one: None)
    world.sync()
    found = day(world)
    assert "CV08" in {one["code"] for one in found["findings"]} and found["state"] == "sent"
    (visit,) = found["coverages"].values()
    assert [(one["payer"], one["order"]) for one in visit] == [("MCR-B", 1), ("ACME", 2)]
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    (_, document) = world.biller.news._waiting[found["reference"]]
    assert document["coverage"]["payer_id"] == "MCR-B"
    assert [(one["order"], one["payer_id"], one["member_id"]) for one in document["other_coverages"]] == [
        (2, "ACME", "SECONDQXZ")
    ]
    assert "SECONDQXZ" not in str(found) and "SECONDQXZ" not in str(jobs.changes(world.config))
    world.agrees()


# ---------------------------------------------------------------- void but no replace


def test_without_replacements_it_is_voided_and_the_new_original_has_a_reference_of_its_own(limited: Any) -> None:
    world = limited("void-only")
    world.sync()
    first, count = reference(world), len(events(world))
    edit_minutes(world)
    world.sync()
    (void, again) = events(world)[count:]
    assert void == ("voided", first)
    assert again[0] == "created" and again[1] != first and len(again[1]) == 27 and again[1].startswith("pt-")
    assert sent(world) == [("1", "accepted"), ("8", "accepted"), ("1", "accepted")]
    world.agrees()
    edit_minutes(world, 24)
    world.sync()
    assert len({name for event, name in events(world) if event == "created"}) == 56 + 2
    world.agrees()


def test_the_new_original_waits_until_the_void_is_accepted(limited: Any) -> None:
    world = limited("void-only")
    world.sync()
    first, before = reference(world), world.books()
    edit_minutes(world)
    world.biller.faults.refuse = lambda document: document["frequency"] == "8"
    world.sync()
    assert world.books()["events"] == before["events"] and day(world)["state"] == "held"
    (dead,) = jobs.dead_letters(world.config)
    assert (dead["id"], dead["frequency"], dead["owner"]) == (first, "8", "clinic") and "rejected" in dead["message"]
    world.biller.faults.refuse = 0.0
    jobs.retry(world.config, name=VISIT, reason="the biller mended it")
    assert [frequency for frequency, state in sent(world) if state == "accepted"] == ["1", "8", "1"]
    world.agrees()


@pytest.mark.usefixtures("retried_at_once")
def test_a_lost_answer_to_the_void_still_gives_one_new_original(limited: Any) -> None:
    world = limited("void-only")
    world.sync()
    edit_minutes(world)
    world.biller.faults.lose_answer = 0.7
    world.sync()
    world.biller.faults.lose_answer = 0.0
    for _ in range(3):
        jobs.retry(world.config)
    assert [frequency for frequency, state in sent(world) if state == "accepted"] == ["1", "8", "1"]
    world.agrees()


# ---------------------------------------------------------------- neither


def test_without_either_it_is_a_task_for_the_biller_with_the_exact_difference(limited: Any) -> None:
    world = limited("neither")
    world.sync()
    before = world.books()
    edit_minutes(world)
    status(world, "entered-in-error", "enc-0003")
    world.sync()
    row, gone = change(world), change(world, "enc-0003")
    assert [reason["code"] for reason in row["reasons"]] == ["SB01"] and row["who"] == "biller" and row["route"] == "task"
    assert [reason["code"] for reason in gone["reasons"]] == ["SB02"] and gone["after"]["units"] == 0
    lines = row["difference"]["lines"]
    assert lines and all(line in row["reasons"][0]["message"] for line in lines)
    assert "97112-GP x" in lines[0] and "$" in lines[0] and "becomes" in lines[0]
    assert world.books()["events"] == before["events"]
    with pytest.raises(ConfigError, match="cannot be released"):
        jobs.release(world.config, VISIT, "send it")
    world.agrees()


def test_what_a_person_had_the_biller_do_is_taken_over_and_never_sent(limited: Any) -> None:
    world = limited("neither")
    world.sync()
    edit_minutes(world)
    status(world, "entered-in-error", "enc-0003")
    world.sync()
    before = world.books()
    jobs.done(world.config, VISIT, "changed on the phone with the biller", actor="owner")
    jobs.done(world.config, "enc-0003", "taken back on the phone")
    world.sync()
    assert day(world)["state"] == "sent" and day(world, "enc-0003")["state"] == "voided"
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    assert world.books()["events"] == before["events"] and jobs.changes(world.config) == []
    (compared,) = jobs.reconcile(world.config).values()
    assert compared["agrees"] is False, "the sandbox biller was not told on the phone: what it still has is a difference"
    with pytest.raises(ConfigError, match="no held treatment day"):
        jobs.done(world.config, VISIT, "again")


def test_what_was_made_by_hand_once_is_not_taken_for_made_again(limited: Any) -> None:
    """Another price later: the biller was told on the phone of the first correction alone."""
    world = limited("neither")
    world.sync()
    edit_minutes(world)
    world.sync()
    jobs.done(world.config, VISIT, "changed on the phone with the biller", actor="owner")
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    for fees in (world.folder / "fees").iterdir():
        fees.write_text(re.sub(r"(?m)^(97112,[^,]*),[0-9.]+", r"\1,99.00", fees.read_text("utf-8")), "utf-8")
    scope = jobs.Scope(names=(VISIT,))
    shown = jobs.rejudge(world.config, scope)
    assert jobs.rejudge(world.config, scope, apply=shown["name"], reason="price list of March")["applied"]
    world.sync()
    assert (day(world)["state"], day(world)["reason"]) == ("held", "SB01")
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    jobs.done(world.config, VISIT, "that too, on the phone", actor="owner")
    world.sync()
    assert day(world)["state"] == "sent" and sent(world)[2:] == [("7", "accepted")]


def test_an_excluded_day_that_a_person_had_taken_back_stays_excluded(limited: Any) -> None:
    world = limited("neither")
    world.sync()
    jobs.exclude(world.config, VISIT, "paid in cash")
    world.sync()
    assert [reason["code"] for reason in change(world)["reasons"]] == ["SB02"]
    jobs.done(world.config, VISIT, "taken back on the phone")
    for _ in range(2):
        world.sync()
        assert day(world)["state"] == "voided"
    assert sent(world) == [("1", "accepted"), ("8", "accepted")]


def test_an_excluded_day_stays_excluded_when_a_refused_void_is_tried_again(limited: Any) -> None:
    world = limited("void-only")
    world.sync()
    jobs.exclude(world.config, VISIT, "paid in cash")
    world.biller.faults.refuse = lambda document: document["frequency"] == "8"
    world.sync()
    assert day(world)["state"] == "held"
    world.biller.faults.refuse = 0.0
    jobs.retry(world.config, name=VISIT, reason="the biller mended it")
    assert sent(world)[-1] == ("8", "accepted") and day(world)["state"] == "voided"
    world.agrees()


def test_a_moved_visit_is_not_billed_twice_while_its_old_charge_cannot_be_taken_back(limited: Any) -> None:
    world = limited("neither")
    world.sync()
    before, old = world.books(), reference(world)
    merge_into(world, patient_of(world, "enc-0012"))
    world.sync()
    by_itself = [row for row in jobs.held(world.config) if row["goes_by_itself"]]
    assert [reason["code"] for row in by_itself for reason in row["reasons"]] == ["SB06"]
    assert world.books()["events"] == before["events"]
    jobs.done(world.config, old, "the biller took it back")
    world.sync()
    world.sync()
    assert not [row for row in jobs.held(world.config) if any(reason["code"] == "SB06" for reason in row["reasons"])]


# ---------------------------------------------------------------- a platform that makes claims


def test_a_correction_beyond_the_platform_waits_for_the_payers_number_and_goes_by_itself(limited: Any) -> None:
    world = limited("claims")
    world.sync()
    name = reference(world)
    news(world, name, Stage.CLEARINGHOUSE, Standing.ACCEPTED)
    edit_minutes(world)
    world.sync()
    assert [reason["code"] for reason in change(world)["reasons"]] == ["SB04"] and change(world)["who"] == "ptbridge"
    news(world, name, Stage.REMITTANCE, Standing.PAID, "ICN123")
    world.sync()
    assert sent(world) == [("1", "accepted"), ("7", "accepted")]
    assert b'"original_id":"ICN123"' in last_body(world)
    world.agrees()


def test_what_goes_by_itself_is_held_and_not_listed_for_a_person(limited: Any, capsys: pytest.CaptureFixture[str]) -> None:
    world = limited("claims")
    before = world.sync()
    news(world, reference(world), Stage.CLEARINGHOUSE, Standing.ACCEPTED)
    edit_minutes(world)
    after = world.sync()
    assert (before.by_itself_days, after.by_itself_days, after.held_days) == (0, 1, before.held_days)
    assert after.visits["held"] == 1 and len(after.held) == after.held_days > 0
    assert not [row for row in after.held if VISIT in row["visits"]], "only what needs a person"
    page = Path(after.report_path).read_text("utf-8")
    assert "1 treatment day is held and goes by itself." in page and "payer&#x27;s claim number" not in page
    capsys.readouterr()
    assert cli.main(["sync", "--config", str(world.folder)]) == 3, "the others need a person"
    assert "1 treatment day is held and goes by itself: ptbridge held" in capsys.readouterr().out
    assert cli.main(["held", "--config", str(world.folder)]) == 3
    mine, alone = capsys.readouterr().out.split("1 treatment day is held and goes by itself")
    assert VISIT not in mine and f"{after.held_days + len(after.quarantined)} treatment days for a person" in mine
    assert VISIT in alone and "SB04" in alone


def test_a_clinic_of_which_all_that_is_held_goes_by_itself_needs_nobody(
    limited: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world = limited("claims")
    world.sync()
    news(world, reference(world), Stage.CLEARINGHOUSE, Standing.ACCEPTED)
    edit_minutes(world)
    world.sync()
    for row in jobs.held(world.config):
        if row["quarantined"]:
            with Ledger.open(world.config.state) as ledger:
                ledger._connection.execute("UPDATE visit SET state = 'gone' WHERE visit_id = ?", (row["id"],))
        elif not row["goes_by_itself"]:
            jobs.exclude(world.config, row["id"], "not in this test")
    report = world.sync()
    assert (report.exit_code, report.held_days, report.by_itself_days) == (0, 0, 1), report.held
    assert "Nothing waits for a person. 1 treatment day is held and goes by itself." in Path(report.report_path).read_text(
        "utf-8"
    )
    capsys.readouterr()
    assert cli.main(["held", "--config", str(world.folder)]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Nothing waits for a person.") and "SB04" in shown


def last_body(world: World, visit: str = VISIT) -> bytes:
    """The exact bytes that the biller took last for a visit's day."""
    with Ledger.open(world.config.state, write=False) as ledger:
        (row,) = ledger.days.named(visit)
        live = ledger.days.live(row)
        assert live is not None
        return live.body


def test_while_the_platform_has_it_to_itself_its_own_id_is_named(limited: Any) -> None:
    world = limited("claims")
    world.sync()
    edit_minutes(world)
    world.sync()
    assert sent(world)[-1] == ("7", "accepted") and b'"original_id":"B0' in last_body(world)


def test_a_denied_claim_goes_as_a_replacement_and_a_rejected_one_as_an_original(limited: Any) -> None:
    world = limited("claims")
    world.sync()
    news(world, reference(world), Stage.REMITTANCE, Standing.DENIED, "ICN1")
    other = reference(world, "enc-0003")
    news(world, other, Stage.CLEARINGHOUSE, Standing.REJECTED)
    edit_minutes(world)
    world.store.edit_visit("enc-0003", {line["procedure"]: 45 for line in day(world, "enc-0003")["lines"]})
    forget(world, other)
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    assert [frequency for frequency, state in sent(world, "enc-0003") if state == "accepted"] == ["1", "1"]
    world.agrees()


def test_what_was_rejected_and_is_billed_no_more_is_forgotten(limited: Any) -> None:
    world = limited("claims")
    world.sync()
    name = reference(world)
    news(world, name, Stage.CLEARINGHOUSE, Standing.REJECTED)
    forget(world, name)
    status(world, "entered-in-error")
    world.sync()
    assert day(world)["state"] == "voided" and sent(world) == [("1", "accepted")]
    world.agrees()


def test_another_payer_takes_the_claim_back_at_the_old_one_first(limited: Any) -> None:
    world = limited("claims")
    world.sync()
    name, count = reference(world), len(events(world))
    news(world, name, Stage.PAYER, Standing.ACCEPTED, "ICN9")
    insure(world, "ACME")
    world.sync()
    void, again = events(world)[count:]
    assert void == ("voided", name) and again[0] == "created" and again[1] != name
    world.agrees()


def test_beyond_the_last_stage_that_a_program_can_change_it_is_a_task(limited: Any) -> None:
    world = limited("task-after-payer")
    world.sync()
    news(world, reference(world), Stage.PAYER, Standing.ACCEPTED)
    edit_minutes(world)
    world.sync()
    (reason,) = change(world)["reasons"]
    assert reason["code"] == "SB01" and "at the stage payer only a person" in reason["message"]


# ---------------------------------------------------------------- what the clinic wants to see first


def test_a_policy_holds_corrections_until_a_person_confirms_just_this_content(world: World) -> None:
    policy(world, "{confirm: [replacement, void]}")
    world.sync()
    before = world.books()
    edit_minutes(world)
    world.sync()
    row = change(world)
    assert row["confirm"] == ["replacement"] and row["who"] == "clinic" and row["reasons"][0]["code"] == "SB05"
    assert world.books()["events"] == before["events"]
    with pytest.raises(ConfigError, match="reason"):
        jobs.confirm(world.config, VISIT, "")
    jobs.confirm(world.config, VISIT, "the note was corrected with the therapist", actor="owner")
    edit_minutes(world, 55)
    world.sync()
    assert change(world)["reasons"][0]["code"] == "SB05", "another content, another word"
    jobs.confirm(world.config, VISIT, "seen")
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    with pytest.raises(ConfigError, match="no held treatment day"):
        jobs.confirm(world.config, VISIT, "again")
    with pytest.raises(ConfigError, match="nothing of it waits for a confirmation"):
        jobs.confirm(world.config, PLANTED["unsigned-note"], "no")
    world.agrees()


def test_less_after_it_was_paid_needs_a_person_where_the_policy_says_so(limited: Any) -> None:
    world = limited("claims")
    policy(world, "{confirm: [decrease-after-paid]}")
    world.sync()
    for visit in (VISIT, "enc-0003"):
        news(world, reference(world, visit), Stage.REMITTANCE, Standing.PAID, f"ICN-{visit}")
    edit_minutes(world, 8)
    codes = {line["procedure"]: 60 for line in day(world, "enc-0003")["lines"]}
    world.store.edit_visit("enc-0003", codes)
    world.sync()
    assert change(world)["confirm"] == ["decrease-after-paid"]
    assert sent(world, "enc-0003")[-1] == ("7", "accepted"), "more is not held"


def test_a_release_and_a_confirmation_of_one_content_both_hold(world: World) -> None:
    policy(world, "{confirm: [replacement]}")
    world.sync()
    edit_minutes(world)
    for note in world.store.shelf("DocumentReference").by_encounter[VISIT]:
        world.store.edit("DocumentReference", note.id, lambda one: one.update(docStatus="preliminary"))
    world.sync()
    jobs.release(world.config, VISIT, "signed on paper")
    world.sync()
    jobs.confirm(world.config, VISIT, "and seen")
    world.sync()
    assert sent(world)[-1] == ("7", "accepted")
    world.agrees()


def test_unknown_words_and_a_negative_window_are_refused_with_the_file(world: World) -> None:
    policy(world, '{hold_window_minutes: "-5", confirm: [everything]}')
    with pytest.raises(ConfigError) as refused:
        _ = world.config
    assert "everything" in str(refused.value) and "replacement" in str(refused.value) and "-5" in str(refused.value)


# ---------------------------------------------------------------- the hold window


@pytest.fixture
def patient_clinic(world: World) -> World:
    policy(world, '{hold_window_minutes: "30"}')
    return world


def pass_window(world: World) -> None:
    """Half an hour later, by the ledger's own columns."""
    with Ledger.open(world.folder / "state") as ledger:
        ledger._connection.execute("UPDATE submission SET next_at = next_at - 1801, window_until = window_until - 1801")


def test_a_judged_day_waits_its_window_and_goes_with_the_first_run_after_it(patient_clinic: World) -> None:
    world = patient_clinic
    report = world.sync()
    assert report.submissions_sent == 0 and report.visits["queued"] == 57 and report.errors == []
    row = change(world)
    assert row["kind"] == "hold-window" and row["goes_at"] and row["before"] is None
    assert world.sync().submissions_sent == 0
    pass_window(world)
    assert world.sync().submissions_sent == 56
    world.agrees()


def test_an_edit_inside_the_window_replaces_in_place_and_starts_it_anew(patient_clinic: World) -> None:
    world = patient_clinic
    world.sync()
    pass_window(world)
    edit_minutes(world)
    assert world.sync().submissions_sent == 55
    assert sent(world) == [("1", "replaced"), ("1", "queued")]
    pass_window(world)
    world.sync()
    assert sent(world) == [("1", "replaced"), ("1", "accepted")]
    world.agrees()


def test_judging_the_same_again_leaves_what_waits_with_its_key_and_window(patient_clinic: World) -> None:
    world = patient_clinic
    world.sync()
    before = day(world)["submissions"], change(world)["goes_at"]
    with Ledger.open(world.folder / "state") as ledger, ledger.transaction():
        ledger._connection.execute("UPDATE treatment_day SET dirty = 1")
    world.sync()
    assert (day(world)["submissions"], change(world)["goes_at"]) == before


def test_undo_inside_the_window_takes_it_back_and_it_stays_back_until_a_person_or_an_edit(patient_clinic: World) -> None:
    world = patient_clinic
    world.sync()
    with pytest.raises(ConfigError, match="needs a reason"):
        jobs.undo(world.config, VISIT, "")
    assert sent(world) == [("1", "queued")]
    jobs.undo(world.config, VISIT, "wrong patient's note", actor="owner")
    jobs.undo(world.config, "enc-0003", "not yet")
    pass_window(world)
    assert world.sync().submissions_sent == 54
    assert (day(world)["state"], day(world)["reason"]) == ("held", "undone-by-person")
    (row,) = [row for row in jobs.held(world.config) if VISIT in row["visits"]]
    assert "took it back" in row["reasons"][0]["message"] and "exclude" in row["reasons"][0]["fix"]
    jobs.retry(world.config)
    assert day(world)["state"] == "held", "a retry of everything is no word about this one"
    jobs.retry(world.config, name=VISIT, reason="it was right")
    assert sent(world)[-1] == ("1", "accepted"), "a person asked for it: no second window"
    world.store.edit_visit("enc-0003", {line["procedure"]: 45 for line in day(world, "enc-0003")["lines"]})
    world.sync()
    assert day(world, "enc-0003")["state"] == "queued"
    with pytest.raises(ConfigError, match=r"was sent already.*exclude"):
        jobs.undo(world.config, VISIT, "too late")
    with pytest.raises(ConfigError, match="nothing of it waits"):
        jobs.undo(world.config, PLANTED["unsigned-note"], "no")


def test_a_correction_in_its_window_can_be_undone_and_shows_as_a_change(patient_clinic: World) -> None:
    world = patient_clinic
    world.sync()
    pass_window(world)
    world.sync()
    edit_minutes(world)
    world.sync()
    assert change(world)["goes_at"] and change(world)["route"] == "update"
    jobs.undo(world.config, VISIT, "the edit was wrong")
    row = change(world)
    assert row["who"] == "clinic" and row["reasons"][0]["code"] == "undone-by-person"
    edit_minutes(world, 18)
    world.sync()
    world.agrees()


def test_a_named_retry_ends_the_window(patient_clinic: World) -> None:
    world = patient_clinic
    world.sync()
    jobs.retry(world.config, name=VISIT, reason="the biller closes its month today")
    assert sent(world) == [("1", "accepted")]
    pass_window(world)
    with away(world):
        world.sync()
    with pytest.raises(ConfigError, match="held or waiting"):
        jobs.retry(world.config, name=VISIT, reason="it is there")
