"""stedi: one claim, one key; found again by its number; corrected by the payer's; told what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

import msgspec
import orjson
import pytest
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.stedi import SandboxStedi
from ptbridge_sandbox.stedi_words import report_277

from ptbridge.delivery import RetryPolicy, deliver
from ptbridge.destinations._stedi_document import ControlNumber, control_number, day_name, line_place
from ptbridge.destinations.stedi import Stedi
from ptbridge.errors import ConfigError, PeerRefused, PeerUnavailable
from ptbridge.model import (
    Address,
    Disposition,
    Frequency,
    PlanOfCare,
    PricedDay,
    Provider,
    Stage,
    Standing,
    Subscriber,
)
from tests.rigs import BILLING, CLAIMS, a_day, servers
from tests.rigs.servers import DATES, NOBODY, REFERENCE, TENTH, Scene, bad_day, told
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock
from tests.unit.destinations.claim_days import full_day, of_coverage, of_visit, two_visits, with_lines

KEY = "a-key.with-dots"
CUT = REFERENCE[:17]


def build(address: str = NOBODY, key: str = KEY, **options: str) -> Stedi:
    made: Stedi = servers.built("stedi", address, options, method="api_key", secret=key)
    return made


def play(work: Callable[[Scene], Awaitable[None]], **of_server: Any) -> None:
    server = SandboxStedi(key=KEY, **of_server)

    def rebuild(**more: str) -> Stedi:
        options = {"usage": "T", "core_url": server.base_url, "news_from": "2026-11-01", "find_lag_seconds": "0"}
        return build(server.base_url, **{**options, **more})

    servers.play(server, rebuild, work)


def claim(day: PricedDay, **options: str) -> dict[str, Any]:
    """What is sent of a day."""
    found: dict[str, Any] = orjson.loads(servers.sent(build(usage="T", **options), day).body)
    return found


def lacking(day: PricedDay, **of_clinic: Any) -> list[str]:
    """Where the findings point."""
    claims = msgspec.structs.replace(CLAIMS, **{name: value for name, value in of_clinic.items() if name in dir(CLAIMS)})
    billing = msgspec.structs.replace(BILLING, **{name: value for name, value in of_clinic.items() if name in dir(BILLING)})
    made = build(usage="T")
    made._billing, made._claims = billing, claims
    return [finding.where for finding in made.lacks(day)]


# ---------------------------------------------------------------- the claim


def test_a_claim_says_all_that_is_known_in_stedis_words() -> None:
    said = claim(full_day())
    information = said["claimInformation"]
    assert (said["usageIndicator"], said["tradingPartnerServiceId"]) == ("T", "15202")
    assert said["subscriber"]["memberId"] == "MEMQXZ7" and said["subscriber"]["dateOfBirth"] == "19310709"
    assert said["billing"]["employerId"] == "123456789" and "ssn" not in said["billing"] and "dependent" not in said
    assert (said["supervising"]["firstName"], said["supervising"]["lastName"]) == ("Visor", "Super")
    assert information["claimChargeAmount"] == "120.00" and information["claimFrequencyCode"] == "1"
    assert information["relatedCausesCode"] == ["AA"] and information["autoAccidentStateCode"] == "OH"
    assert information["healthCareCodeInformation"] == [
        {"diagnosisTypeCode": "ABK", "diagnosisCode": "M5450"},
        {"diagnosisTypeCode": "ABF", "diagnosisCode": "S83511A"},
    ]
    first = information["serviceLines"][0]
    assert first["serviceDate"] == "20261102"
    assert first["professionalService"] == {
        "procedureIdentifier": "HC",
        "procedureCode": "97110",
        "procedureModifiers": ["GP", "KX"],
        "lineItemChargeAmount": "60.00",
        "measurementUnit": "UN",
        "serviceUnitCount": "2",
        "compositeDiagnosisCodePointers": {"diagnosisCodePointers": ["1", "2"]},
    }


def test_line_numbers_are_unique_short_and_lead_back_to_their_place() -> None:
    lines = claim(with_lines(a_day(), *["97110-GP x1"] * 50))["claimInformation"]["serviceLines"]
    numbers = [line["providerControlNumber"] for line in lines]
    assert len(set(numbers)) == 50 and max(map(len, numbers)) <= 30
    assert [line_place(number) for number in numbers] == list(range(1, 51))


def test_each_visits_own_authorization_stands_on_its_line() -> None:
    information = claim(two_visits("AUTH1", "AUTH2"))["claimInformation"]
    assert "claimSupplementalInformation" not in information
    said = [line["serviceLineReferenceInformation"]["priorAuthorization"][0] for line in information["serviceLines"]]
    assert [one["priorAuthorizationOrReferralNumber"] for one in said] == ["AUTH1", "AUTH2"]


def test_therapy_dates_are_said_only_when_asked_for_and_known() -> None:
    day = of_visit(a_day(), plan_of_care=PlanOfCare(start=date(2026, 10, 1), certified_on=date(2026, 10, 5)))
    dates = {"beginTherapyDate": "20261001", "lastCertificationDate": "20261005"}
    asked = claim(day, therapy_dates="yes")["claimInformation"]["serviceLines"]
    assert [line["serviceLineDateInformation"] for line in asked] == [dates, dates]
    assert "serviceLineDateInformation" not in str(claim(day)) + str(claim(a_day(), therapy_dates="yes"))


def test_another_persons_coverage_names_both() -> None:
    other = Subscriber(family="Otherfam", given="Othergiv", birth_date=date(1929, 1, 2), sex="male", address=Address())
    said = claim(of_coverage(a_day(), relationship="spouse", subscriber=other))
    assert (said["subscriber"]["lastName"], said["subscriber"]["gender"]) == ("Otherfam", "M")
    assert "address" not in said["subscriber"], "half an address is none"
    assert (said["dependent"]["lastName"], said["dependent"]["relationshipToSubscriberCode"]) == ("Famqxz", "01")


@pytest.mark.parametrize(
    ("of_clinic", "where"),
    [
        ({"tax_id": "123456789"}, "billing_provider.tax_id"),
        ({"phone": None}, "billing_provider.phone"),
        ({"contact": None}, "billing_provider.contact"),
        ({"signature_on_file": None}, "claims.signature_on_file"),
    ],
)
def test_what_the_clinic_file_lacks_holds_the_day(of_clinic: dict[str, Any], where: str) -> None:
    assert lacking(a_day(), **of_clinic) == [where]


def test_what_the_day_lacks_holds_it() -> None:
    assert lacking(of_visit(a_day(), rendering=Provider(npi="1558395210", name="Mononym"))) == ["visit.rendering.name"]
    assert lacking(with_lines(a_day(), *["97110-GP x1"] * 51)) == ["lines"]
    assert lacking(full_day()) == []


# ---------------------------------------------------------------- names


def test_a_control_number_tells_day_units_and_frequency() -> None:
    for frequency in Frequency:
        number = control_number(REFERENCE, units=37, frequency=frequency, content=b"anything")
        assert len(number) == 17 and number.isalnum() and number == number.upper()
        assert ControlNumber.read(number) == ControlNumber(day=CUT, units=37, frequency=frequency)
    assert day_name(REFERENCE) == CUT


def test_another_content_is_another_number() -> None:
    numbers = {control_number(REFERENCE, units=3, frequency="7", content=str(at).encode()) for at in range(50)}
    assert len(numbers) == 50


@pytest.mark.parametrize("text", ["", "PTABC", "X" * 17, "P" + "Z" * 16, None, 12])
def test_another_number_is_not_ours(text: object) -> None:
    assert ControlNumber.read(text) is None


# ---------------------------------------------------------------- sending


def test_the_same_key_makes_one_claim_and_gives_the_same_answer() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        first, again = await made.destination.submit(sent), await made.destination.submit(sent)
        assert first == again and first.disposition is Disposition.ACCEPTED and len(made.server.claims) == 1
        assert made.server.requests["repeated keys"] == 1

    play(work)


def test_a_key_that_is_worked_on_is_asked_again_later() -> None:
    async def work(made: Scene) -> None:
        made.server.work_seconds = 0.3
        sent = made.send(a_day())
        running = asyncio.create_task(made.destination.submit(sent))
        await asyncio.sleep(0.1)
        busy = await made.destination.submit(sent)
        assert (busy.disposition, busy.native_code, busy.retry_after_seconds) == (Disposition.RETRY, "409", 1.0)
        assert (await running).disposition is Disposition.ACCEPTED and len(made.server.claims) == 1

    play(work)


def test_a_key_used_with_other_content_is_a_doubt_and_never_a_second_claim() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        other = await made.destination.submit(replace(made.send(a_day(5)), key=f"{REFERENCE}-r1"))
        assert (other.disposition, other.native_code) == (Disposition.IN_DOUBT, "key-of-another-claim")
        assert len(made.server.claims) == 1

    play(work)


def test_after_a_day_a_doubt_is_looked_up_and_nothing_is_sent_twice() -> None:
    """The key is forgotten at Stedi after 24 hours: delivery then looks, and what it finds is accepted."""
    clock = VirtualClock()
    outbox = MemoryOutbox(clock)

    async def work(made: Scene) -> None:
        outbox.put(made.send(a_day()))
        made.server.faults = Faults(lose_answer=1.0)
        policy = RetryPolicy(first_delay_seconds=3600, max_delay_seconds=3600)
        first = await deliver(outbox, made.destination, in_flight=1, clock=clock, policy=policy, deadline_seconds=60)
        assert (first.doubts, first.postponed) == (1, 1)
        made.server.faults = Faults()
        made.server.forget()
        clock.at += 25 * 3600
        second = await deliver(outbox, made.destination, in_flight=1, clock=clock, policy=policy, deadline_seconds=60)
        assert (second.accepted, second.look_ups) == (1, 1)
        assert len(made.server.claims) == 1 and made.server.violations == []

    play(work)


def test_edits_keep_their_codes_and_drop_the_value() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(with_lines(a_day(), "97110-GP x2 >1,2", diagnoses=("M54.50", "M54.50")))
        answer = await made.destination.submit(sent)
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "33")
        assert answer.native_text == "healthCareCodeInformation: a diagnosis twice, or with a dot"
        assert await made.destination.find(sent) is None

    play(work)


def test_a_wrong_key_is_refused() -> None:
    async def work(made: Scene) -> None:
        stranger = made.reopened(key="another")
        with pytest.raises(PeerRefused, match="the API key of the clinic file"):
            await stranger.submit(made.send(a_day()))
        with pytest.raises(PeerRefused):
            await stranger.check()

    play(work)


def test_the_key_goes_to_both_addresses_and_check_says_test() -> None:
    async def work(made: Scene) -> None:
        async with SandboxStedi(key=KEY) as core:
            both = made.reopened(core_url=core.base_url)
            told = await both.check()
            assert told[1] == "claims are marked as test claims (usage T)"
            assert core.requests["lists"] == 1 and core.requests["unauthorized"] == 0 and made.server.requests["lists"] == 0

    play(work)


def test_a_correction_names_the_payers_claim_and_changes_the_number() -> None:
    async def work(made: Scene) -> None:
        first = made.send(a_day())
        await made.destination.submit(first)
        icn = made.server.payer_accepts(REFERENCE)
        seventh = made.send(a_day(4), 2, "7", icn)
        information = orjson.loads(seventh.body)["claimInformation"]
        assert information["claimSupplementalInformation"]["claimControlNumber"] == icn
        assert information["patientControlNumber"] != orjson.loads(first.body)["claimInformation"]["patientControlNumber"]
        assert (await made.destination.submit(seventh)).disposition is Disposition.ACCEPTED
        assert await made.reopened().list_references(DATES) == {CUT: (5, 15000)}
        icn = made.server.payer_accepts(REFERENCE)
        eighth = made.send(a_day(4), 3, "8", icn)
        assert (await made.destination.submit(eighth)).disposition is Disposition.ACCEPTED
        assert await made.reopened().list_references(DATES) == {}
        assert made.server.summary()["charges"] == 0 and made.server.violations == []

    play(work)


def test_a_claim_that_was_turned_away_is_not_listed_and_goes_again_as_an_original() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.payer_rejects(REFERENCE, "A7", "164")
        assert await made.destination.list_references(DATES) == {}
        mended = made.send(of_coverage(a_day(), member_id="OTHER1"), 2)
        assert (await made.destination.submit(mended)).disposition is Disposition.ACCEPTED
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}
        assert made.server.violations == []

    play(work)


def test_of_two_claims_of_one_number_the_one_that_stands_is_listed() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        made.server.forget()
        await made.destination.submit(sent)
        assert await made.destination.list_references(DATES) == {REFERENCE: (6, 18000)}, "both are there"
        made.server.payer_rejects(REFERENCE, "A7", "164")
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}
        made.server.payer_rejects(REFERENCE, "A3", "21")
        assert await made.destination.list_references(DATES) == {}
        made.server.violations.clear()  # two of a day, as was asked for

    play(work)


def test_a_report_that_comes_again_is_no_second_claim() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        claim = made.server.live_claim(REFERENCE)
        made.server._add("277", claim, report_277(claim, [("A2", "20")], by_payer=False))
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}
        made.server._add("837", claim, None)
        made.server.transactions[-1]["status"] = "failed"
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}, "an 837 that failed is no claim"

    play(work)


def test_a_long_list_is_read_to_its_end() -> None:
    async def work(made: Scene) -> None:
        for number in range(9):
            await made.destination.submit(made.send(a_day(), reference=f"pt-{number:024x}"))
        found = await made.reopened().list_references(DATES)
        assert found is not None and len(found) == 1, "they share their first digits: a day has one claim"
        names = [f"pt-{number:014x}{0:010x}" for number in range(9)]
        for name in names:
            await made.destination.submit(made.send(a_day(), 2, reference=name))
        found = await made.reopened().list_references(DATES)
        assert found is not None and set(found) == {name[:17] for name in names}
        made.server.violations.clear()  # the auditor rightly took them for doubles of one day

    play(work, page=4)


def test_a_list_that_cannot_be_read_is_no_absence() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        made.server.page = 0
        made.server.routes = lambda app: None  # type: ignore[method-assign]
        await made.server.stop()
        with pytest.raises(PeerUnavailable):
            await made.destination.find(sent)

    play(work)


# ---------------------------------------------------------------- answers


def test_answers_go_from_the_clearinghouse_to_the_remittance() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        accepted = await made.destination.submit(sent)
        icn = made.server.payer_accepts(REFERENCE)
        lines = [
            {"paid": "40.00", "adjustments": [("CO", "45", "10.00"), ("PR", "2", "10.00")]},
            {"paid": "0.00", "adjustments": [("CO", "50", "30.00")], "remarks": ["N115"]},
        ]
        made.server.pay(REFERENCE, lines)
        found, cursor = await told(made.destination)
        assert [(one.stage, one.standing) for one in found] == [
            (Stage.CLEARINGHOUSE, Standing.ACCEPTED),
            (Stage.PAYER, Standing.ACCEPTED),
            (Stage.REMITTANCE, Standing.PAID),
            (Stage.REMITTANCE, Standing.PAID),
            (Stage.REMITTANCE, Standing.DENIED),
        ]
        assert {one.reference for one in found} == {CUT} and {one.destination_id for one in found} == {accepted.destination_id}
        assert [one.payer_claim_number for one in found[:3]] == [None, icn, icn]
        whole, first, second = found[2:]
        assert (whole.charged_cents, whole.paid_cents, whole.adjusted_cents, whole.patient_cents) == (9000, 4000, 5000, 1000)
        assert (first.line, first.procedure, first.paid_cents, first.patient_cents) == (1, "97110", 4000, 1000)
        assert [(code.system, code.code) for code in second.codes] == [("CARC", "CO-50"), ("RARC", "N115")]
        assert second.line == 2 and second.said_at == "2026-11-20"
        assert await told(made.destination, cursor) == ([], cursor), "nothing twice"

    play(work)


def test_a_rejection_keeps_category_and_code() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.payer_rejects(REFERENCE, "A7", "164")
        found, _ = await told(made.destination)
        assert (found[-1].stage, found[-1].standing) == (Stage.PAYER, Standing.REJECTED)
        assert [code.code for code in found[-1].codes] == ["A7:164"]

    play(work)


def test_a_duplicate_is_there_and_so_is_no_original_again() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.payer_rejects(REFERENCE, "A3", "54")
        found, _ = await told(made.destination)
        assert found[-1].standing is Standing.DENIED

    play(work)


def test_a_forgotten_token_is_replaced_by_what_came_a_day_before() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        first, cursor = await told(made.destination)
        made.server.refused_tokens.add(cursor["page_token"])
        made.server.payer_accepts(REFERENCE)
        again, after = await told(made.destination, cursor)
        assert {one.key for one in first} <= {one.key for one in again} and again[-1].stage is Stage.PAYER
        assert after["processed_at"] > cursor["processed_at"]

    play(work)


def test_a_report_that_cannot_be_read_is_told_and_passed() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.reports.clear()
        made.server.payer_accepts(REFERENCE)
        found, _ = await told(made.destination)
        assert [one.reference for one in found] == [None, CUT] and "unreadable-report" in str(found[0])

    play(work)


def test_test_claims_say_nothing_to_a_clinic_that_bills() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        found, cursor = await told(made.reopened(usage="P"))
        assert found == [] and cursor["page_token"], "seen, and passed over"

    play(work)


# ---------------------------------------------------------------- all of it


@pytest.mark.parametrize("forget", [False, True])
def test_a_bad_day_at_stedi_loses_and_doubles_nothing(forget: bool) -> None:
    """A tenth of everything goes wrong; with `forget` the doubts are old, so each is looked up instead of replayed."""
    faults = Faults(**TENTH)

    async def work(made: Scene) -> None:
        made.server.faults = faults
        names = [f"pt-{number:014x}{0:010x}" for number in range(60)]
        report = await bad_day(made.destination, made.server, names, replays_before_look_up=0 if forget else 3)
        assert report.look_ups > 0 or not forget

    play(work)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "usage"),
        ({"usage": "X"}, "usage"),
        ({"usage": "T", "therapy_dates": "maybe"}, "therapy_dates"),
        ({"usage": "T", "find_lag_seconds": "soon"}, "find_lag_seconds"),
        ({"usage": "T", "news_from": "yesterday"}, "news_from"),
        ({"usage": "T", "core_url": "not an address"}, "URL"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(**options)
