"""`ptbridge demo`: two clinics' day from their EMRs to their billers, on this machine, as a user would run it.

One EMR is a FHIR server that is asked, the other sends HL7 v2 messages. The servers are on loopback and free ports, the config
folder is written by `ptbridge init`, and the rest are the commands that a person types. Afterwards the outcome is held
against what was planted in the day, and the billers are asked for their own count. The folder stays.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from . import hl7_day
from .day import BILLING_NPI, FATES, PLANTED
from .demo_servers import Bridge, Servers, free_port, say, title, watched

CLINIC, TIME_ZONE = "riverside-pt", "America/Chicago"
SECOND = "harbor-pt"
PAYERS = {"MCR-B": "medicare_part_b", "ACME": "commercial_midpoint", "BLUE8": "commercial_eight_minute"}
EXPLAINED = PLANTED["same-day-first"]
REJECTED, DENIED = "enc-0003", PLANTED["plan-not-certified"]  # by the clearinghouse, by Medicare
TRUTH = {CLINIC: FATES, SECOND: hl7_day.fates()}
"""Clinic -> visit -> where it must end."""
_PLACE_OF_SERVICE = """
# This EMR's messages say no place of service; everything is done at the clinic.
visit:
  place_of_service: {fixed: "11"}
"""
_SENDING_SECONDS = 30


class Disagreement(Exception):
    """The demo's outcome is not what was planted."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; 0 when everything ended where it must."""
    parser = argparse.ArgumentParser(prog="ptbridge demo", description=main.__doc__)
    parser.add_argument("--folder", type=Path, help="where to work; a new folder here when left out")
    parser.add_argument("--json", action="store_true", help="say nothing on the way; print the outcome as JSON")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder or Path(f"ptbridge-demo-{datetime.now():%Y%m%d-%H%M%S}")  # noqa: DTZ005 - a name for a person
    if folder.exists() and any(folder.iterdir()):
        parser.error(f"{folder} is not empty. Name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    watched.quiet = chosen.json
    try:
        outcome = show(folder.resolve())
    except (Disagreement, RuntimeError) as problem:
        sys.stderr.write(f"\nThe demo stopped: {problem}\nEverything it did is in {folder.resolve()}\n")
        return 1
    if chosen.json:
        sys.stdout.write(json.dumps(outcome, indent=2) + "\n")
    return 0


# ---------------------------------------------------------------- the steps


def show(folder: Path) -> dict[str, Any]:
    """The whole way, step by step. Returns the folder and what each biller has in the end."""
    day = last_weekday(datetime.now(ZoneInfo(TIME_ZONE)).date())
    emr_port = free_port()
    tokens = {clinic: secrets.token_hex(16) for clinic in TRUTH}
    bridge = Bridge(folder / "config")
    say(f"A clinic's {day:%A}, {day}: {len(FATES)} visits, {len(PAYERS)} payers; physical, occupational and speech therapy.")
    say("A second clinic had the same day, and its EMR speaks HL7 v2.")

    title("1. A config folder, as the two clinics would write it")
    write_config(bridge, emr_port, tokens)
    emr = ["ptbridge_sandbox.emr", "--port", str(emr_port), "--day", day.isoformat(), "--time-zone", TIME_ZONE]
    emr += ["--jwks-file", str(bridge.folder / "emr_jwks.json"), "--client-id", "ptbridge"]
    with Servers(folder, bridge.folder, emr, tokens).running() as servers:
        for clinic, address in servers.billers.items():
            bridge.point_to_biller(clinic, address)
        title("2. Does everything answer?")
        bridge.run("doctor")
        title("3. The second clinic's EMR sends its day; every message is stored before it is acknowledged")
        receive(bridge, day)
        title("4. The night job: pull, code, check, send")
        bridge.run("sync", allowed=(0, 3))
        title("5. One day explained: two visits, one pool of minutes")
        bridge.run("explain", EXPLAINED)
        title("6. Do the billers agree?")
        bridge.run("reconcile")
        before = {clinic: agree(bridge, servers, clinic) for clinic in TRUTH}
        for clinic in TRUTH:
            check_truth(bridge, clinic)
        check_same_day(before)
        title("7. Two days later: the same job again. Nothing is sent twice, and the payers' answers come in")
        refused = decide(bridge, servers)
        bridge.run("sync", allowed=(0, 3))
        after = {clinic: agree(bridge, servers, clinic) for clinic in TRUTH}
        for clinic in TRUTH:
            check_nothing_moved(clinic, before[clinic], after[clinic])
        title("8. What was turned away, with the dollars at stake")
        bridge.run("denials", "--clinic", CLINIC, allowed=(3,))
        check_refused(bridge, refused)
    leave(folder)
    second = {"clinic": SECOND, "visits": len(TRUTH[SECOND]), "biller": after[SECOND]}
    return {
        "folder": str(folder),
        "visits": len(FATES),
        "biller": after[CLINIC],
        "refused": refused,
        "second_clinic": second,
    }


def write_config(bridge: Bridge, emr_port: int, tokens: Mapping[str, str]) -> None:
    """Both clinics in one folder, and what only a person knows: prices, secrets, a word about the second EMR."""
    shared = {"--time-zone": TIME_ZONE, "--npi": BILLING_NPI, "--environment": "sandbox"}
    fhir = {
        "--name": "Riverside Physical Therapy (pretend)",
        "--connector": "fhir_r4",
        "--mapping": "emrs/sandbox_emr",
        "--emr-url": f"http://127.0.0.1:{emr_port}/fhir",
        "--client-id": "ptbridge",
    }
    hl7 = {
        "--name": "Harbor Physical Therapy (pretend)",
        "--connector": "hl7v2",
        "--listen": "127.0.0.1:0",
        "--biller-secret": "file:secrets/second_biller_token",
    }
    bridge.init(CLINIC, {**shared, **fhir}, PAYERS, reads=("CarePlan", "ServiceRequest"))
    bridge.init(SECOND, {**shared, **hl7}, PAYERS)
    bridge.keep_secret("biller_token", tokens[CLINIC])
    bridge.keep_secret("second_biller_token", tokens[SECOND])
    with (bridge.folder / "mappings" / f"{SECOND}.yaml").open("a", encoding="utf-8") as mapping:
        mapping.write(_PLACE_OF_SERVICE)


def receive(bridge: Bridge, day: date) -> None:
    """The EMR plays its day to `ptbridge listen`: bookings, arrivals, charges, notes, a correction, a merge."""
    with bridge.listening() as address:
        say("  (the EMR sends)")
        sender = [sys.executable, "-P", "-m", "ptbridge_sandbox.mllp_sender", "--to", address, "--day", day.isoformat()]
        sent = subprocess.run(sender, check=False, capture_output=True, text=True, timeout=_SENDING_SECONDS)
        if sent.returncode:
            raise RuntimeError(f"the EMR's messages were not all answered: {sent.stdout.strip() or sent.stderr.strip()}")
        say(f"  {sent.stdout.strip()}")


def check_truth(bridge: Bridge, clinic: str) -> None:
    """Every visit must have ended where the day's table says."""
    truth = TRUTH[clinic]
    held = {visit for row in bridge.json("held", "--clinic", clinic) for visit in row["visits"]}
    expected = {visit for visit, fate in truth.items() if fate == "held"}
    if held != expected:
        raise Disagreement(f"{clinic}: held are {sorted(held)}, planted were {sorted(expected)}")
    say(f"{clinic}: all {len(truth)} visits ended where the day's plan says; {len(expected)} wait for a person, none was lost.")


def check_same_day(counts: Mapping[str, Mapping[str, Any]]) -> None:
    """The day is one day, whichever way an EMR tells it: the billers have the same units and the same money."""
    first, second = ({name: counts[one][name] for name in ("charges", "units", "amount_cents")} for one in TRUTH)
    if first != second:
        raise Disagreement(f"the same day is {first} over FHIR and {second} over HL7 v2")
    say("The same day, told over FHIR and over HL7 v2, is billed the same, unit for unit and cent for cent.")


def agree(bridge: Bridge, servers: Servers, clinic: str) -> dict[str, Any]:
    """The biller's sums against the ledger's. Returns what the biller counts."""
    theirs = servers.summary(clinic)
    ours = bridge.json("reconcile", "--clinic", clinic)[clinic]["ours"]
    live = {"charges": theirs["charges"], "units": theirs["units"], "amount_cents": theirs["amount_cents"]}
    if live != ours:
        raise Disagreement(f"{clinic}: the biller has {live}, the ledger {ours}")
    dollars = f"${live['amount_cents'] // 100:,}.{live['amount_cents'] % 100:02d}"
    say(f"{clinic}: its biller counts {live['charges']} treatment days, {live['units']} units, {dollars}. So does the ledger.")
    return theirs


def check_nothing_moved(clinic: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """No charge more, none less, and no second submission."""
    for name in ("charges", "units", "amount_cents", "events"):
        if before[name] != after[name]:
            raise Disagreement(f"{clinic}: the second run changed {name}: {before[name]} before, {after[name]} after")
    if after["violations"]:
        raise Disagreement(f"{clinic}: the biller's auditor found {after['violations']}")
    say(f"{clinic}: {sum(after['events'].values())} submissions in both runs together; nothing was sent twice.")


def decide(bridge: Bridge, servers: Servers) -> dict[str, int]:
    """The payers of the first clinic decide: one charge is rejected, one is denied. Gives the cents of each."""
    days = {name: bridge.json("explain", name)["days"][0] for name in (REJECTED, DENIED)}
    counts = servers.adjudicate(CLINIC, reject=[days[REJECTED]["reference"]], deny=[days[DENIED]["reference"]])
    if (counts["rejected"], counts["denied"]) != (1, 1):
        raise Disagreement(f"the payers decided {counts}, not one rejection and one denial")
    say(f"(the clearinghouse rejects {REJECTED}, Medicare denies {DENIED}, the other {counts['paid']} are paid)")
    return {name: days[visit]["amount_cents"] for name, visit in (("rejected_cents", REJECTED), ("denied_cents", DENIED))}


def check_refused(bridge: Bridge, refused: Mapping[str, int]) -> None:
    """What `denials` counts is what the payers turned away, to the cent."""
    total = bridge.json("denials", "--clinic", CLINIC)[CLINIC]["total"]
    wanted = {"days": 2, "rejected": 1, "denied": 1, "amount_cents": sum(refused.values())}
    if {name: total[name] for name in wanted} != wanted:
        raise Disagreement(f"{CLINIC}: denials says {total}, the payers turned away {wanted}")
    say(
        "A rejected charge goes again as an original once it is corrected; a denied one as a replacement of what the payer has."
    )


def leave(folder: Path) -> None:
    """Where everything is."""
    reports = sorted((folder / "config" / "state" / "reports").glob("*.html"))
    title("Yours to look at")
    for label, path in (
        ("config", folder / "config" / "clinics" / f"{CLINIC}.yaml"),
        ("ledger", folder / "config" / "state" / "ledger.sqlite"),
        ("logs", folder / "config" / "state" / "logs"),
        ("report", reports[0]),
    ):
        say(f"  {label:<8}{path}")
    say("\nOpen the report in a browser. `ptbridge held --config …/config` lists what waits for a person.")


def last_weekday(today: date) -> date:
    """The clinic's last working day before today."""
    day = today - timedelta(days=1)
    while day.weekday() > 4:
        day -= timedelta(days=1)
    return day
