"""Charge captures at Candid: planned, read back, billable; corrected, taken back, used again; never two."""

from __future__ import annotations

import orjson
import pytest

from ptbridge.model import Disposition
from tests.rigs import MARKERS, a_day
from tests.rigs.servers import DATES, REFERENCE, Scene
from tests.unit.destinations.candid_judge import ChargeCapture, judge_request, problems
from tests.unit.destinations.candid_rig import LoseOne, live, play
from tests.unit.destinations.claim_days import full_day, of_visit, with_lines

WAY = "charge_captures"
PATH = "/api/charge_captures/v1"


def test_every_fact_is_said_in_candids_words():
    async def scene(it: Scene):
        sent = orjson.loads(it.send(full_day()).body)
        data = sent["data"]
        assert (sent["charge_external_id"], sent["status"], sent["originating_system"]) == (REFERENCE, "planned", "ptbridge")
        assert [line["external_id"] for line in data["service_lines"]] == [f"{REFERENCE}-{n}" for n in (1, 2, 3)]
        assert all(len(line["external_id"]) <= 30 for line in data["service_lines"])
        assert data["service_lines"][0] == {
            "external_id": f"{REFERENCE}-1",
            "procedure_code": "97110",
            "modifiers": ["GP", "KX"],
            "quantity": "2",
            "units": "UN",
            "charge_amount_cents": 6000,
            "diagnosis_pointers": [0, 1],
        }
        assert data["diagnoses"] == [{"code_type": "ABK", "code": "M54.50"}, {"code_type": "ABF", "code": "S83.511A"}]
        assert data["billing_provider"]["address"]["zip_plus_four_code"] == "1234"
        assert data["related_causes_information"] == {"related_causes_code_1": "AA", "state_or_province_code": "OH"}
        assert (data["accident_date"], data["supervising_provider"]["last_name"]) == ("2026-10-20", "Super")
        assert data["date_of_service"] == "2026-11-02" and "date_of_service" not in data["service_lines"][0]
        assert (data["provider_accepts_assignment"], data["benefits_assigned_to_provider"]) == (True, True)
        assert data["subscriber_primary"]["insurance_card"]["plan_type"] == "MB"
        assert judge_request("POST", PATH, sent) == []

    play(WAY, scene)


def test_the_judge_sees_a_stranger_and_an_unknown_word():
    async def scene(it: Scene):
        sent = orjson.loads(it.send(full_day()).body)
        for spoil in (
            lambda body: body["data"].update(colour="red"),
            lambda body: body["data"]["service_lines"][0]["modifiers"].append("Z0"),
            lambda body: body["data"]["service_lines"][0].update(quantity=2.5),
            lambda body: body.update(status="live"),
            lambda body: body.update(reason="none"),
            lambda body: body["data"].update(place_of_service_code="00"),
            lambda body: body.pop("patient_external_id"),
        ):
            body = orjson.loads(orjson.dumps(sent))
            spoil(body)
            assert judge_request("POST", PATH, body), "the judge let it through"

    play(WAY, scene)


def test_no_patient_data_in_the_names():
    async def scene(it: Scene):
        sent = orjson.loads(it.send(full_day()).body)
        names = [sent["charge_external_id"], *(line["external_id"] for line in sent["data"]["service_lines"])]
        assert not any(marker in name for marker in MARKERS for name in names)

    play(WAY, scene)


def test_a_charge_is_planned_then_read_then_billable():
    async def scene(it: Scene):
        answer = await it.destination.submit(it.send(full_day()))
        assert (answer.disposition, answer.native_code) == (Disposition.ACCEPTED, "billable")
        asked = [(method, body.get("status")) for method, _, body in it.server.seen]
        assert asked == [("POST", "planned"), ("PATCH", "billable")]
        charge = it.server.books.charge_of(REFERENCE)
        assert answer.destination_id == charge["id"] and problems(ChargeCapture, charge) == []
        assert live(it.server) == {REFERENCE: (4, 12000)}

    play(WAY, scene)


@pytest.mark.parametrize("number", [0, 1])
def test_a_lost_answer_at_either_step_is_settled_by_sending_again(number):
    async def scene(it: Scene):
        sent = it.send(a_day())
        it.server.faults = LoseOne(number)
        assert (await it.destination.submit(sent)).disposition is Disposition.IN_DOUBT
        found = await it.destination.find(sent)
        assert (found is None) == (number == 0), "planned is not taken for billing; billable is"
        assert (await it.destination.submit(sent)).disposition is Disposition.ACCEPTED
        assert live(it.server) == {REFERENCE: (3, 9000)} and len(it.server.books.charges) == 1

    play(WAY, scene)


def test_what_candid_changed_on_its_own_stays_planned_and_is_said():
    async def scene(it: Scene):
        it.server.books.chargemaster["97110"] = 1234
        answer = await it.destination.submit(it.send(a_day()))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "differs")
        assert "service_lines/0/charge_amount_cents" in answer.native_text and "1234" not in answer.native_text
        assert live(it.server) == {}, "what differs is not for billing"
        it.server.books.chargemaster.clear()
        assert (await it.destination.submit(it.send(a_day(4)))).disposition is Disposition.ACCEPTED
        assert live(it.server) == {REFERENCE: (5, 15000)}

    play(WAY, scene)


def test_a_billable_charge_with_other_content_is_never_overwritten_by_an_original():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        answer = await it.destination.submit(it.send(a_day(4), revision=2))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "differs")
        assert live(it.server) == {REFERENCE: (3, 9000)}

    play(WAY, scene)


def test_a_correction_leaves_nothing_of_the_earlier_version():
    async def scene(it: Scene):
        await it.destination.submit(it.send(full_day()))
        bare = with_lines(a_day(), "97110-GP x1")
        bare = of_visit(bare, authorization_number=None)
        answer = await it.destination.submit(it.send(bare, revision=2, frequency="7"))
        assert answer.disposition is Disposition.ACCEPTED
        data = it.server.books.charge_of(REFERENCE)["charge_capture_data"]
        gone = {"prior_authorization_number", "accident_date", "related_causes_information", "supervising_provider"}
        assert gone & data.keys() == set() and live(it.server) == {REFERENCE: (1, 3000)}

    play(WAY, scene)


def test_a_correction_is_the_same_however_often_it_is_sent():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        correction = it.send(a_day(4), revision=2, frequency="7")
        it.server.faults = LoseOne(0)
        assert (await it.destination.submit(correction)).disposition is Disposition.IN_DOUBT
        assert (await it.destination.find(correction)).disposition is Disposition.ACCEPTED
        changes = len(it.server.seen)
        assert (await it.destination.submit(correction)).disposition is Disposition.ACCEPTED
        assert len(it.server.seen) == changes, "what stands already is not written again"

    play(WAY, scene)


def test_what_was_taken_back_can_be_billed_again_under_the_same_reference():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        void = it.send(a_day(), revision=2, frequency="8")
        assert (await it.destination.submit(void)).native_code == "entered-in-error" and live(it.server) == {}
        assert (await it.destination.submit(void)).disposition is Disposition.ACCEPTED
        again = it.send(full_day(), revision=3)
        assert await it.destination.find(again) is None
        assert (await it.destination.submit(again)).disposition is Disposition.ACCEPTED
        assert live(it.server) == {REFERENCE: (4, 12000)} and len(it.server.books.charges) == 1

    play(WAY, scene)


def test_a_correction_after_the_claim_waits_for_a_person_at_candid():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        claim = it.server.books.make_claim(REFERENCE)
        answer = await it.destination.submit(it.send(a_day(4), revision=2, frequency="7"))
        assert answer.disposition is Disposition.ACCEPTED and "a person there resolves" in answer.native_text
        assert [line["quantity"] for line in claim["claims"][0]["service_lines"]] == ["2", "1"], "the claim is untouched"
        assert [update["resolved"] for update in it.server.books.charge_of(REFERENCE)["updates"]] == [False]

    play(WAY, scene)


@pytest.mark.parametrize("status", ["aborted", "not-billable"])
def test_what_a_person_at_candid_set_aside_is_not_brought_back(status):
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        it.server.books.charge_of(REFERENCE)["status"] = status
        for frequency in "17":
            answer = await it.destination.submit(it.send(a_day(4), revision=2, frequency=frequency))
            assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, status)
        assert live(it.server) == {}

    play(WAY, scene)


@pytest.mark.parametrize("frequency", ["7", "8"])
def test_what_candid_never_had_cannot_be_changed(frequency):
    async def scene(it: Scene):
        answer = await it.destination.submit(it.send(a_day(), frequency=frequency))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "unknown-reference")

    play(WAY, scene)


def test_only_our_billable_charges_of_the_dates_are_listed_over_all_pages():
    async def scene(it: Scene):
        for number in range(130):
            await it.destination.submit(it.send(a_day(), reference=f"pt-{number:024x}"))
        foreign = orjson.loads(it.send(a_day(), reference="theirs").body)
        it.server.books.create_charge({**foreign, "originating_system": "another", "status": "billable"})
        it.server.books.create_charge({**foreign, "charge_external_id": "planned-only"})
        listed = await it.destination.list_references(DATES)
        assert listed == {f"pt-{number:024x}": (3, 9000) for number in range(130)}
        assert await it.destination.list_references(("2026-11-03", "2026-11-30")) == {}

    play(WAY, scene)


def test_what_waits_at_candid_is_said_by_the_check():
    async def scene(it: Scene):
        await it.destination.submit(it.send(a_day()))
        await it.destination.submit(it.send(a_day(), reference="pt-2"))
        it.server.books.fail_bundle("pt-2", "payer_id", "unknown")
        first, *waiting = await it.destination.check()
        assert "takes our credential" in first
        assert waiting == [
            "charges that are in no claim: 1",
            "bundles not started: 0",
            "bundles held: 0",
            "bundles in error: 1",
            "changes after the claim that wait for a person: 0",
        ]

    play(WAY, scene)
