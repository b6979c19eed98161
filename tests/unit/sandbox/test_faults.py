"""Every fault knob can be seen from outside, strikes as often as it was told, and stops."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from ptbridge_sandbox.emr import SandboxEmr
from ptbridge_sandbox.faults import Fault, Faults
from ptbridge_sandbox.maker import clinic_day
from ptbridge_sandbox.store import Store


@pytest.fixture
def store() -> Store:
    return Store(clinic_day())


@pytest.fixture
def faults() -> Faults:
    return Faults()


def status_and_kind(answer) -> tuple[int, str]:
    return answer.status, answer.headers["Content-Type"].partition(";")[0]


@pytest.mark.parametrize(
    ("fault", "status"),
    [(Fault.TOO_MANY_REQUESTS, 429), (Fault.SERVER_ERROR, 503), (Fault.BAD_REQUEST_OUTAGE, 400), (Fault.OUTCOME_WHOLE, 200)],
)
def test_an_answer_is_replaced_by_an_operation_outcome(talk, store: Store, faults: Faults, fault: Fault, status: int):
    faults.plan(fault, times=2)

    async def conversation(http):
        for _ in range(2):
            answer = await http.get("/Encounter")
            assert answer.status == status and answer.json["resourceType"] == "OperationOutcome"
        assert (await http.get("/Encounter")).json["resourceType"] == "Bundle"
        assert faults.happened == {fault: 2}

    talk(SandboxEmr(store, faults=faults), conversation)


@pytest.mark.parametrize("header", [None, "3", "Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "18000"])
def test_retry_after_is_word_for_word(talk, store: Store, faults: Faults, header: str | None):
    faults.retry_after = header
    faults.plan(Fault.TOO_MANY_REQUESTS)

    async def conversation(http):
        assert (await http.get("/Encounter")).headers.get("Retry-After") == header

    talk(SandboxEmr(store, faults=faults), conversation)


def test_another_5xx(talk, store: Store, faults: Faults):
    faults.server_error_status = 502
    faults.plan(Fault.SERVER_ERROR)

    async def conversation(http):
        assert (await http.get("/Encounter/enc-0001")).status == 502

    talk(SandboxEmr(store, faults=faults), conversation)


def test_html_with_200(talk, store: Store, faults: Faults):
    faults.plan(Fault.HTML)

    async def conversation(http):
        assert status_and_kind(await http.get("/Encounter")) == (200, "text/html")

    talk(SandboxEmr(store, faults=faults), conversation)


def test_truncated_json(talk, store: Store, faults: Faults):
    faults.plan(Fault.TRUNCATED)

    async def conversation(http):
        answer = await http.get("/Encounter")
        assert answer.status == 200
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(answer.body)

    talk(SandboxEmr(store, faults=faults), conversation)


def test_a_slow_answer_keeps_others_quick(talk, store: Store, faults: Faults):
    """The slow one is still waiting when a later request has been answered: an order of events, no clock."""
    faults.slow_seconds = 3600
    faults.plan(Fault.SLOW)

    async def conversation(http):
        slow = asyncio.create_task(http.get("/Encounter"))
        while not faults.happened[Fault.SLOW]:
            await asyncio.sleep(0)
        assert (await http.get("/Encounter/enc-0001")).status == 200
        assert not slow.done()
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)

    talk(SandboxEmr(store, faults=faults), conversation)


def test_a_share_strikes_about_as_often_and_the_same_each_time(talk, store: Store):
    async def conversation(http):
        return [(await http.get("/Encounter/enc-0001")).status for _ in range(100)]

    first, second = (
        talk(SandboxEmr(store, faults=Faults(seed=3, share={Fault.SERVER_ERROR: 0.3})), conversation) for _ in range(2)
    )
    assert first == second
    assert 15 < first.count(503) < 45


def test_metadata_and_tokens_are_spared_unless_told(talk, store: Store, faults: Faults):
    faults.share[Fault.SERVER_ERROR] = 1.0

    async def conversation(http):
        assert (await http.get("/metadata")).status == 200
        faults.everywhere = True
        assert (await http.get("/metadata")).status == 503
        assert (await http.ask_token({})).status == 503
        faults.clear()
        assert (await http.get("/Encounter")).status == 200

    talk(SandboxEmr(store, faults=faults), conversation)


def test_a_record_that_becomes_visible_late(talk, store: Store):
    async def conversation(http):
        store.hide("Encounter", "enc-0003")
        before = (await http.get("/Encounter?_count=100")).ids
        assert (await http.get("/Encounter/enc-0003")).status == 404
        store.reveal("Encounter", "enc-0003")
        after = (await http.get("/Encounter?_count=100")).ids
        assert set(after) - set(before) == {"enc-0003"}

    talk(SandboxEmr(store), conversation)
