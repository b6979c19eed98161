"""What every destination promises. A new file in `ptbridge/destinations` joins by being there, given a rig in tests/rigs."""

from __future__ import annotations

import asyncio
import inspect
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from ptbridge_sandbox.biller import Faults, SandboxBiller

from ptbridge import plugins
from ptbridge.destinations import DestinationParts
from ptbridge.errors import ConfigError, PeerError
from ptbridge.model import Disposition, Submission
from ptbridge.ports import DemandingDestination
from ptbridge.wire.http import HttpClient
from tests.rigs import MARKERS, Rig, a_day, build, forms, rig, submission
from tests.rigs.servers import TENTH, bad_day, built

NAMES = plugins.destination_names()
FORMS = [form for name in NAMES for form in forms(name)]  # a destination that sends in several forms keeps its word in each


def against(name: str, tmp_path: Path, scene) -> None:
    """Run an async scene with the platform's rig."""

    async def play() -> None:
        async with rig(name)(tmp_path / "drop") as made:
            await scene(made)

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


@pytest.mark.parametrize("name", NAMES)
def test_every_destination_has_a_rig(name):
    assert callable(rig(name)), "give the new destination a file in tests/rigs, with its real other side"


@pytest.mark.parametrize("name", NAMES)
def test_it_declares_itself(name):
    module = plugins.destination(name)
    assert module.INFO.name == name and module.INFO.summary.endswith(".")
    assert set(module.INFO.needs) <= {"base_url", "folder"}
    (parameter,) = inspect.signature(module.build, eval_str=True).parameters.values()
    assert (parameter.name, parameter.annotation) == ("parts", DestinationParts)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["needs", "option"])
def test_it_refuses_a_clinic_file_that_cannot_work(name, fault, tmp_path):
    options = {"no_such_option": "1"} if fault == "option" else {}
    http = HttpClient("http://127.0.0.1:9") if fault == "option" else None
    with pytest.raises(ConfigError, match="no_such_option" if fault == "option" else "needs"):
        build(name, options, http=http, folder=tmp_path if fault == "option" else None)
    if http:
        asyncio.run(http.close())


@pytest.mark.parametrize("name", FORMS)
def test_the_same_day_gives_the_same_bytes(name, tmp_path):
    async def scene(rig):
        for frequency in "178":
            first = rig.destination.encode(a_day(), reference="oak-1", frequency=frequency, original_id=None)
            assert first == rig.destination.encode(a_day(), reference="oak-1", frequency=frequency, original_id=None)
        changed = rig.destination.encode(a_day(3), reference="oak-1", frequency="1", original_id=None)
        assert changed != rig.destination.encode(a_day(2), reference="oak-1", frequency="1", original_id=None)

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_unknown_is_not_written(name, tmp_path):
    async def scene(rig):
        if isinstance(rig.destination, DemandingDestination):
            lacking = rig.destination.lacks(a_day(bare=True))
            assert lacking and {finding.code for finding in lacking} == {"SB03"} and all(finding.fix for finding in lacking)
            assert rig.destination.lacks(a_day()) == []
            return
        body, _ = rig.destination.encode(a_day(bare=True), reference="oak-1", frequency="1", original_id=None)
        assert b"97110" in body
        for word in (b"None", b"null", b"unknown", b'"11"', b"self"):
            assert word not in body

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", FORMS)
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


@pytest.mark.parametrize("name", FORMS)
def test_replacement_and_void_leave_at_most_one(name, tmp_path):
    async def scene(rig):
        dates = ("2026-11-02", "2026-11-02")
        original = submission(rig.destination)
        await settled(rig, original)
        if not rig.destination.capabilities.replace:
            pytest.skip("this platform takes no replacement")
        named = rig.before_change(original)
        replacement = submission(rig.destination, revision=2, frequency="7", units=4, original_id=named)
        assert await rig.destination.find(replacement) is None, "what stands there is the first revision"
        assert (await settled(rig, replacement)).disposition is Disposition.ACCEPTED
        assert await rig.destination.list_references(dates) == {"oak-1": (5, 15000)}
        named = rig.before_change(replacement)
        void = submission(rig.destination, revision=3, frequency="8", units=4, original_id=named)
        assert (await settled(rig, void)).disposition is Disposition.ACCEPTED
        assert (await rig.destination.find(void)).disposition is Disposition.ACCEPTED
        assert await rig.destination.list_references(dates) == {}

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", FORMS)
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


@pytest.mark.parametrize("name", FORMS)
def test_a_refusal_keeps_the_native_code(name, tmp_path):
    async def scene(rig):
        if rig.refuse is None:
            pytest.skip("this platform never refuses")
        rig.refuse(True)
        answer = await settled(rig, submission(rig.destination))
        assert answer.disposition is Disposition.REJECTED
        assert (answer.native_code, answer.native_text) == rig.refusal

    against(name, tmp_path, scene)


@pytest.mark.parametrize("name", FORMS)
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
        destination = built("charge_api")
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
    faults = Faults(**TENTH, answer_delay_seconds=0.002)

    async def scene():
        async with SandboxBiller(faults=faults, strict=strict) as biller:
            destination = built("charge_api", biller.base_url)
            report = await bad_day(destination, biller, [f"oak-{number}" for number in range(120)])
            await destination.close()
            return report

    assert asyncio.run(scene()).doubts > 10
