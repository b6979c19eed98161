"""What every destination promises. A new file in `ptbridge/destinations` joins by being there, given a rig below."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest
from ptbridge_sandbox.biller import Faults, SandboxBiller

from ptbridge import plugins
from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.errors import ConfigError, PeerError
from ptbridge.model import (
    Address,
    Charge,
    CodedDay,
    Coverage,
    Diagnosis,
    Discipline,
    Disposition,
    Frequency,
    Patient,
    PricedDay,
    Provider,
    ServiceLine,
    Submission,
    TreatmentDay,
    Visit,
)
from ptbridge.ports import Destination
from ptbridge.specs.clinic import BillingProviderSpec, DestinationSpec
from ptbridge.wire.http import HttpClient
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock

NAMES = plugins.destination_names()
BILLING = BillingProviderSpec(npi="1234567893", name="Oak Street Physical Therapy", tax_id="12-3456789")

# Every one of these stands in the day below; none may be seen outside the bytes that are sent.
MARKERS = (
    "PIDQXZ1",
    "MRNQXZ2",
    "Famqxz",
    "Givqxz",
    "1931-07-09",
    "9 Streetqxz",
    "Cityqxz",
    "98765-4321",
    "555-0199",
    "MEMQXZ7",
    "GRPQXZ8",
)


def a_day(units: int = 2, *, bare: bool = False) -> PricedDay:
    """Two lines with everything known, or with nothing known that may be unknown."""
    patient = Patient(
        id="PIDQXZ1",
        mrn="MRNQXZ2",
        family="Famqxz",
        given="Givqxz",
        birth_date=date(1931, 7, 9),
        sex="female",
        address=Address(lines=("9 Streetqxz",), city="Cityqxz", state="OH", postal_code="98765-4321"),
        phone="555-0199",
    )
    coverage = Coverage(
        id="c1",
        order=1,
        payer_id="MCR-B",
        payer_name="Medicare Part B",
        member_id="MEMQXZ7",
        group_number="GRPQXZ8",
        relationship="self",
    )
    visit = Visit(
        clinic="oak",
        source="emr",
        visit_id="e1",
        service_date=date(2026, 11, 2),
        patient=Patient(id="PIDQXZ1") if bare else patient,
        coverages=() if bare else (coverage,),
        rendering=None if bare else Provider(npi="1558395212", name="Pat Therapist", credential="PT"),
        referring=None if bare else Provider(npi="1477550012", credential="MD"),
        place_of_service=None if bare else "11",
        authorization_number=None if bare else "AUTHQXZ9",
    )
    day = TreatmentDay(
        clinic="oak",
        key="oak/PIDQXZ1/PT/2026-11-02",
        patient_id="PIDQXZ1",
        discipline=Discipline.PT,
        service_date=date(2026, 11, 2),
        billing_npi=BILLING.npi,
        visits=(visit,),
    )
    lines = (
        ServiceLine(
            procedure="97110",
            modifiers=("GP",),
            units=units,
            minutes=None if bare else 30,
            diagnosis_pointers=(1,),
            line_keys=("e1/1",),
        ),
        ServiceLine(procedure="97161", modifiers=("GP",), units=1, diagnosis_pointers=(1,), line_keys=("e1/2",)),
    )
    charges = tuple(
        Charge(line=line, payer="medicare_part_b", unit_price_cents=None if bare else 3000, amount_cents=3000 * line.units)
        for line in lines
    )
    return PricedDay(
        coded=CodedDay(day=day, payer="medicare_part_b", lines=lines, diagnoses=(Diagnosis(code="M54.50"),)), charges=charges
    )


def submission(
    destination: Destination, *, reference: str = "oak-1", revision: int = 1, frequency: str = "1", units: int = 2
) -> Submission:
    day = a_day(units)
    body, media_type = destination.encode(
        day, reference=reference, frequency="1" if frequency == "8" else frequency, original_id=None
    )
    if frequency == "8":
        body, media_type = destination.encode_void(body, reference=reference, original_id=None)
    return Submission(
        clinic="oak",
        destination="test",
        key=f"{reference}-r{revision}",
        reference=reference,
        order_key=day.day.key,
        revision=revision,
        frequency=Frequency(frequency),
        body=body,
        media_type=media_type,
        units=day.units,
        amount_cents=day.amount_cents,
        lines=2,
        service_date="2026-11-02",
    )


# ---------------------------------------------------------------- rigs: the other side of each platform


@dataclass
class Rig:
    """A destination against its real other side. `lose`: the next submission is taken and its answer lost."""

    destination: Destination
    lose: object
    refuse: object = None  # None: this platform never refuses


@asynccontextmanager
async def charge_api_rig(folder: Path) -> AsyncIterator[Rig]:
    async with SandboxBiller() as biller:
        destination = plugins.destination("charge_api").build(
            DestinationSpec(platform="charge_api", base_url=biller.base_url),
            clinic="oak",
            http=HttpClient(biller.base_url),
            billing=BILLING,
            folder=None,
            run_id="run-1",
        )

        def lose(on: bool) -> None:
            biller.faults = Faults(lose_answer=float(on))

        def refuse(on: bool) -> None:
            biller.faults = Faults(refuse=float(on))

        try:
            yield Rig(destination, lose, refuse)
        finally:
            await destination.close()


@asynccontextmanager
async def csv_drop_rig(folder: Path) -> AsyncIterator[Rig]:
    module = plugins.destination("csv_drop")
    destination = module.build(
        DestinationSpec(platform="csv_drop", folder=str(folder)),
        clinic="oak",
        http=None,
        billing=BILLING,
        folder=folder,
        run_id="run-1",
    )
    drop = destination._folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose)
    await destination.close()


@asynccontextmanager
async def hl7v2_dft_rig(folder: Path) -> AsyncIterator[Rig]:
    """Into files; over MLLP nothing can be looked up: tests/unit/destinations/test_hl7v2_dft.py holds that way to its word."""
    destination = plugins.destination("hl7v2_dft").build(
        DestinationSpec(platform="hl7v2_dft", folder=str(folder), options={"profile": "full_day"}),
        clinic="oak",
        http=None,
        billing=BILLING,
        folder=folder,
        run_id="run-1",
    )
    drop = destination._files._folder
    give_name = drop.give_name

    def fail(receipt: object) -> None:
        raise OSError(5, "Input/output error")

    def lose(on: bool) -> None:
        drop.give_name = fail if on else give_name

    yield Rig(destination, lose)
    await destination.close()


RIGS = {"charge_api": charge_api_rig, "csv_drop": csv_drop_rig, "hl7v2_dft": hl7v2_dft_rig}


def against(name: str, tmp_path: Path, scene) -> None:
    """Run an async scene with the platform's rig."""

    async def play() -> None:
        async with RIGS[name](tmp_path / "drop") as rig:
            await scene(rig)

    asyncio.run(play())


async def settled(rig: Rig, sent: Submission):
    """Submit as the engine does: an exception that says the outcome is unknown is a doubt too."""
    if rig.destination.capabilities.batch:
        try:
            return (await rig.destination.submit_batch([sent]))[0]
        except PeerError as error:
            return error
    return await rig.destination.submit(sent)


# ---------------------------------------------------------------- the promises


def test_every_destination_has_a_rig():
    assert set(NAMES) == set(RIGS), "give the new destination a rig here, with its real other side"


@pytest.mark.parametrize("name", NAMES)
def test_it_declares_itself(name):
    module = plugins.destination(name)
    assert module.INFO.name == name and module.INFO.summary.endswith(".")
    assert set(module.INFO.needs) <= {"base_url", "folder"}
    reference = inspect.signature(plugins.destination("charge_api").build)
    assert list(inspect.signature(module.build).parameters.values()) == list(reference.parameters.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["needs", "option"])
def test_it_refuses_a_clinic_file_that_cannot_work(name, fault, tmp_path):
    options = {"no_such_option": "1"} if fault == "option" else {}
    http = HttpClient("http://127.0.0.1:9") if fault == "option" else None
    with pytest.raises(ConfigError, match="no_such_option" if fault == "option" else "needs"):
        plugins.destination(name).build(
            DestinationSpec(platform=name, options=options),
            clinic="oak",
            http=http,
            billing=BILLING,
            folder=tmp_path if fault == "option" else None,
            run_id="r",
        )
    if http:
        asyncio.run(http.close())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_day_gives_the_same_bytes(name, tmp_path):
    async def scene(rig):
        for frequency in "178":
            first = rig.destination.encode(a_day(), reference="oak-1", frequency=frequency, original_id=None)
            assert first == rig.destination.encode(a_day(), reference="oak-1", frequency=frequency, original_id=None)
        changed = rig.destination.encode(a_day(3), reference="oak-1", frequency="1", original_id=None)
        assert changed != rig.destination.encode(a_day(2), reference="oak-1", frequency="1", original_id=None)

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_unknown_is_not_written(name, tmp_path):
    async def scene(rig):
        body, _ = rig.destination.encode(a_day(bare=True), reference="oak-1", frequency="1", original_id=None)
        assert b"97110" in body
        for word in (b"None", b"null", b"unknown", b'"11"', b"self"):
            assert word not in body

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_taken_is_found_and_listed(name, tmp_path):
    async def scene(rig):
        sent = submission(rig.destination)
        assert await rig.destination.find(sent) is None
        answer = await settled(rig, sent)
        assert answer.disposition is Disposition.ACCEPTED and answer.destination_id
        found = await rig.destination.find(sent)
        assert found.disposition is Disposition.ACCEPTED and found.destination_id == answer.destination_id
        assert await rig.destination.list_references(("2026-11-01", "2026-11-30")) == {"oak-1": (3, 9000)}
        assert await rig.destination.list_references(("2026-11-03", "2026-11-30")) == {}
        assert await rig.destination.check()

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_replacement_and_void_leave_at_most_one(name, tmp_path):
    async def scene(rig):
        dates = ("2026-11-02", "2026-11-02")
        await settled(rig, submission(rig.destination))
        replacement = submission(rig.destination, revision=2, frequency="7", units=4)
        assert rig.destination.capabilities.replace
        assert await rig.destination.find(replacement) is None, "what stands there is the first revision"
        assert (await settled(rig, replacement)).disposition is Disposition.ACCEPTED
        assert await rig.destination.list_references(dates) == {"oak-1": (5, 15000)}
        void = submission(rig.destination, revision=3, frequency="8", units=4)
        assert (await settled(rig, void)).disposition is Disposition.ACCEPTED
        assert (await rig.destination.find(void)).disposition is Disposition.ACCEPTED
        assert await rig.destination.list_references(dates) == {}

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_answer_is_a_doubt_that_a_look_up_settles(name, tmp_path):
    async def scene(rig):
        sent = submission(rig.destination)
        rig.lose(True)
        answer = await settled(rig, sent)
        assert type(answer).__name__ == "OutcomeUnknown" or answer.disposition is Disposition.IN_DOUBT
        rig.lose(False)
        assert (await rig.destination.find(sent)).disposition is Disposition.ACCEPTED
        assert await rig.destination.list_references(("2026-11-02", "2026-11-02")) == {"oak-1": (3, 9000)}

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_a_refusal_keeps_the_native_code(name, tmp_path):
    async def scene(rig):
        if rig.refuse is None:
            pytest.skip("this platform never refuses")
        rig.refuse(True)
        answer = await settled(rig, submission(rig.destination))
        assert answer.disposition is Disposition.REJECTED and answer.native_code == "not-billable"
        assert answer.native_text == "refused by a sandbox fault"

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", NAMES)
def test_no_patient_data_outside_the_bytes(name, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    seen: list[str] = []

    async def scene(rig):
        sent = submission(rig.destination)
        assert any(marker.encode() in sent.body for marker in MARKERS), "the day really carries the markers"
        for fault in (rig.lose, rig.refuse):
            if fault:
                fault(True)
                answer = await settled(rig, replace(sent, key=f"{sent.key}-{len(seen)}", reference=sent.reference))
                seen.extend((repr(answer), str(answer), getattr(answer, "native_text", "")))
                fault(False)
        seen.extend([repr(await settled(rig, sent)) for _ in range(2)])
        seen.append(repr(await rig.destination.find(sent)))
        seen.extend((repr(sent), repr(rig.destination)))

    against(name, tmp_path, scene)
    seen.extend(path.name for path in tmp_path.rglob("*"))
    text = "\n".join([*seen, caplog.text])
    assert [marker for marker in MARKERS if marker in text] == []


def test_no_connection_is_said_without_patient_data():
    async def scene():
        destination = plugins.destination("charge_api").build(
            DestinationSpec(platform="charge_api"),
            clinic="oak",
            http=HttpClient("http://127.0.0.1:9"),
            billing=BILLING,
            folder=None,
            run_id="r",
        )
        with pytest.raises(PeerError) as caught:
            await destination.submit(submission(destination))
        await destination.close()
        return f"{caught.value!r} {caught.value.__cause__!r}"

    text = asyncio.run(scene())
    assert "no connection" in text and not any(marker in text for marker in MARKERS)


# ---------------------------------------------------------------- all of it together


@pytest.mark.parametrize("strict", [True, False])
def test_a_bad_day_at_the_biller_loses_and_doubles_nothing(strict):
    """Delivery, the real client and the real biller, with a tenth of everything going wrong. A biller without its own
    duplicate check (`strict=False`) keeps the Idempotency-Key promise, and that is enough."""
    faults = Faults(
        busy=0.1,
        lose_answer=0.1,
        error_after_commit=0.1,
        wrong_reference=0.05,
        html_answer=0.05,
        answer_twice=0.1,
        answer_delay_seconds=0.002,
    )

    outbox = MemoryOutbox(VirtualClock())

    async def scene():
        async with SandboxBiller(faults=faults, strict=strict) as biller:
            destination = plugins.destination("charge_api").build(
                DestinationSpec(platform="charge_api"),
                clinic="oak",
                http=HttpClient(biller.base_url),
                billing=BILLING,
                folder=None,
                run_id="r",
            )
            for number in range(120):
                sent = submission(destination, reference=f"oak-{number}")
                outbox.put(replace(sent, order_key=f"k{number}"))
            policy = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.05, extra_calls_share=9, extra_calls_reserve=999)
            report = await deliver(outbox, destination, in_flight=8, clock=SystemClock(), policy=policy, deadline_seconds=60)
            await destination.close()
            return report, biller.summary()

    report, summary = asyncio.run(scene())
    assert report.accepted == 120 and report.ended == "done"
    assert (summary["charges"], summary["units"], summary["amount_cents"]) == (120, 360, 120 * 9000)
    assert summary["violations"] == []
    assert report.doubts > 10, "the faults really happened"
