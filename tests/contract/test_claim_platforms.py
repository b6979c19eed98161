"""The main job against the platforms that make claims: real EMR, real ledger, a pretend Candid, Claim.MD, Stedi and
FHIR server.

What is sent, corrected, taken back, told later and reconciled, counted by the platform for itself and held beside the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.fhir_claim_server import TransactionFaults
from ptbridge_sandbox.stedi_words import denied as denied_line

from ptbridge import jobs
from ptbridge.cli import peer_checks
from ptbridge.jobs import backup
from ptbridge.ledger import Ledger
from tests.platforms import NUMBERED, PLATFORMS, TOTALS, VISIT, at, day
from tests.world import World


def agrees(world: World, server: Any) -> dict[str, Any]:
    """Platform and ledger, each by its own count."""
    summary: dict[str, Any] = server.summary()
    assert summary["violations"] == []
    (answer,) = jobs.reconcile(world.config).values()
    assert answer["agrees"], answer["differences"]
    assert answer["ours"] == {key: summary[key] for key in TOTALS}
    return summary


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_day_is_sent_to_the_cent_and_sent_once(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        report = world.sync()
        summary = agrees(world, server)
        assert report.units_sent == summary["units"] > 100 and report.amount_cents_sent == summary["amount_cents"]
        held = [reason["message"] for row in jobs.held(world.config) for reason in row["reasons"] if reason["code"] == "SB03"]
        assert not any("subscriber" in message for message in held), "spouses of the pretend clinic's patients are known"
        assert "not-a-code" not in str(day(world)["submissions"]), "what the platform says of a good day is a code"
        asked = len(server.seen)
        world.sync()
        assert len(server.seen) == asked, "nothing is sent twice"


@pytest.mark.parametrize(
    ("platform", "said"),
    [
        ("candid", "bundles in error: 0"),
        ("stedi", "claims are marked as test claims (usage T)"),
        ("fhir_claim-both", "takes transactions"),
    ],
)
def test_doctor_tells_what_only_that_platform_can_say(platform: str, said: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        (spec,) = world.config.clinics.values()
        found = list(peer_checks.biller(world.config, spec))
        assert any(said in what for _, what, _ in found) and not server.summary()["charges"]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.usefixtures("retried_at_once")
def test_a_day_with_a_tenth_of_everything_going_wrong_ends_the_same(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        server.faults = TransactionFaults(  # those of transactions are a FHIR server's alone
            busy=0.1,
            lose_answer=0.1,
            error_after_commit=0.05,
            html_answer=0.05,
            answer_twice=0.05,
            half_answer=0.05,
            half_done=0.05,
            half_lost=0.05,
        )
        for _ in range(6):
            report = world.sync()
            if not report.visits.get("queued"):
                break
        server.faults = Faults()
        world.sync()
        assert server.requests["lost answers"] > 0
        agrees(world, server)


def sent(world: World) -> list[tuple[str, str]]:
    return [(row["frequency"], row["state"]) for row in day(world)["submissions"]]


def status(world: World, word: str) -> None:
    world.store.edit("Encounter", VISIT, lambda encounter: encounter.update(status=word))


def payer_accepts(platform: str, world: World, server: Any) -> None:
    """The claim is at the payer and has its number."""
    name = str(day(world)["reference"])
    if platform in NUMBERED:
        world.in_servers(lambda: server.payer_accepts(name))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_note_edited_after_sending_is_corrected_and_a_visit_in_error_taken_back(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        before = server.summary()
        payer_accepts(platform, world, server)
        world.store.edit_visit(VISIT, {"97112": 40})
        world.sync()
        assert sent(world) == [("1", "accepted"), ("7", "accepted")]
        corrected = agrees(world, server)
        assert corrected["charges"] == before["charges"] and corrected["units"] > before["units"]
        payer_accepts(platform, world, server)
        status(world, "entered-in-error")
        world.sync()
        assert sent(world)[-1] == ("8", "accepted")
        assert agrees(world, server)["charges"] == before["charges"] - 1
        status(world, "finished")
        world.sync()
        assert sent(world)[-1] == ("1", "accepted")
        again = agrees(world, server)
        assert {name: again[name] for name in TOTALS} == {name: corrected[name] for name in TOTALS}


@pytest.mark.parametrize("platform", NUMBERED)
def test_a_claim_that_the_payer_rejected_is_no_difference_while_it_waits_to_be_corrected(platform: str, tmp_path: Path) -> None:
    """Nobody has it, and both sides know: to ask the biller who took it out would be a false alarm for every rejection."""
    with at(platform, tmp_path / "config") as (world, server):
        before = world.sync()
        payer_accepts(platform, world, server)
        name = str(day(world)["reference"])
        world.in_servers(lambda: server.payer_rejects(name, "A7", "164"))
        report = world.sync()
        assert report.exit_code == 3 and [code["code"] for code in held_codes(world)] == ["RJ01"]
        summary = agrees(world, server)
        assert summary["charges"] == before.submissions_sent - 1


def held_codes(world: World) -> list[dict[str, Any]]:
    (row,) = (row for row in jobs.held(world.config) if VISIT in row["visits"])
    found: list[dict[str, Any]] = row["reasons"]
    return found


@pytest.mark.parametrize("platform", NUMBERED)
def test_a_correction_at_a_clearinghouse_waits_for_the_payers_number(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        world.store.edit_visit(VISIT, {"97112": 40})
        world.sync()
        assert sent(world) == [("1", "accepted")], "without the number there is nothing to name"
        payer_accepts(platform, world, server)
        world.sync()
        assert sent(world) == [("1", "accepted"), ("7", "accepted")]
        agrees(world, server)


@pytest.mark.parametrize("platform", ["candid", "candid-encounters", "fhir_claim-items"])
def test_a_correction_of_what_went_on_is_a_task_for_a_person_there(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        name = str(day(world)["reference"])

        def go_on() -> None:
            if platform == "fhir_claim-items":
                server.mark(name, "billed")
                return
            if platform == "candid":
                server.books.make_claim(name)
            server.books.set_status(name, "paid", payer_claim_id="ICN7")

        world.in_servers(go_on)
        changes = len(server.seen)
        world.store.edit_visit(VISIT, {"97112": 40})
        world.sync()
        assert len(server.seen) == changes and sent(world) == [("1", "accepted")]
        (row,) = jobs.changes(world.config)
        assert row["who"] != "ptbridge", row


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_denial_is_told_in_the_payers_words(platform: str, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        name = str(day(world)["reference"])
        adjusted = {"adjustment_group_code": "CO", "adjustment_reason_code": "97", "adjustment_amount_cents": 1}

        def deny() -> None:
            if platform == "claim_md":
                server.payer_accepts(name)
                lines = server.live_claim(name).body["charge"]
                cut = [{"paid": "0.00", "adjustment": {"group": "CO", "code": "97", "amount": row["charge"]}} for row in lines]
                server.pay(name, cut, status_code="4")
                return
            if platform == "stedi":
                server.payer_accepts(name)
                lines = server.live_claim(name).information["serviceLines"]
                server.pay(name, [denied_line(line) for line in lines], status_code="4")
                return
            if platform == "fhir_claim-items":
                server.mark(name, "not-billable")
                return
            if platform.startswith("fhir_claim"):
                items = server.live_claim(name)["item"]
                server.decide(name, "complete", [{"paid": 0, "reasons": ["CO-97"]} for _ in items])
                return
            if platform == "candid":
                server.books.make_claim(name)
            count = len(server.books.encounter_of(name)["claims"][0]["service_lines"])
            said = {"paid_amount_cents": 0, "service_line_era_data": {"service_line_adjustments": [adjusted]}}
            server.books.remit(name, "denied", "ICN7", [said] * count)

        world.in_servers(deny)
        world.sync()
        denied = jobs.denials(world.config)
        assert ("not-billable" if platform == "fhir_claim-items" else "CO-97") in str(denied), denied


@pytest.mark.parametrize("platform", ["fhir_claim", "fhir_claim-both", "fhir_claim-items"])
def test_reconcile_sees_what_somebody_changed_at_a_fhir_server(platform: str, tmp_path: Path) -> None:
    """A Claim or ChargeItem set to another status, and a ChargeItem with another price: each is found by the next reconcile."""
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        name = str(day(world)["reference"])
        before = agrees(world, server)
        items = server.books.live_items(name)
        if items:
            world.in_servers(lambda: server.books.write(items[0], priceOverride={"value": 0.01, "currency": "USD"}))
        else:
            claim = next(one for one in server.books.all("Claim") if any(each.endswith(name) for each in one.names))
            world.in_servers(lambda: server.books.write(claim, status="cancelled"))
        (found,) = jobs.reconcile(world.config).values()
        assert not found["agrees"] and name in str(found["differences"])
        if items:
            again = server.books.live_items(name)[0]
            world.in_servers(lambda: server.books.write(again, priceOverride=items[0].resource["priceOverride"]))
            assert agrees(world, server)["units"] == before["units"]
            world.in_servers(lambda: server.mark(name, "aborted"))
            (found,) = jobs.reconcile(world.config).values()
            assert not found["agrees"] and name in str(found["differences"])


def test_a_line_that_is_documented_no_longer_is_entered_in_error_at_a_fhir_server(tmp_path: Path) -> None:
    with at("fhir_claim-both", tmp_path / "config") as (world, server):
        world.sync()
        name = str(day(world)["reference"])
        before = {item.names[0]: item.resource for item in server.books.live_items(name)}
        world.store.edit_visit(VISIT, {"97112": 0})
        world.sync()
        after = {item.names[0]: item.resource for item in server.books.live_items(name)}
        assert sent(world) == [("1", "accepted"), ("7", "accepted")] and len(after) == len(before) - 1
        agrees(world, server)
        (gone,) = (one.resource for one in server.books.all("ChargeItem") if one.names[0] in before.keys() - after.keys())
        assert gone["status"] == "entered-in-error" and gone["code"]["coding"][0]["code"] == "97112"
        assert all(after[one]["code"] == before[one]["code"] for one in after), "every other line kept its ChargeItem"


def test_a_restored_ledger_knows_its_days_at_stedi_by_the_beginning_of_their_names(tmp_path: Path) -> None:
    """The ledger forgot everything, and the keys are too old to help: nothing goes as an original a second time."""
    with at("stedi", tmp_path / "config") as (world, server):
        with Ledger.open(world.folder / "state"):
            pass
        file = tmp_path / "empty.backup"
        backup.backup(world.config, file)
        world.sync()
        payer_accepts("stedi", world, server)
        world.store.edit_visit(VISIT, {"97112": 40})
        world.sync()
        before, asked = server.summary(), len(server.seen)
        backup.restore(world.config, file, replace=True, actor="test")
        server.forget()
        world.sync()
        after = server.summary()
        assert len(server.seen) == asked and {name: after[name] for name in TOTALS} == {name: before[name] for name in TOTALS}
        agrees(world, server)


def test_what_a_restored_ledger_reads_only_later_is_known_at_stedi_by_the_beginning_of_its_name_too(tmp_path: Path) -> None:
    """When the biller was asked, the ledger knew no visit that the cut name could stand for."""
    with at("stedi", tmp_path / "config") as (world, server):
        with Ledger.open(world.folder / "state"):
            pass
        file = tmp_path / "empty.backup"
        backup.backup(world.config, file)
        world.sync()
        before, asked = server.summary(), len(server.seen)
        backup.restore(world.config, file, replace=True, actor="test")
        world.store.hide("Encounter", VISIT)
        world.sync()
        server.forget()
        world.store.reveal("Encounter", VISIT)
        world.store.edit("Encounter", VISIT, lambda encounter: encounter.update(status="finished"))
        world.sync()
        after = server.summary()
        assert day(world)["state"] == "sent" and len(server.seen) == asked
        assert {name: after[name] for name in TOTALS} == {name: before[name] for name in TOTALS}
        agrees(world, server)
