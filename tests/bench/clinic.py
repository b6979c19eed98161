"""A clinic to measure with: the config folder of the tests, its kit, and a ledger filled with days to send."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import orjson
from ptbridge_sandbox import charting
from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale, clinic
from ptbridge_sandbox.people import person
from ptbridge_sandbox.plan import VisitPlan

from ptbridge.jobs.kit import build_kit
from ptbridge.jobs.peers import open_destination
from ptbridge.ledger import Ledger
from ptbridge.model import SourceRecord
from ptbridge.pipeline import Kit, day_key, judge, normalize
from ptbridge.plan import reference_of
from ptbridge.specs.config import Config, load_config
from tests.world import config_folder

TODAY = date(2026, 3, 13)  # the day after the last one of the sandbox's pretend visits
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def clinic_folder(biller_url: str = NOWHERE) -> Iterator[Config]:
    """A config folder as `ptbridge init` writes it, gone afterwards."""
    with TemporaryDirectory(prefix="ptbridge-bench-") as folder:
        config_folder(Path(folder), f"{NOWHERE}/fhir", biller_url)
        yield load_config(Path(folder))


def kit_of(config: Config, clinic_name: str = CLINIC) -> Kit:
    """The clinic's kit, as a run builds it."""

    async def build() -> Kit:
        spec = config.clinic(clinic_name)
        async with open_destination(config, spec, run_id="bench") as destination:
            return build_kit(config, spec, destination, today=TODAY)

    return asyncio.run(build())


def record_of(plan: VisitPlan) -> SourceRecord:
    """A pretend visit as the record that the FHIR walk would make of it."""
    random = Random(plan.patient_id)
    written = plan.start.astimezone(UTC)
    first, *rest = charting.chart(plan)
    resources = [first, charting.patient(plan.patient_id, person(random, over_65=plan.payer == "MCR-B"), written)]
    resources += [resource for resource in rest if resource["resourceType"] != "Appointment"]
    resources += [charting.coverage(plan.patient_id, plan.payer, written, member_id=f"SBX{plan.patient_id[4:]}")]
    resources += clinic(written)
    entries = [{"resource": resource} for resource in resources]
    return SourceRecord(
        clinic=CLINIC,
        source="fhir_r4",
        record_key=plan.id,
        media_type="application/fhir+json",
        payload=orjson.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries}),
        received_at=datetime.now(UTC),
    )


def fill(ledger: Ledger, kit: Kit, count: int) -> None:
    """Take in, judge and queue `count` pretend visits, each a treatment day of its own."""
    plans = Scale(count, days=30)
    ledger.begin_run(CLINIC)
    with ledger.transaction():
        _take_in(ledger, kit, (record_of(plans.plan(number)) for number in range(count)))
        for row in ledger.days.dirty(CLINIC, limit=count):
            ledger.days.record(row, judge(row, ledger.visits.of_day(row.id), kit))


def _take_in(ledger: Ledger, kit: Kit, records: Iterable[SourceRecord]) -> None:
    for record in records:
        digest = hashlib.sha256(record.payload).digest()
        record_id = ledger.visits.store(record, digest)
        visit = normalize(record, kit)
        key = day_key(visit, kit)
        day_id = ledger.days.ensure(CLINIC, key, reference_of(CLINIC, key), str(visit.service_date))
        ledger.visits.put(record, digest, record_id, visit, day_id, None)
