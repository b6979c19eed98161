"""charge_api: what each answer means, and that what we write keeps the contract we publish."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import jsonschema_rs
import orjson
import pytest
from ptbridge_sandbox.biller import CONTRACT, Faults, SandboxBiller

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.destinations._charge_answers import acknowledgement
from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.model import Disposition, Frequency, Provider
from ptbridge.wire.http import HttpClient, Response
from tests import rigs
from tests.rigs import a_day, submission
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock

ACCEPTED, REJECTED, RETRY, IN_DOUBT = Disposition.ACCEPTED, Disposition.REJECTED, Disposition.RETRY, Disposition.IN_DOUBT


def build(base_url="http://127.0.0.1:9", **options):
    return rigs.build("charge_api", options, http=HttpClient(base_url))


@pytest.fixture
def sent():
    async def make():
        destination = build()
        made = submission(destination)
        await destination.close()
        return made

    return asyncio.run(make())


def answered(status, document=None, content=None, retry_after=None):
    body = orjson.dumps(document) if document is not None else content or b""
    return Response(
        status=status, headers={}, content=body, url="http://biller.test/v1/charges", retry_after_seconds=retry_after
    )


GOOD = {
    "id": "B1",
    "reference": "oak-1",
    "status": "live",
    "frequency": "1",
    "idempotency_key": "oak-1-r1",
    "totals": {"lines": 2, "units": 3, "amount_cents": 9000},
}


@pytest.mark.parametrize(
    ("status", "document", "disposition", "code"),
    [
        (201, GOOD, ACCEPTED, "live"),
        (200, GOOD, ACCEPTED, "live"),
        (200, {**GOOD, "reference": "oak-2"}, IN_DOUBT, "mismatched-answer"),
        (200, {**GOOD, "idempotency_key": "oak-1-r0"}, IN_DOUBT, "mismatched-answer"),
        (200, {**GOOD, "status": "void"}, IN_DOUBT, "mismatched-answer"),
        (201, {**GOOD, "totals": {"lines": 2, "units": 2, "amount_cents": 9000}}, IN_DOUBT, "mismatched-answer"),
        (201, {**GOOD, "totals": {"lines": 2, "units": 3, "amount_cents": "9000"}}, IN_DOUBT, "mismatched-answer"),
        (200, {"ok": True}, IN_DOUBT, "mismatched-answer"),
        (202, GOOD, IN_DOUBT, "202"),
        (204, None, IN_DOUBT, "204"),
        (302, None, IN_DOUBT, "302"),
        (400, {"code": "not-json"}, REJECTED, "not-json"),
        (400, None, IN_DOUBT, "400"),
        (404, None, IN_DOUBT, "404"),
        (404, {"code": "unknown-reference"}, REJECTED, "unknown-reference"),
        (422, {"code": "invalid-charge"}, REJECTED, "invalid-charge"),
        (409, {"code": "in-progress"}, RETRY, "in-progress"),
        (409, {"code": "reference-exists", "charge": GOOD}, ACCEPTED, "live"),
        (409, {"code": "reference-exists", "charge": {**GOOD, "idempotency_key": "other"}}, REJECTED, "reference-exists"),
        (409, {"code": "reference-exists", "charge": {**GOOD, "totals": {}}}, REJECTED, "totals-differ"),
        (409, None, IN_DOUBT, "409"),
        (429, None, RETRY, "429"),
        (503, {"code": "busy"}, RETRY, "busy"),
        (500, None, IN_DOUBT, "500"),
        (502, None, IN_DOUBT, "502"),
        (504, None, IN_DOUBT, "504"),
    ],
)
def test_what_each_answer_means(sent, status, document, disposition, code):
    answer = acknowledgement(sent, answered(status, document))
    assert (answer.disposition, answer.native_code) == (disposition, code)


@pytest.mark.parametrize("content", [b"", b"<html>Sign in</html>", b"[]", b'"yes"', b"{", b"\xff\xfe"])
def test_a_200_that_says_nothing_is_in_doubt(sent, content):
    assert acknowledgement(sent, answered(200, content=content)).disposition is IN_DOUBT


def test_the_billers_words_and_wait_are_kept(sent):
    problem = {
        "code": "invalid-charge",
        "detail": "No.",
        "errors": [{"where": "/lines/0/units", "message": "breaks `minimum`"}],
    }
    assert acknowledgement(sent, answered(422, problem)).native_text == "No.; /lines/0/units: breaks `minimum`"
    assert acknowledgement(sent, answered(429, None, retry_after=7.0)).retry_after_seconds == 7.0


def test_what_we_write_keeps_the_published_contract():
    contract = orjson.loads(CONTRACT)

    def validator(name):
        return jsonschema_rs.Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", "components": contract["components"]}, validate_formats=True
        )

    async def bodies():
        destination = build()
        made = [
            ("Charge", destination.encode(day, reference="oak-1", frequency=frequency, original_id=original)[0])
            for frequency, original in (("1", None), ("7", "B1"))
            for day in (a_day(), a_day(bare=True))
        ]
        made.append(("Void", destination.encode_void(made[0][1], reference="oak-1", original_id="B1")[0]))
        await destination.close()
        return made

    for name, body in asyncio.run(bodies()):
        validator(name).validate(orjson.loads(body))
    with pytest.raises(jsonschema_rs.ValidationError):
        validator("Charge").validate({**orjson.loads(body), "frequency": "1"})
    for name in contract["components"]["schemas"]:
        assert validator(name)


def test_a_void_carries_no_patient():
    async def body():
        destination = build()
        made = destination.encode_void(
            destination.encode(a_day(), reference="oak-1", frequency="1", original_id=None)[0],
            reference="oak-1",
            original_id="B1",
        )[0]
        await destination.close()
        return orjson.loads(made)

    assert asyncio.run(body()) == {
        "reference": "oak-1",
        "frequency": "8",
        "original_id": "B1",
        "clinic": "oak",
        "service_date": "2026-11-02",
    }


def test_two_rendering_providers_go_to_their_lines():
    day = a_day()
    visit = day.day.visits[0]
    second = replace(visit, visit_id="e2", rendering=Provider(npi="1063475551", credential="PT"))
    first_line, second_line = day.charges
    moved = replace(second_line, line=replace(second_line.line, line_keys=("e2/1",)))
    two = replace(
        day,
        coded=replace(day.coded, day=replace(day.day, visits=(visit, second))),
        charges=(first_line, moved),
    )

    async def body():
        destination = build()
        made = destination.encode(two, reference="oak-1", frequency="1", original_id=None)[0]
        await destination.close()
        return orjson.loads(made)

    document = asyncio.run(body())
    assert "rendering_provider" not in document
    assert [line["rendering_provider"]["npi"] for line in document["lines"]] == ["1558395210", "1063475551"]


@pytest.mark.parametrize("hours", ["a day", "-1", "", "1e3", "."])
def test_an_option_that_is_no_number_is_refused(hours):
    with pytest.raises(ConfigError, match="key_window_hours"):
        build(key_window_hours=hours)


def test_the_key_window_comes_from_the_options():
    assert build().capabilities.idempotency_seconds == 23 * 3600
    assert build(key_window_hours="2", find_lag_seconds="1.5").capabilities.idempotency_seconds == 7200


# ---------------------------------------------------------------- against the biller


def play(scene, **biller_options):
    async def run():
        async with SandboxBiller(**biller_options) as biller:
            destination = build(biller.base_url)
            try:
                return await scene(biller, destination)
            finally:
                await destination.close()

    return asyncio.run(run())


def test_a_refused_token_stops_delivery_and_queues():
    outbox = MemoryOutbox(VirtualClock())

    async def scene(biller, destination):
        sent = submission(destination)
        outbox.put(sent)
        with pytest.raises(PeerRefused):
            await destination.check()
        return await deliver(outbox, destination, in_flight=2, clock=SystemClock(), policy=RetryPolicy(), deadline_seconds=5)

    report = play(scene, token="right")
    assert report.auth_failed and "401" in report.refusal
    assert outbox.states() == ["queued"]


@pytest.mark.parametrize("spoilt", ["lose_answer", "error_after_commit", "html_answer", "wrong_reference"])
def test_a_biller_that_forgets_keys_still_stands_at_one_charge(spoilt):
    """The replay meets `reference-exists` with our own key in it: taken, by the attempt whose answer was lost."""

    async def scene(biller, destination):
        biller.faults = Faults(**{spoilt: 1.0}, forget_keys=True)
        sent = submission(destination)
        assert (await destination.submit(sent)).disposition is IN_DOUBT
        biller.faults = Faults(forget_keys=True)
        assert (await destination.submit(sent)).disposition is ACCEPTED
        return biller.summary()

    summary = play(scene)
    assert summary["charges"] == 1 and summary["events"] == {"created": 1} and summary["violations"] == []


def test_an_answer_written_twice_is_not_taken_for_the_next_charge():
    async def scene(biller, destination):
        biller.faults = Faults(answer_twice=1.0)
        answers = []
        for number in range(20):
            sent = submission(destination, reference=f"oak-{number}")
            answer = await destination.submit(sent)
            if answer.disposition is ACCEPTED:
                answers.append(answer.destination_id == biller.books.latest[sent.reference].id)
        return answers

    assert all(answers := play(scene)) and answers


def test_busy_with_a_wait_and_without():
    async def scene(biller, destination):
        biller.faults = Faults(busy=1.0, retry_after="12")
        first = await destination.submit(submission(destination))
        biller.faults = Faults(busy=1.0, busy_status=503)
        second = await destination.submit(submission(destination))
        return first, second, biller.summary()

    first, second, summary = play(scene)
    assert (first.disposition, first.retry_after_seconds) == (RETRY, 12.0)
    assert (second.disposition, second.retry_after_seconds) == (RETRY, None)
    assert summary["charges"] == 0


def test_a_second_original_is_refused_as_such():
    async def scene(biller, destination):
        await destination.submit(submission(destination))
        return await destination.submit(submission(destination, revision=2, units=3)), biller.summary()

    answer, summary = play(scene)
    assert (answer.disposition, answer.native_code) == (REJECTED, "reference-exists")
    assert summary["units"] == 3 and summary["charges"] == 1


def test_a_look_up_that_is_not_clear_is_no_answer():
    async def scene(biller, destination):
        await destination.submit(submission(destination))
        await biller.stop()
        with pytest.raises(PeerUnavailable):
            await destination.find(submission(destination))

    play(scene)


def test_the_list_is_read_to_its_end():
    async def scene(biller, destination):
        sent = submission(destination)
        document = orjson.loads(sent.body)
        for number in range(1203):
            biller.books.take("1", f"oak-{number:04d}", document, f"k{number}")
        return await destination.list_references(("2026-11-02", "2026-11-02")), biller.requests["lists"]

    listed, pages = play(scene)
    assert len(listed) == 1203 and pages == 3


def test_a_replay_while_the_first_is_worked_on_waits():
    async def scene(biller, destination):
        biller.faults = Faults(answer_delay_seconds=0.3)
        sent = submission(destination)
        first = asyncio.ensure_future(destination.submit(sent))
        while not biller.books.latest:
            await asyncio.sleep(0.005)
        second = await destination.submit(sent)
        return await first, second

    first, second = play(scene)
    assert first.disposition is ACCEPTED and (second.disposition, second.native_code) == (RETRY, "in-progress")


def test_a_void_then_a_new_original_leaves_one():
    async def scene(biller, destination):
        await destination.submit(submission(destination))
        void = submission(destination, revision=2, frequency=Frequency.VOID)
        await destination.submit(void)
        again = await destination.submit(submission(destination, revision=3))
        return again, biller.summary()

    again, summary = play(scene)
    assert again.disposition is ACCEPTED and summary["charges"] == 1 and summary["violations"] == []
