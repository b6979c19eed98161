"""candid as a whole: its options, its token, and days on which a tenth of everything goes wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.candid import SandboxCandid

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.model import Disposition, Stage
from ptbridge.specs.clinic import AuthSpec
from ptbridge.wire.http import HttpClient
from ptbridge.wire.smart_auth import authorizer_from
from tests import rigs
from tests.rigs import CLAIMS, a_day, submission
from tests.rigs.servers import TENTH, Scene
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock
from tests.unit.destinations.candid_rig import WAYS, judged, live, play
from tests.unit.destinations.claim_days import full_day, of_patient, of_visit

CLIENT = ("an-id", "a-secret/with+signs")


def build(candid: SandboxCandid, way: str = "charge_captures", *, secret: str = CLIENT[1]):
    auth = AuthSpec(method="client_secret_json", client_id=CLIENT[0], token_url=f"{candid.base_url}/api/auth/v2/token")
    http = HttpClient(candid.base_url, authorizer=authorizer_from(auth, base_url=candid.base_url, secret=secret))
    return rigs.build("candid", {"way": way}, http=http)


@pytest.mark.parametrize(
    ("options", "words"),
    [({"way": "claims"}, "charge_captures, encounters"), ({"find_lag_seconds": "soon"}, "Write digits"), ({"hue": "1"}, "way")],
)
def test_options_that_mean_nothing_are_refused(options, words):
    async def scene():
        async with HttpClient("http://127.0.0.1:9") as http:
            with pytest.raises(ConfigError, match=words):
                rigs.build("candid", options, http=http)

    asyncio.run(scene())


def test_how_far_each_way_lets_itself_be_corrected():
    async def charges(it: Scene):
        assert (it.destination.capabilities.open_until, it.destination.capabilities.task_after) == (Stage.PAYER, Stage.PAYER)

    async def encounters(it: Scene):
        assert (it.destination.capabilities.open_until, it.destination.capabilities.task_after) == (
            Stage.CLAIM_MADE,
            Stage.CLAIM_MADE,
        )
        assert not it.destination.capabilities.payer_number and not it.destination.capabilities.rejected_is_gone

    play("charge_captures", charges)
    play("encounters", encounters)


@pytest.mark.parametrize(
    ("day", "claims", "where"),
    [
        (of_patient(a_day(), sex="F"), CLAIMS, "patient.sex"),
        (of_visit(full_day(), accident=replace(full_day().day.visits[0].accident, kind="fall")), CLAIMS, "accident.kind"),
        (
            a_day(),
            msgspec.structs.replace(CLAIMS, payers={"MCR-B": msgspec.structs.replace(CLAIMS.payers["MCR-B"], filing="XX")}),
            "claims.payers.filing",
        ),
    ],
)
def test_what_candid_has_no_word_for_is_held(day, claims, where):
    async def scene():
        async with SandboxCandid() as candid:
            built = rigs.build("candid", http=HttpClient(candid.base_url), claims=claims)
            assert [finding.where for finding in built.lacks(day)] == [where]
            await built.close()

    asyncio.run(scene())


# ---------------------------------------------------------------- the token


def test_one_token_serves_a_run_and_a_new_one_is_asked_for_after_a_401():
    async def scene():
        async with SandboxCandid(client=CLIENT) as candid:
            built = build(candid)
            for number in range(5):
                answer = await built.submit(submission(built, reference=f"oak-{number}"))
                assert answer.disposition is Disposition.ACCEPTED
            assert candid.requests["tokens"] == 1
            candid.forget_tokens()
            assert (await built.submit(submission(built, reference="oak-9"))).disposition is Disposition.ACCEPTED
            assert candid.requests["tokens"] == 2
            await built.close()

    asyncio.run(scene())


def test_a_busy_token_endpoint_is_an_outage_and_nothing_is_sent():
    async def scene():
        async with SandboxCandid(client=CLIENT, faults=Faults(retry_after="7")) as candid:
            candid.token_busy = 1
            built = build(candid)
            with pytest.raises(PeerUnavailable) as caught:
                await built.submit(submission(built))
            assert (caught.value.status, caught.value.retry_after_seconds) == (429, 7.0)
            assert candid.seen == []
            assert (await built.submit(submission(built))).disposition is Disposition.ACCEPTED
            await built.close()

    asyncio.run(scene())


def test_a_wrong_secret_is_said_without_the_secret():
    async def scene():
        async with SandboxCandid(client=CLIENT) as candid:
            built = build(candid, secret="not-the-secret")
            with pytest.raises(PeerRefused) as caught:
                await built.check()
            assert "an-id" in str(caught.value) and "not-the-secret" not in str(caught.value)
            await built.close()

    asyncio.run(scene())


# ---------------------------------------------------------------- answers that are none


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["wrong_reference", "html_answer", "error_after_commit"])
def test_an_answer_that_does_not_name_the_charge_is_a_doubt(way, fault):
    async def scene(it: Scene):
        it.server.faults = Faults(**{fault: 1.0})
        sent = it.send(a_day())
        answer = await it.destination.submit(sent)
        assert answer.disposition in (Disposition.IN_DOUBT, Disposition.REJECTED)
        it.server.faults = Faults()
        settled = await it.destination.find(sent) or await it.destination.submit(sent)
        assert settled.disposition is Disposition.ACCEPTED

    play(way, scene)


@pytest.mark.parametrize("way", WAYS)
def test_busy_is_not_taken_and_says_when_to_come_back(way):
    async def scene(it: Scene):
        it.server.faults = Faults(busy=1.0, retry_after="3")
        answer = await it.destination.submit(it.send(a_day()))
        assert (answer.disposition, answer.retry_after_seconds) == (Disposition.RETRY, 3.0)
        assert live(it.server) == {}

    play(way, scene)


@pytest.mark.parametrize("way", WAYS)
def test_a_look_up_that_lags_never_makes_a_second_one(way):
    """Candid's own uniqueness holds where the look-up does not see yet what is there."""

    async def scene(it: Scene):
        sent = it.send(a_day())
        it.server.faults = Faults(lose_answer=1.0)
        await it.destination.submit(sent)
        it.server.faults = Faults(find_lag_seconds=3600)
        assert await it.destination.find(sent) is None
        assert (await it.destination.submit(sent)).disposition is Disposition.IN_DOUBT
        it.server.faults = Faults()
        assert (await it.destination.submit(sent)).disposition is Disposition.ACCEPTED
        assert len(it.server.books.charges) + len(it.server.books.encounters) == 1

    play(way, scene)


@pytest.mark.parametrize("way", WAYS)
def test_a_bad_day_at_candid_loses_and_doubles_nothing(way):
    """Originals, then corrections of half of them, then the withdrawal of a quarter, with a tenth of everything going wrong."""
    faults = Faults(**TENTH, answer_delay_seconds=0.002)
    outbox = MemoryOutbox(VirtualClock())

    async def scene():
        async with SandboxCandid(client=CLIENT, faults=faults) as candid:
            built = build(candid, way)
            for number in range(60):
                for revision, frequency in ((1, "1"), (2, "7"), (3, "8"))[: 1 + (number % 2) + (number % 4 == 3)]:
                    units = 2 if revision == 1 else 4
                    name = f"oak-{number}"
                    sent = submission(built, reference=name, revision=revision, frequency=frequency, units=units)
                    outbox.put(replace(sent, order_key=f"k{number}"))
            policy = RetryPolicy(first_delay_seconds=0.01, max_delay_seconds=0.05, extra_calls_share=9, extra_calls_reserve=999)
            report = await deliver(outbox, built, in_flight=8, clock=SystemClock(), policy=policy, deadline_seconds=120)
            candid.faults = Faults()
            listed = await built.list_references(("2026-11-01", "2026-11-30"))
            await built.close()
            return report, candid, listed

    report, candid, listed = asyncio.run(scene())
    assert report.accepted == 60 + 30 + 15 and report.ended == "done", report
    assert report.doubts > 10, "the faults really happened"
    # 30 stand as sent first, 15 as corrected, 15 were taken back
    summary = candid.summary()
    assert (summary["charges"], summary["units"]) == (45, 30 * 3 + 15 * 5)
    assert summary["amount_cents"] == 3000 * summary["units"]
    assert len(listed) == 45 and sum(units for units, _ in listed.values()) == summary["units"]
    judged(candid)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("fault", ["repeat", "empty", "error"])
def test_a_list_that_is_none_is_an_outage_and_no_answer(way, fault):
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.list_fault = fault
        with pytest.raises(PeerUnavailable):
            await it.destination.list_references(("2026-11-01", "2026-11-30"))
        if fault != "repeat":
            with pytest.raises(PeerUnavailable):
                await it.destination.find(it.send(a_day()))

    play(way, scene)


@pytest.mark.parametrize("way", WAYS)
def test_the_auditor_of_the_pretend_candid_sees_a_double(way):
    """Without Candid's uniqueness the same create twice stands twice: what the other tests rely on not happening."""

    async def scene():
        async with SandboxCandid(strict=False) as candid:
            built = build(candid, way)
            for _ in range(2):
                await built.submit(submission(built, reference="oak-1"))
            if way == "charge_captures":
                for charge in candid.books.charges.values():
                    candid.books.change_charge(charge["id"], {"status": "billable"})
            await built.close()
            return candid.books.violations

    assert set(asyncio.run(scene())) == {"oak-1: 2 live charges"}


def test_an_answer_about_another_charge_makes_nothing_billable():
    async def scene(it: Scene):
        it.server.faults = Faults(wrong_reference=1.0)
        answer = await it.destination.submit(it.send(a_day()))
        assert (answer.disposition, answer.native_code) == (Disposition.IN_DOUBT, "mismatched-answer")
        assert [method for method, _, _ in it.server.seen] == ["POST"]

    play("charge_captures", scene)


def test_a_refusal_names_the_fields_and_candids_words():
    async def scene(it: Scene):
        sent = it.send(a_day())
        spoiled = replace(sent, body=sent.body.replace(b'"quantity":"2"', b'"quantity":"2.55"'))
        answer = await it.destination.submit(spoiled)
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "HttpRequestValidationsError")
        assert answer.native_text == "quantity: is text with one decimal at most"

    play("charge_captures", scene)
