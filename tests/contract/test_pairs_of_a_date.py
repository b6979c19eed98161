"""Two disciplines on one date, end to end: records in, judged against a loaded pair file, the second day held."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ptbridge_sandbox.demo import CLINIC
from ptbridge_sandbox.maker import Scale
from ptbridge_sandbox.plan import VisitPlan, lines

from ptbridge.ledger import DayRow, Ledger, Verdict, Whose, patient_key_of
from ptbridge.model import TreatmentDay
from ptbridge.pipeline import Kit, day_key, judge, normalize
from ptbridge.plan import reference_of
from ptbridge.policy import Policy
from ptbridge.policy.history import PatientHistory
from ptbridge.policy.reference import load
from tests import make_reference_files as make
from tests.bench.clinic import clinic_folder, kit_of, record_of

PAIR = ("97530", "97110", "", "20201001", "*", "1")


@pytest.fixture(scope="module")
def kit() -> Iterator[Kit]:
    with clinic_folder() as config:
        downloads = config.folder / "downloads"
        downloads.mkdir()
        load(make.pair_zips(downloads, [PAIR] * 4, version="v320r0", quarter="2026q1"), config.folder / "reference")
        yield kit_of(config)


def take_in(ledger: Ledger, kit: Kit, plan: VisitPlan, visit_id: str) -> DayRow:
    """One visit, as a run stores it; its treatment day."""
    record = replace(record_of(plan), record_key=visit_id)
    visit = replace(normalize(record, kit), visit_id=visit_id)
    key = day_key(visit, kit)
    digest = hashlib.sha256(record.payload + visit_id.encode()).digest()
    reference, patient = reference_of(CLINIC, key), patient_key_of(CLINIC, key)
    with ledger.transaction():
        day_id = ledger.days.ensure(CLINIC, key, reference, str(visit.service_date), patient)
        ledger.visits.put(record, digest, ledger.visits.store(record, digest), visit, day_id, None)
        ledger.days.mark({day_id})
    (row,) = (one for one in ledger.days.dirty(CLINIC, limit=10) if one.id == day_id)
    return row


def verdict(ledger: Ledger, kit: Kit, row: DayRow) -> Verdict:
    def history(day: TreatmentDay, policy: Policy | None) -> PatientHistory:
        assert day.service_date is not None and row.patient_key is not None
        whose = Whose(
            clinic=CLINIC,
            patient_key=row.patient_key,
            discipline=day.discipline.value if day.discipline else None,
            on=day.service_date,
            day_id=row.id,
            payer=policy.name if policy else None,
        )
        return ledger.patients.history(whose, kit.codes)

    found = judge(row, ledger.visits.of_day(row.id), kit, history=history)
    with ledger.transaction():
        ledger.days.record(row, found)
    return found


def test_the_day_that_is_judged_second_sees_the_first_ones_lines(kit: Kit, tmp_path: Path) -> None:
    plan = replace(Scale(1, days=10).plan(0), payer="MCR-B")
    therapy = {"PT": ("pr-pt1", "97110=30"), "OT": ("pr-ot1", "97530=30")}
    with Ledger.open(tmp_path) as ledger:
        ledger.begin_run(CLINIC)
        found = {}
        for discipline, (clinician, documented) in therapy.items():
            one = replace(plan, discipline=discipline, clinician=clinician, lines=lines(documented))
            found[discipline] = verdict(ledger, kit, take_in(ledger, kit, one, f"visit-{discipline}"))
    assert found["PT"].state == "queued"
    assert (found["OT"].state, found["OT"].reason) == ("held", "NC03")
    assert b"97530 and 97110 (PT, the same date) are a pair" in found["OT"].body
