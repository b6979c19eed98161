"""A second live charge under one reference, put into each platform's own data: one run of reconcile names the day.

A folder has no list of its own: what was dropped there, our receipts tell, and nothing can stand there twice.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ptbridge_sandbox.fhir_claim_books import Kept
from ptbridge_sandbox.stedi_words import report_277

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.ledger import Ledger
from tests.platforms import PLATFORMS, VISIT, at
from tests.world import World

DIFFERENCE = 9  # exit code


def reference_of(world: World) -> str:
    with Ledger.open(world.config.state, write=False) as ledger:
        (one,) = ledger.days.named(VISIT)
    return one.reference


def candid_charge(server: Any, reference: str) -> None:
    twice = {**deepcopy(server.books.charge_of(reference)), "id": "twice"}
    server.books.charges["twice"], server.books.taken_at["twice"] = twice, 0.0


def candid_encounter(server: Any, reference: str) -> None:
    twice = {**deepcopy(server.books.encounter_of(reference)), "encounter_id": "twice"}
    server.books.encounters["twice"], server.books.taken_at["twice"] = twice, 0.0


def claim_md_upload(server: Any, reference: str) -> None:
    """The same file once more, as somebody might in the portal."""
    claim = server.live_claim(reference)
    server._take(claim.body, claim.filename)


def stedi_claim(server: Any, reference: str) -> None:
    """Another original of the day, of other content: so its number ends otherwise."""
    claim = deepcopy(server.live_claim(reference))
    last = claim.control[-1]
    claim.information["patientControlNumber"] = claim.control[:-1] + ("1" if last == "0" else "0")
    server.claims.append(claim)
    ours = next(one for one in server.reports.values() if server.live_claim(reference).control in str(one))
    server._add("277", claim, _renamed(ours, claim.control[:-1] + last, claim.control))


def stedi_claim_again(server: Any, reference: str) -> None:
    """The very same claim once more, as a key that Stedi forgot would make it: so with the same number."""
    claim = replace(deepcopy(server.live_claim(reference)), id="01JTWICE")
    server.claims.append(claim)
    server._add("837", claim, None)
    server._add("277", claim, report_277(claim, [("A2", "20")], by_payer=False))


def stedi_claim_untold(server: Any, reference: str) -> None:
    """The same, where Stedi's reports do not tell its own number of a claim, and none came of the second."""
    for one in list(server.reports.values()):
        _without(one, "clearinghouseTraceNumber")
    claim = replace(deepcopy(server.live_claim(reference)), id="01JTWICE")
    server.claims.append(claim)
    server._add("837", claim, None)


def _without(report: Any, name: str) -> None:
    if isinstance(report, dict):
        report.pop(name, None)
    for one in report.values() if isinstance(report, dict) else report if isinstance(report, list) else ():
        _without(one, name)


def _renamed(report: Any, before: str, after: str) -> Any:
    if isinstance(report, dict):
        return {name: _renamed(value, before, after) for name, value in report.items()}
    if isinstance(report, list):
        return [_renamed(value, before, after) for value in report]
    return after if report == before else report


def fhir_resource(server: Any, reference: str) -> None:
    """The day's Claim, or else one of its ChargeItems."""
    kept = [one for kind in ("Claim", "ChargeItem") for one in server.books.all(kind) if reference in one.names[0]]
    server.books.kept[kept[0].kind]["twice"] = Kept("twice", {**kept[0].resource, "id": "twice"}, 1, 0.0)


Double = Callable[[Any, str], None]
DOUBLED: dict[str, Double] = {
    "candid": candid_charge,
    "candid-encounters": candid_encounter,
    "claim_md": claim_md_upload,
    "stedi": stedi_claim,
    "fhir_claim": fhir_resource,
    "fhir_claim-both": fhir_resource,
    "fhir_claim-items": fhir_resource,
}


def test_every_platform_is_asked() -> None:
    assert DOUBLED.keys() == PLATFORMS.keys(), "of charge_api, test_reconcile_sabotage.py"


@pytest.mark.parametrize(
    ("platform", "double"), [*DOUBLED.items(), ("stedi", stedi_claim_again), ("stedi", stedi_claim_untold)]
)
def test_a_second_charge_of_a_day_is_named_with_both(platform: str, double: Double, tmp_path: Path) -> None:
    with at(platform, tmp_path / "config") as (world, server):
        world.sync()
        reference = reference_of(world)
        world.in_servers(lambda: double(server, reference))
        (answer,) = jobs.reconcile(world.config).values()
        found = {one["reference"]: one for one in answer["differences"]}
        assert answer["agrees"] is False and set(found) - {f"{reference}/ChargeItem"} == {reference}
        ours, theirs = found[reference]["ours"], found[reference]["theirs"]
        assert theirs == tuple(2 * one for one in ours) or (platform == "fhir_claim-items" and ours < theirs)
        assert found[reference]["owner"] == "biller" and found[reference]["why"] == "units or amount differ"
        assert main(["reconcile", "--config", str(world.folder)]) == DIFFERENCE
