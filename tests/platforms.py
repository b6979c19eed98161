"""A world whose clinic sends to one of the platforms that make claims: real EMR and ledger, a pretend platform on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ptbridge_sandbox.candid import SandboxCandid
from ptbridge_sandbox.claim_md import SandboxClaimMd
from ptbridge_sandbox.faulty_server import FaultyServer
from ptbridge_sandbox.fhir_claim_server import SandboxFhirClaims
from ptbridge_sandbox.stedi import SandboxStedi

from ptbridge import jobs
from tests.world import World, running

PAYERS = """claims:
  accepts_assignment: A
  benefits_assigned: Y
  release_of_information: Y
  signature_on_file: Y
  payers:
    MCR-B: {id: "15202", name: MEDICARE PART B, filing: MB}
    ACME: {id: "60054", name: ACME, filing: CI}
    BLUE8: {id: "00590", name: BLUE8, filing: BL}
"""
PROVIDER = """billing_provider:
  npi: "1900001003"
  name: Riverside
  tax_id: 12-3456789
  contact: Billing Office
  phone: "6145550100"
  address: {lines: [100 Oak Street], city: Austin, state: TX, postal_code: "787011234"}
"""
CLIENT = ("an-id", "a-secret")
KEY = "an-account-key"
VISIT = "enc-0002"
TOTALS = ("charges", "units", "amount_cents")


def candid(way: str) -> tuple[FaultyServer, str]:
    token = "token_url: URL/api/auth/v2/token"
    auth = f"  auth: {{method: client_secret_json, client_id: an-id, secret: 'file:secrets/platform', {token}}}\n"
    destination = f"destination:\n  platform: candid\n  base_url: URL\n{auth}  options: {{way: {way}}}\n"
    return SandboxCandid(client=CLIENT), destination


def claim_md() -> tuple[FaultyServer, str]:
    auth = "  auth: {method: form_key, secret: 'file:secrets/platform'}\n  requests_per_second: 500\n"
    destination = f"destination:\n  platform: claim_md\n  base_url: URL\n{auth}  options: {{find_lag_seconds: '0'}}\n"
    return SandboxClaimMd(key=KEY), destination


def stedi() -> tuple[FaultyServer, str]:
    auth = "  auth: {method: api_key, secret: 'file:secrets/platform'}\n  requests_per_second: 500\n"
    options = "  options: {usage: T, core_url: URL, find_lag_seconds: '0', news_from: '2020-01-01'}\n"
    return SandboxStedi(key=KEY), f"destination:\n  platform: stedi\n  base_url: URL\n{auth}{options}"


def fhir_claim(resources: str) -> tuple[FaultyServer, str]:
    auth = "  auth: {method: bearer, secret: 'file:secrets/platform'}\n"
    options = f"  options: {{resources: '{resources}', find_lag_seconds: '0'}}\n"
    return SandboxFhirClaims(token=KEY), f"destination:\n  platform: fhir_claim\n  base_url: URL\n{auth}{options}"


PLATFORMS: dict[str, Any] = {
    "candid": lambda: candid("charge_captures"),
    "candid-encounters": lambda: candid("encounters"),
    "claim_md": claim_md,
    "stedi": stedi,
    "fhir_claim": lambda: fhir_claim("Claim"),
    "fhir_claim-both": lambda: fhir_claim("Claim, ChargeItem"),
    "fhir_claim-items": lambda: fhir_claim("ChargeItem"),
}
NUMBERED = ("claim_md", "stedi")  # a correction is a claim of its own and names the payer's claim number
BY_SECRET = {name: CLIENT[1] if name.startswith("candid") else KEY for name in PLATFORMS}


@contextmanager
def at(platform: str, folder: Path) -> Iterator[tuple[World, Any]]:
    """A world whose clinic sends to that platform."""
    server, destination = PLATFORMS[platform]()
    with running(folder) as world:
        there = lambda work: asyncio.run_coroutine_threadsafe(work, world.loop).result(timeout=30)  # noqa: E731
        there(server.start())
        secret = world.folder / "secrets" / "platform"
        secret.write_text(BY_SECRET[platform], "utf-8")
        secret.chmod(0o600)
        text = world.clinic_file.read_text("utf-8")
        head, _, rest = text.partition("billing_provider:")
        source, _, tail = rest.partition("destination:")
        source = "source:" + source.partition("source:")[2]
        tail = "\npayers:" + tail.partition("\npayers:")[2]
        whole = head + PROVIDER + source + destination.replace("URL", server.base_url) + tail + PAYERS
        world.clinic_file.write_text(whole, "utf-8")
        try:
            yield world, server
        finally:
            there(server.stop())


def day(world: World, visit: str = VISIT) -> dict[str, Any]:
    """What `explain` says of the one treatment day of a visit."""
    (one,) = jobs.explain(world.config, visit)["days"]
    found: dict[str, Any] = one
    return found


def send_files(world: World, platform: str, folder: Path, options: Mapping[str, str]) -> None:
    """Let a clinic send to a platform that takes files; all that a claim states is in its file, for each of its payers."""
    file = yaml.safe_load(world.clinic_file.read_text("utf-8"))
    file["destination"] = {"platform": platform, "environment": "sandbox", "folder": str(folder), "options": dict(options)}
    file["billing_provider"] |= {
        "tax_id": "12-3456789",
        "contact": "Billing Office",
        "phone": "614-555-0100",
        "address": {"lines": ["100 Oak Street"], "city": "Columbus", "state": "OH", "postal_code": "432151234"},
    }
    names = [name for route in file["payers"] for name in route["ids"]]
    payers = {name: {"id": f"9{name}", "name": name, "filing": "CI"} for name in names}
    file["claims"] = {
        "accepts_assignment": "A",
        **dict.fromkeys(("benefits_assigned", "release_of_information", "signature_on_file"), "Y"),
        "payers": payers,
    }
    world.clinic_file.write_text(yaml.safe_dump(file), "utf-8")
