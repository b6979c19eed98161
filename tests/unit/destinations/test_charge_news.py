"""charge_api's feed of answers: what each means, what is odd is kept word for word, and the sandbox keeps the contract."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema_rs
import orjson
import pytest
from ptbridge_sandbox.biller import CONTRACT, Faults, SandboxBiller

from ptbridge.destinations import charge_api
from ptbridge.destinations._charge_news import answers_of
from ptbridge.errors import PeerUnavailable
from ptbridge.model import Answer, NativeCode, Stage, Standing
from ptbridge.ports import AnsweringDestination, AnswerPage, TellingDestination
from ptbridge.wire.http import HttpClient, Response
from tests import rigs
from tests.rigs import submission


def build(base_url: str) -> Any:
    return rigs.build("charge_api", http=HttpClient(base_url))


def page(status: int, document: Any) -> Response:
    return Response(
        status=status, headers={}, content=orjson.dumps(document), url="http://b.test/v1/answers", retry_after_seconds=None
    )


def one(**given: Any) -> Answer:
    document = {"answers": [{"id": "N1", "reference": "oak-1", "stage": "payer", "standing": "pending", **given}]}
    (answer,) = answers_of(document, page(200, document))
    return answer


def test_every_field_is_read() -> None:
    answer = one(
        charge_id="B1",
        idempotency_key="k1",
        stage="remittance",
        standing="denied",
        line=2,
        procedure="97110",
        codes=[{"system": "CARC", "code": "CO-197", "text": "t"}],
        charged_cents=9000,
        paid_cents=0,
        adjusted_cents=9000,
        patient_cents=0,
        payer_claim_number="ICN1",
        said_at="2026-11-24T10:00:00Z",
        text="words",
    )
    assert answer == Answer(
        key="N1",
        stage=Stage.REMITTANCE,
        standing=Standing.DENIED,
        reference="oak-1",
        destination_id="B1",
        submission_key="k1",
        payer_claim_number="ICN1",
        line=2,
        procedure="97110",
        codes=(NativeCode(system="CARC", code="CO-197", text="t"),),
        charged_cents=9000,
        paid_cents=0,
        adjusted_cents=9000,
        patient_cents=0,
        said_at="2026-11-24T10:00:00Z",
        text="words",
    )


@pytest.mark.parametrize("given", [{"stage": "in-orbit", "standing": "paid"}, {"stage": "payer", "standing": "perhaps"}])
def test_a_word_that_the_contract_does_not_know_decides_nothing_and_is_kept(given: dict[str, str]) -> None:
    answer = one(**given)
    assert answer.standing is Standing.PENDING
    assert {code.code for code in answer.codes} & {"in-orbit", "perhaps"} == set(given.values()) & {"in-orbit", "perhaps"}


def test_odd_values_are_absent_and_never_rounded() -> None:
    answer = one(paid_cents=1.5, line=True, charge_id="", codes=["x", {"system": "s"}], text=None)
    assert (answer.paid_cents, answer.line, answer.destination_id, answer.codes, answer.text) == (None, None, None, (), "")


def test_news_without_an_id_has_the_same_key_when_it_comes_again() -> None:
    assert one(id=None).key == one(id=None).key != one(id=None, line=1).key


@pytest.mark.parametrize("response", [page(500, {"answers": []}), page(200, {"charges": []}), page(200, {"answers": "none"})])
def test_what_is_no_page_of_answers_is_an_outage(response: Response) -> None:
    with pytest.raises(PeerUnavailable):
        answers_of(orjson.loads(response.content), response)


async def all_pages(destination: Any, cursor: dict[str, str]) -> list[AnswerPage]:
    return [one async for one in destination.answers(cursor)]


def test_the_feed_is_walked_to_its_end_page_by_page_and_goes_on_from_the_cursor() -> None:
    async def scene() -> tuple[list[AnswerPage], list[AnswerPage], list[AnswerPage]]:
        async with SandboxBiller() as biller:
            destination = build(biller.base_url)
            assert isinstance(destination, AnsweringDestination) and isinstance(destination, TellingDestination)
            await destination.submit(submission(destination))
            charge = biller.books.latest["oak-1"]
            for _ in range(charge_api._PAGE):
                biller.news.say(charge, "payer", "pending")
            first = await all_pages(destination, {})
            again = await all_pages(destination, dict(first[-1].cursor or {}))
            biller.news.say(charge, "payer", "accepted")
            later = await all_pages(destination, dict(again[-1].cursor or first[-1].cursor or {}))
            await destination.close()
            return first, again, later

    first, again, later = asyncio.run(scene())
    assert [len(one.answers) for one in first] == [charge_api._PAGE, 2]
    assert [len(one.answers) for one in again] == [0]
    assert [answer.standing for one in later for answer in one.answers] == [Standing.ACCEPTED]


def test_a_forgotten_place_is_told_as_a_gap_and_the_rest_is_read() -> None:
    async def scene() -> list[AnswerPage]:
        async with SandboxBiller() as biller:
            destination = build(biller.base_url)
            await destination.submit(submission(destination))
            biller.news.say(biller.books.latest["oak-1"], "payer", "accepted")
            biller.news.keep = 1
            found = await all_pages(destination, {"after": "1"})
            about = [one async for one in destination.answers_about(["oak-1", "nobody"])]
            assert [len(one.answers) for one in about] == [3] and about[0].cursor is None
            await destination.close()
            return found

    gap, rest = asyncio.run(scene())
    assert gap.gap and gap.answers == () and gap.cursor is None
    assert [answer.stage for answer in rest.answers] == [Stage.PAYER] and rest.cursor == {"after": "3"}


def test_what_the_sandbox_tells_keeps_the_contract_and_carries_no_patient() -> None:
    async def scene() -> bytes:
        async with SandboxBiller(faults=Faults(answer_twice=1.0)) as biller:
            destination = build(biller.base_url)
            await destination.submit(submission(destination))
            assert biller.news.adjudicate(deny=1.0) == {"rejected": 0, "denied": 1, "paid": 0}
            async with HttpClient(biller.base_url) as http:
                answer = await http.request("GET", "v1/answers")
            await destination.close()
            return answer.content

    body = asyncio.run(scene())
    contract = orjson.loads(CONTRACT)
    validator = jsonschema_rs.Draft202012Validator(
        {"$ref": "#/components/schemas/AnswerPage", "components": contract["components"]}, validate_formats=True
    )
    assert list(validator.iter_errors(orjson.loads(body))) == []
    assert len(orjson.loads(body)["answers"]) == 12 and b"qxz" not in body.lower()


@pytest.mark.parametrize("query", ["after=x", "after=999", "limit=0", "limit=x"])
def test_the_sandbox_refuses_a_place_that_it_never_gave(query: str) -> None:
    async def scene() -> int:
        async with SandboxBiller() as biller, HttpClient(biller.base_url) as http:
            return (await http.request("GET", f"v1/answers?{query}")).status

    assert asyncio.run(scene()) == 400
