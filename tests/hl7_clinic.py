"""A clinic whose EMR sends HL7 v2: its config folder, and the messages that a therapy EMR sends for a visit."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ptbridge_sandbox import demo
from ptbridge_sandbox.day import BILLING_NPI

from ptbridge import jobs
from ptbridge.inbox import Arrival, ClinicInbox, Inbox, Rules, Stored, envelope_of
from ptbridge.intake import compile_mapping, normalize
from ptbridge.jobs import RunReport
from ptbridge.model import SourceRecord, Visit
from ptbridge.plugins import connector
from ptbridge.sdk import SourceClient
from ptbridge.specs.config import Config, load_config
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.source_client import no_server
from tests.world import World, running

CLINIC = "lakeside-pt"
THERAPIST = "1234567893^Rivera^Ana^^^^PT^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"
PHYSICIAN = "1003000126^Okafor^Ben^^^^MD^^NPI&2.16.840.1.113883.4.6&ISO^L^^^NPI"


def segments(*lines: str) -> bytes:
    return "".join(f"{line}\r" for line in lines).encode()


def header(kind: str, control: str, at: str = "20261118170000-0600", processing: str = "P") -> str:
    return f"MSH|^~\\&|THERAPYEMR|LAKESIDE|PTBRIDGE|BILLER|{at}||{kind}|{control}|{processing}|2.5.1"


def patient(mrn: str = "M100", family: str = "Quill") -> str:
    return f"PID|1||{mrn}^^^LAKE^MR||{family}^Dana^A||19620304|F|||12 Shore Rd^^Duluth^MN^55802||2185550100"


def visit(number: str = "V1", doctor: str = PHYSICIAN) -> str:
    return f"PV1|1|O|^^^LAKE||||{THERAPIST}|{doctor}||PT|||||||||{number}^^^LAKE^VN" + "|" * 25 + "20261118150000"


INSURANCE = "IN1|1|MB^Medicare|MCR-B^^^PAYERS|Medicare Part B||||||||20200101||||Quill^Dana|SEL|" + "|" * 18 + "1EG4TE5MK73"
NOTE = "TXA|1|PN|TX|20261118153000|||||||| DOC1^EMR|||||AU"


def charge(
    number: int,
    code: str,
    units: str,
    minutes: str,
    *,
    id_: str = "",
    modifiers: str = "GP",
    kind: str = "CG",
    on: str = "20261118",
) -> list[str]:
    start = f"FT1|{number}|{id_}||{on}|{on}|{kind}|CM{code}|||{units}"
    ft1 = f"{start}|||||||||M54.50^^I10|{THERAPIST}|{PHYSICIAN}||||{code}^^C4|{modifiers}"
    return [ft1, *([f"PR1|1||{code}^^C4||{on}|D|{minutes}"] if minutes else [])]


def dft(control: str, *charges: list[str], number: str = "V1", mrn: str = "M100", at: str = "20261118170000-0600") -> bytes:
    lines = [line for one in charges for line in one]
    start = [header("DFT^P03^DFT_P03", control, at), "EVN|P03|20261118170000", patient(mrn), visit(number)]
    return segments(*start, *lines, "DG1|1||M54.50^^I10|||F", INSURANCE)


def adt(trigger: str, control: str, *, number: str = "V1", mrn: str = "M100", at: str = "20261118145000-0600") -> bytes:
    return segments(header(f"ADT^{trigger}", control, at), f"EVN|{trigger}|{at[:14]}", patient(mrn), visit(number), INSURANCE)


def note(control: str, status: str = "AU", *, number: str = "V1", at: str = "20261118153000-0600") -> bytes:
    txa = f"TXA|1|PN|TX|20261118153000||||||||DOC-{number}^EMR|||||{status}"
    return segments(header("MDM^T02", control, at), "EVN|T02|20261118153000", patient(), visit(number), txa)


def merge(control: str, gone: str, left: str, *, at: str = "20261119090000-0600") -> bytes:
    return segments(header("ADT^A40", control, at), "EVN|A40|20261119090000", patient(left), f"MRG|{gone}^^^LAKE^MR")


def a_visit(number: str = "V1", mrn: str = "M100") -> list[bytes]:
    """Registered, charged (two timed codes of 23 and 24 minutes) and signed: it bills as it is."""
    lines = charge(1, "97110", "2", "24", id_=f"{number}-T1"), charge(2, "97140", "1", "23", id_=f"{number}-T2")
    return [
        adt("A04", f"{number}-A", number=number, mrn=mrn),
        dft(f"{number}-D", *lines, number=number, mrn=mrn),
        note(f"{number}-N", number=number),
    ]


@dataclass
class Hl7World:
    """The sandbox biller and a clinic that is fed through the inbox."""

    world: World

    @property
    def config(self) -> Config:
        return load_config(self.world.folder)

    @property
    def clinic_file(self) -> Path:
        return self.world.folder / "clinics" / f"{CLINIC}.yaml"

    def option(self, line: str) -> None:
        text = self.clinic_file.read_text("utf-8")
        self.clinic_file.write_text(text.replace("  options:\n", f"  options:\n    {line}\n", 1), "utf-8")

    def receive(self, *messages: bytes, rules: Rules | None = None) -> list[Stored]:
        arrivals = [
            Arrival(
                clinic=CLINIC,
                origin="test",
                received_at=datetime.now(UTC),
                raw=raw,
                envelope=envelope_of(raw, rules or Rules()),
            )
            for raw in messages
        ]
        with Inbox.open(self.config.state) as inbox:
            return inbox.store(arrivals)

    def sync(self, **options: Any) -> RunReport:
        (report,) = jobs.sync(self.config, CLINIC, **options)
        return report

    def day(self, visit_id: str = "V1") -> dict[str, Any]:
        (day,) = jobs.explain(self.config, visit_id)["days"]
        return day

    def held(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in jobs.held(self.config):
            for one in row["visits"]:
                found[one] = {reason["code"] for reason in row["reasons"]}
        return found

    def live(self) -> dict[str, Any]:
        return self.world.books()


CLINIC_FILE = """\
clinic: {clinic}
name: Lakeside
time_zone: America/Chicago
billing_provider: {{npi: "{npi}", name: Lakeside}}
source:
  connector: hl7v2
  mapping: mappings/{clinic}.yaml
  options:
    person_days: "30"
destination:
  platform: charge_api
  base_url: {biller}
  auth: {{method: bearer, secret: file:secrets/biller_token}}
payers:
  - {{policy: medicare_part_b, ids: [MCR-B]}}
fees: fees/{clinic}.csv
"""
MAPPING_FILE = """\
mapping: {clinic}
extends: emrs/hl7v2_generic
standard: hl7v2
visit:
  place_of_service: {{fixed: "11"}}
"""


@contextmanager
def lakeside(folder: Path) -> Iterator[Hl7World]:
    with running(folder) as world:
        (folder / "clinics" / f"{demo.CLINIC}.yaml").unlink()
        values = {"clinic": CLINIC, "npi": BILLING_NPI, "biller": world.biller.base_url}
        (folder / "clinics" / f"{CLINIC}.yaml").write_text(CLINIC_FILE.format(**values), "utf-8")
        (folder / "mappings" / f"{CLINIC}.yaml").write_text(MAPPING_FILE.format(**values), "utf-8")
        shutil.copyfile(folder / "fees" / f"{demo.CLINIC}.csv", folder / "fees" / f"{CLINIC}.csv")
        yield Hl7World(world)


def read_one(folder: Path, raw: bytes) -> Visit | None:
    """One message through inbox and connector into a visit; None when it makes no record."""

    async def pulled() -> list[SourceRecord]:
        with ClinicInbox.open(folder, CLINIC) as inbox:
            client = SourceClient(
                fhir=no_server(), clinic=CLINIC, source="hl7v2", time_zone=ZoneInfo("America/Chicago"), inbox=inbox
            )
            batches = [batch async for batch in connector("hl7v2").pull(client, {})]
        return [record for batch in batches for record in batch.records]

    with Inbox.open(folder) as inbox:
        envelope = envelope_of(raw, Rules())
        inbox.store([Arrival(clinic=CLINIC, origin="test", received_at=datetime.now(UTC), raw=raw, envelope=envelope)])
    records = asyncio.run(pulled())
    assert len(records) <= 1
    mapping = compile_mapping(load_mapping("emrs/hl7v2_generic"))
    return normalize(records[0], mapping, time_zone=ZoneInfo("America/Chicago")) if records else None
