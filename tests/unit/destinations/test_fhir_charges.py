"""fhir_claim with ChargeItems: a day in one transaction, each line its own resource, every entry of the answer read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.chargeitem import ChargeItem
from fhir.resources.R4B.claim import Claim
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.fhir_claim_server import REFUSAL, SandboxFhirClaims, TransactionFaults

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.destinations import _fhir_claim_bundle as bundles
from ptbridge.destinations import _fhir_claim_parts as parts
from ptbridge.destinations.fhir_claim import FhirClaim
from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.model import Disposition, Frequency, PricedDay, Stage, Standing, Submission
from ptbridge.ports import CorrectingDestination
from tests.rigs import a_day, servers
from tests.rigs.servers import DATES, NOBODY, REFERENCE, TENTH, Scene, bad_day, told
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock
from tests.unit.destinations.claim_days import full_day, of_patient, of_visit, two_visits, with_lines

BOTH, ITEMS = "Claim, ChargeItem", "ChargeItem"
SYSTEM = "urn:ptbridge:charge"
Work = Callable[[Scene], Awaitable[None]]


def build(resources: str = BOTH, address: str = NOBODY, **options: str) -> FhirClaim:
    made: FhirClaim = servers.built("fhir_claim", address, {"resources": resources, **options})
    return made


def play(work: Work, resources: str = BOTH, faults: Faults | None = None, **of_server: Any) -> None:
    server = SandboxFhirClaims(faults=faults, **of_server)
    rebuild = lambda **more: build(**{"resources": resources, "address": server.base_url, "find_lag_seconds": "0", **more})  # noqa: E731
    servers.play(server, rebuild, work)


def corrected(made: Scene, day: PricedDay, live: Submission, revision: int = 2) -> Submission:
    """The correction of what was accepted, as plan.py makes it."""
    body, media_type = made.destination.encode_replacement(day, live.body, reference=REFERENCE, original_id=None)
    wanted = made.send(day, revision, "7")
    return replace(wanted, body=body, media_type=media_type)


def voided(made: Scene, live: Submission, revision: int = 3) -> Submission:
    body, media_type = made.destination.encode_void(live.body, reference=REFERENCE, original_id=None)
    return replace(live, body=body, media_type=media_type, revision=revision, frequency=Frequency.VOID, key=f"v{revision}")


def sent_entries(day: PricedDay, resources: str = BOTH) -> list[dict[str, Any]]:
    """The transaction of a day, each resource a valid one."""
    document = parts.read(servers.sent(build(resources), day).body)
    Bundle.model_validate(document)
    for entry in document["entry"]:
        {"Claim": Claim, "ChargeItem": ChargeItem}[entry["resource"]["resourceType"]].model_validate(entry["resource"])
    found: list[dict[str, Any]] = document["entry"]
    return found


def code_of(concept: dict[str, Any]) -> str:
    return str(concept["coding"][0]["code"])


def at_server(made: Scene) -> list[tuple[str, str, int, str]]:
    """(name, procedure, units, status) of each ChargeItem, in the order of their making."""
    found = ((one.names[0].rpartition("-")[2], one.resource) for one in made.server.books.all("ChargeItem"))
    return [(number, code_of(one["code"]), one["quantity"]["value"], one["status"]) for number, one in found]


# ---------------------------------------------------------------- what is sent


def test_a_line_is_a_charge_item_with_all_that_is_known() -> None:
    item = sent_entries(full_day(), ITEMS)[0]["resource"]
    kinds = {one["id"]: one for one in item["contained"]}
    assert item["status"] == "billable" and code_of(item["code"]) == "97110"
    assert [code_of(one["valueCodeableConcept"]) for one in item["extension"]] == ["GP", "KX"]
    assert item["subject"] == {"reference": "#patient"} and kinds["patient"]["identifier"][0]["value"] == "MRNQXZ2"
    assert item["context"]["identifier"] == {"system": f"{SYSTEM}/visit", "value": "e1"}
    assert item["occurrenceDateTime"] == "2026-11-02" and item["quantity"] == {"value": 2}
    assert [one["function"]["text"] for one in item["performer"]] == ["rendering", "supervising"]
    assert item["performingOrganization"] == {"reference": "#clinic"}
    assert item["priceOverride"] == {"value": Decimal("60.00"), "currency": "USD"}
    assert [code_of(one) for one in item["reason"]] == ["M54.50", "S83.511A"]
    assert item["identifier"][0] == {"system": f"{SYSTEM}/line", "value": f"{REFERENCE}-1"}


def test_money_is_exact_to_the_cent() -> None:
    day = a_day()
    odd = replace(day, charges=(replace(day.charges[0], amount_cents=123_456_789_01), day.charges[1]))
    body = servers.sent(build(ITEMS), odd).body
    assert b'"value":123456789.01' in body and b"e+" not in body


def test_the_claim_points_to_its_charge_items_within_the_transaction() -> None:
    claim, *items = sent_entries(full_day())
    assert claim["resource"]["resourceType"] == "Claim" and len(items) == 3
    pointed = {one["sequence"]: one["valueReference"]["reference"] for one in claim["resource"]["supportingInfo"]}
    by_item = [pointed[item["informationSequence"][0]] for item in claim["resource"]["item"]]
    assert by_item == [entry["fullUrl"] for entry in items] and all(at.startswith("urn:uuid:") for at in by_item)
    assert items[0]["request"]["ifNoneExist"].endswith(f"line%7C{REFERENCE}-1")


def test_every_entry_of_an_original_is_conditional_and_every_address_its_own() -> None:
    entries = sent_entries(full_day())
    assert all(entry["request"]["method"] == "POST" and entry["request"]["ifNoneExist"] for entry in entries)
    assert len({entry["fullUrl"] for entry in entries}) == len(entries)


def test_what_several_visits_share_names_none() -> None:
    first, second = (entry["resource"] for entry in sent_entries(two_visits("A1", "A2"), ITEMS))
    assert (first["context"]["identifier"]["value"], second["context"]["identifier"]["value"]) == ("e1", "e2")
    day = two_visits("A1", "A2")
    pooled = replace(day.charges[0], line=replace(day.charges[0].line, line_keys=("e1/1", "e2/1")))
    shared = replace(day, charges=(pooled, day.charges[1]))
    assert "context" not in sent_entries(shared, ITEMS)[0]["resource"]


def test_charge_items_alone_need_no_payer_and_a_claim_does() -> None:
    day = of_visit(a_day(), coverages=())
    assert build(ITEMS).lacks(day) == [] and [one.where for one in build(BOTH).lacks(day)] == ["coverage"]
    assert [one.where for one in build(ITEMS).lacks(of_patient(a_day(), family=""))] == ["patient.name"]


def test_a_pointer_past_the_diagnoses_holds_the_day() -> None:
    found = build(ITEMS).lacks(with_lines(a_day(), "97110-GP x1 >2"))
    assert [one.where for one in found] == ["line 1"]


def test_what_would_break_r4_in_a_charge_item_holds_the_day() -> None:
    day = a_day()
    line = replace(day.charges[0].line, procedure="97110 \n")
    found = build(ITEMS).lacks(replace(day, charges=(replace(day.charges[0], line=line), day.charges[1])))
    assert [one.code for one in found] == ["SB03"] and found[0].where.startswith("ChargeItem.code") and "\n" not in str(found)


def test_only_what_sends_charge_items_must_see_what_it_corrects() -> None:
    assert isinstance(build(ITEMS), CorrectingDestination) and isinstance(build(BOTH), CorrectingDestination)
    assert not isinstance(build("Claim"), CorrectingDestination)


# ---------------------------------------------------------------- corrections


@pytest.mark.parametrize("resources", [BOTH, ITEMS])
def test_a_line_keeps_its_charge_item_while_others_come_and_go(resources: str) -> None:
    async def work(made: Scene) -> None:
        first = made.send(with_lines(a_day(), "97110-GP x2", "97140-GP x1", "97530-GP x1"))
        assert (await made.destination.submit(first)).disposition is Disposition.ACCEPTED
        second = corrected(made, with_lines(a_day(), "97140-GP x2", "97530-GP x1", "97112-GP x1"), first)
        requests = {entry["request"]["method"] for entry in parts.read(second.body)["entry"]}
        assert requests == {"PUT", "POST"}, "what is new is created, the rest updated"
        assert (await made.destination.submit(second)).disposition is Disposition.ACCEPTED
        assert at_server(made) == [
            ("1", "97110", 2, "entered-in-error"),
            ("2", "97140", 2, "billable"),
            ("3", "97530", 1, "billable"),
            ("4", "97112", 1, "billable"),
        ]
        assert await made.destination.list_references(DATES) == {REFERENCE: (4, 12000)}
        third = corrected(made, with_lines(a_day(), "97110-GP x1"), second, 3)
        assert (await made.destination.submit(third)).disposition is Disposition.ACCEPTED
        assert at_server(made)[4] == ("5", "97110", 1, "billable"), "a number is not given again"
        assert (await made.destination.find(third)).disposition is Disposition.ACCEPTED
        assert await made.destination.find(second) is None
        assert await made.destination.list_references(DATES) == {REFERENCE: (1, 3000)}

    play(work, resources)


@pytest.mark.parametrize("resources", [BOTH, ITEMS])
def test_what_was_taken_back_is_billed_again_in_the_same_resources(resources: str) -> None:
    async def work(made: Scene) -> None:
        first = made.send(a_day())
        await made.destination.submit(first)
        assert (await made.destination.submit(voided(made, first))).disposition is Disposition.ACCEPTED
        assert await made.destination.list_references(DATES) == {}
        assert {status for *_, status in at_server(made)} == {"entered-in-error"}
        again = made.send(with_lines(a_day(), "97110-GP x3", "97161-GP x1", "97530-GP x1"), 4)
        answer = await made.destination.submit(again)
        assert answer.disposition is Disposition.ACCEPTED and len(at_server(made)) == 3
        assert await made.destination.list_references(DATES) == {REFERENCE: (5, 15000)}
        assert (await made.destination.find(again)).disposition is Disposition.ACCEPTED

    play(work, resources)


def test_an_original_never_overwrites_what_is_live() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        answer = await made.destination.submit(made.send(a_day(5), 2))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "reference-exists")
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}

    play(work)


@pytest.mark.parametrize("status", ["billed", "not-billable", "aborted"])
def test_what_the_biller_went_on_with_is_not_overwritten(status: str) -> None:
    async def work(made: Scene) -> None:
        first = made.send(a_day())
        await made.destination.submit(first)
        made.server.mark(REFERENCE, status)
        writes = len(made.server.seen)
        answer = await made.destination.submit(corrected(made, a_day(5), first))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, status) and answer.native_text
        assert len(made.server.seen) == writes, "nothing was asked of the server"
        void = await made.destination.submit(voided(made, first))
        assert void.disposition is (Disposition.REJECTED if status == "billed" else Disposition.ACCEPTED)

    play(work, ITEMS)


@pytest.mark.parametrize(
    ("status", "disposition", "code"),
    [("billed", Disposition.ACCEPTED, "billed"), ("aborted", Disposition.REJECTED, "aborted")],
)
def test_a_look_up_sees_how_far_a_charge_item_has_come(status: str, disposition: Disposition, code: str) -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        made.server.mark(REFERENCE, status)
        found = await made.destination.find(sent)
        assert (found.disposition, found.native_code) == (disposition, code)
        live = {REFERENCE: (3, 9000)} if status == "billed" else {}
        assert await made.destination.list_references(DATES) == live

    play(work, ITEMS)


def test_a_claim_sent_before_charge_items_were_chosen_is_cancelled_by_the_correction() -> None:
    async def work(made: Scene) -> None:
        alone = made.reopened(resources="Claim")
        first = servers.sent(alone, a_day())
        await alone.submit(first)
        answer = await made.destination.submit(corrected(made, a_day(), first))
        assert answer.disposition is Disposition.ACCEPTED
        assert [one.resource["status"] for one in made.server.books.all("Claim")] == ["cancelled"]
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}

    play(work, ITEMS)


# ---------------------------------------------------------------- answers of servers that differ


async def settled(made: Scene, sent: Submission, code: str) -> None:
    """What came was no acceptance and no refusal."""
    answer = await made.destination.submit(sent)
    assert answer.disposition is Disposition.IN_DOUBT and answer.native_code.startswith(code), answer
    made.server.faults = TransactionFaults()


@pytest.mark.parametrize("resources", [BOTH, ITEMS])
@pytest.mark.parametrize(
    ("faults", "code", "stands"),
    [
        (TransactionFaults(half_answer=1.0), "half-answer", True),
        (TransactionFaults(no_location=1.0), "half-answer", True),
        (TransactionFaults(lose_answer=1.0), "lost-answer", True),
        (TransactionFaults(error_after_commit=1.0), "500", True),
        (TransactionFaults(wrong_reference=1.0), "mismatched-answer", True),
        (TransactionFaults(html_answer=1.0), "half-answer", True),
        (TransactionFaults(half_done=1.0), "half-answer:422", False),
        (TransactionFaults(half_lost=1.0), "500", False),
    ],
)
def test_half_an_answer_is_settled_by_looking_for_every_resource(
    resources: str, faults: Faults, code: str, stands: bool
) -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await settled(made, sent, code)
        found = await made.destination.find(sent)
        assert (found is not None and found.disposition is Disposition.ACCEPTED) is stands
        again = await made.destination.submit(sent)
        assert again.disposition is Disposition.ACCEPTED, "the same bytes complete what is half there"
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}
        assert len(at_server(made)) == 2

    play(work, resources, faults)


def test_a_refused_entry_beside_others_that_stand_is_a_doubt_with_the_servers_words() -> None:
    async def work(made: Scene) -> None:
        answer = await made.destination.submit(made.send(a_day()))
        assert (answer.disposition, answer.native_text) == (Disposition.IN_DOUBT, REFUSAL[1])
        made.server.faults = TransactionFaults()
        await made.destination.submit(made.send(a_day()))

    play(work, faults=TransactionFaults(half_done=1.0))


def test_an_answer_without_resources_is_read_back_one_by_one() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        assert (await made.destination.submit(sent)).disposition is Disposition.ACCEPTED
        assert made.server.requests["reads"] == 3 and made.server.requests["searches"] == 0

    play(work, faults=TransactionFaults(bare_answer=1.0))


def test_what_cannot_be_read_back_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(made: Scene) -> None:
        async def away(*_: object) -> None:
            raise PeerUnavailable("away")

        monkeypatch.setattr(made.destination._api, "at", away)
        await settled(made, made.send(a_day()), "not-read-back")

    play(work, faults=TransactionFaults(bare_answer=1.0))


def test_a_server_that_keeps_another_price_is_not_believed() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        made.server.books.kept["ChargeItem"]["2"].resource["priceOverride"] = {"value": 29.99, "currency": "USD"}
        again, found = await made.destination.submit(sent), await made.destination.find(sent)
        assert [one.native_code for one in (again, found)] == ["totals-differ"] * 2
        assert again.disposition is Disposition.REJECTED and found.disposition is Disposition.REJECTED

    play(work, ITEMS)


def test_two_charge_items_of_one_line_are_nobodys_guess() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        items = made.server.books.kept["ChargeItem"]
        items["3"] = replace(items["1"], id="3", resource={**items["1"].resource, "id": "3"})
        assert (await made.destination.find(sent)).native_code == "multiple-matches"
        assert (await made.destination.submit(sent)).native_code == "multiple-matches"

    play(work, ITEMS)


def entry(status: str, location: str = "", **more: Any) -> dict[str, Any]:
    return {"response": {"status": status, **({"location": location} if location else {})}, **more}


ONE = [{"resource": {"resourceType": "ChargeItem"}, "request": {"method": "POST"}}]


@pytest.mark.parametrize(
    ("row", "done", "id_"),
    [
        (entry("201 Created", "ChargeItem/7/_history/1"), True, "7"),
        (entry("200", "https://elsewhere.example/fhir/ChargeItem/7"), True, "7"),
        (entry("201", "Claim/7/_history/1"), True, ""),
        (entry("201", "ChargeItem/"), True, ""),
        (entry("2"), False, ""),
        (entry("412 Precondition Failed"), False, ""),
        ({}, False, ""),
        ({"response": []}, False, ""),
    ],
)
def test_an_entry_is_done_when_it_says_so_and_where(row: dict[str, Any], done: bool, id_: str) -> None:
    (said,) = bundles.answered({"resourceType": "Bundle", "entry": [row]}, ONE)
    assert (said.is_done, said.id) == (done, id_)


@pytest.mark.parametrize("answer", [{}, {"resourceType": "Bundle"}, {"resourceType": "Bundle", "entry": []}, {"entry": [{}]}])
def test_an_answer_to_less_than_all_is_none(answer: dict[str, Any]) -> None:
    assert bundles.answered(answer, ONE) == []


@pytest.mark.parametrize(
    ("statuses", "disposition"),
    [
        (("422", "422"), Disposition.REJECTED),
        (("422", "503"), Disposition.IN_DOUBT),
        (("424", "201"), Disposition.IN_DOUBT),
        (("429", "429"), Disposition.IN_DOUBT),
    ],
)
def test_only_a_refusal_of_every_entry_is_a_refusal(
    statuses: tuple[str, str], disposition: Disposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of batches that answers 200 and means it entry by entry."""

    async def work(made: Scene) -> None:
        rows = [entry(one, "ChargeItem/1" if one == "201" else "") for one in statuses]
        batch = {"resourceType": "Bundle", "type": "batch-response", "entry": rows}
        monkeypatch.setattr(made.server, "misnamed", lambda document: batch)
        made.server.faults = TransactionFaults(wrong_reference=1.0)
        assert (await made.destination.submit(made.send(a_day()))).disposition is disposition

    play(work, ITEMS)


# ---------------------------------------------------------------- reconcile, answers


def test_a_claim_and_charge_items_that_disagree_are_listed_apart() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        item = made.server.books.kept["ChargeItem"]["2"].resource
        item["status"] = "aborted"
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000), f"{REFERENCE}/ChargeItem": (2, 6000)}
        item["status"] = "billable"
        made.server.books.kept["Claim"]["1"].resource["status"] = "cancelled"
        assert await made.destination.list_references(DATES) == {f"{REFERENCE}/ChargeItem": (3, 9000)}
        made.server.books.kept["Claim"]["1"].resource["status"] = "active"
        del item["quantity"]
        with pytest.raises(PeerUnavailable, match="quantity"):
            await made.destination.list_references(DATES)
        item["quantity"] = {"value": 1}

    play(work)


@pytest.mark.parametrize(
    ("status", "standing"), [("billed", Standing.ACCEPTED), ("not-billable", Standing.REJECTED), ("aborted", Standing.REJECTED)]
)
def test_a_charge_items_status_is_an_answer(status: str, standing: Standing) -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        nothing, cursor = await told(made.destination)
        assert nothing == [] and cursor["items_last_updated"]
        made.server.mark(REFERENCE, status)
        found, after = await told(made.destination, cursor)
        assert [(one.stage, one.standing, one.reference, one.procedure) for one in found] == [
            (Stage.CLAIM_MADE, standing, REFERENCE, "97110"),
            (Stage.CLAIM_MADE, standing, REFERENCE, "97161"),
        ]
        assert found[0].codes[0].code == status and after != cursor
        made.server.mark(REFERENCE, "entered-in-error")

    play(work, ITEMS)


def test_both_kinds_of_news_move_their_own_cursors() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.decide(REFERENCE, "queued")
        made.server.mark(REFERENCE)
        found, cursor = await told(made.destination)
        assert [one.stage for one in found] == [Stage.PAYER, Stage.CLAIM_MADE, Stage.CLAIM_MADE]
        assert set(cursor) == {"last_updated", "items_last_updated"}
        assert {one.key for one in (await told(made.destination, cursor))[0]} <= {one.key for one in found}

    play(work)


def test_charge_items_are_ours_until_they_are_billed_and_a_persons_then() -> None:
    alone, both = build(ITEMS).capabilities, build(BOTH).capabilities
    assert (alone.open_until, alone.task_after) == (Stage.RECEIVED, Stage.RECEIVED)
    assert (both.open_until, both.task_after) == (Stage.REMITTANCE, None)


@pytest.mark.parametrize("resources", ["Claim", BOTH, ITEMS])
def test_a_server_that_shows_one_thing_and_keeps_another_is_read_back(resources: str) -> None:
    """It answers with our resources and keeps none of our amounts: only the look-up tells."""

    async def work(made: Scene) -> None:
        reader = made.reopened(read_back="yes")
        assert reader.capabilities.read_back and not made.destination.capabilities.read_back
        shown = made.server.spoil

        async def other_amounts(*answer: Any) -> Any:
            told = await shown(*answer)
            for kind, amount in (("ChargeItem", "priceOverride"), ("Claim", "total")):
                for one in made.server.books.all(kind):
                    one.resource[amount] = {"value": 1, "currency": "USD"}
            return told

        made.server.spoil = other_amounts
        assert (await reader.submit(made.send(a_day()))).disposition is Disposition.ACCEPTED, "so it says"
        outbox = MemoryOutbox(VirtualClock())
        outbox.put(made.send(a_day(), reference=f"pt-{1:024x}"))
        report = await deliver(outbox, reader, in_flight=1, clock=SystemClock(), policy=RetryPolicy(), deadline_seconds=60)
        assert (report.accepted, dict(report.held)) == (0, {"rejected:totals-differ": 1})
        made.server.books.kept["Claim"].clear()  # the auditor need not compare what was spoiled

    play(work, resources)


def test_doctor_says_whether_the_server_takes_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(made: Scene) -> None:
        assert any("takes transactions" in line for line in await made.destination.check())

        async def silent() -> dict[str, Any]:
            return {"fhirVersion": "4.0.1"}

        monkeypatch.setattr(made.destination._api.fhir, "capability", silent)
        assert any("does not say" in line for line in await made.destination.check())

    play(work)


def test_doctor_says_that_charge_items_stand_that_claims_alone_do_not_take_back() -> None:
    async def work(made: Scene) -> None:
        alone = build("Claim", made.server.base_url)
        try:
            assert not [line for line in await alone.check() if "ChargeItems stand there" in line]
            sent = made.send(a_day())
            await made.destination.submit(sent)
            assert [line for line in await alone.check() if "ChargeItems stand there" in line]
            await made.destination.submit(voided(made, sent, 2))
            assert not [line for line in await alone.check() if "ChargeItems stand there" in line]
        finally:
            await alone.close()

    play(work, ITEMS)


def test_doctor_asks_nothing_more_of_a_server_that_knows_no_charge_items(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(made: Scene) -> None:
        alone = build("Claim", made.server.base_url)
        search = alone._api.fhir.search

        def refused(kind: str, params: Any) -> Any:
            if kind == "ChargeItem":
                raise PeerRefused("the server knows no ChargeItem")
            return search(kind, params)

        monkeypatch.setattr(alone._api.fhir, "search", refused)
        assert len(await alone.check()) == 1
        await alone.close()

    play(work)


# ---------------------------------------------------------------- all of it together


@pytest.mark.parametrize("resources", [BOTH, ITEMS])
def test_a_bad_day_at_the_server_loses_and_doubles_nothing(resources: str) -> None:
    faults = TransactionFaults(
        **TENTH,
        half_answer=0.1,
        half_done=0.1,
        half_lost=0.1,
        bare_answer=0.2,
    )

    async def work(made: Scene) -> None:
        report = await bad_day(made.destination, made.server, [f"pt-{number:024x}" for number in range(40)])
        assert all(made.server.requests[word] for word in ("half answers", "half done", "half lost", "lost answers"))
        assert report.look_ups > 5 and made.server.summary()["lines"] == 80
        listed = await made.reopened().list_references(DATES)
        assert len(listed) == 40 and set(listed.values()) == {(3, 9000)}

    play(work, resources, faults)


@pytest.mark.parametrize("text", ["Invoice", "Claim, Claim", "", "Claim ChargeItem"])
def test_what_a_day_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="Known: Claim; ChargeItem; Claim, ChargeItem"):
        build(text)
