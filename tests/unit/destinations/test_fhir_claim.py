"""fhir_claim: one Claim a day, made once, corrected in place, cancelled, and told what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any

import orjson
import pytest
from fhir.resources.R4B.claim import Claim
from ptbridge_sandbox.biller_faults import Faults
from ptbridge_sandbox.fhir_claim_server import SandboxFhirClaims

from ptbridge.destinations.fhir_claim import FhirClaim
from ptbridge.errors import ConfigError, PeerRefused
from ptbridge.model import Accident, Disposition, PricedDay, Stage, Standing, Subscriber
from tests.rigs import a_day, servers
from tests.rigs.servers import DATES, NOBODY, REFERENCE, TENTH, Scene, bad_day, told
from tests.unit.destinations.claim_days import full_day, of_coverage, of_patient, of_visit, two_visits, with_lines

TOKEN = "a-token"


def build(address: str = NOBODY, token: str = TOKEN, **options: str) -> FhirClaim:
    made: FhirClaim = servers.built("fhir_claim", address, options, method="bearer", secret=token)
    return made


def play(work: Callable[[Scene], Awaitable[None]], **of_server: Any) -> None:
    server = SandboxFhirClaims(token=TOKEN, **of_server)
    servers.play(server, lambda **more: build(server.base_url, **{"find_lag_seconds": "0", **more}), work)


def claim(day: PricedDay) -> dict[str, Any]:
    """What is sent of a day; a valid R4 Claim."""
    body, _ = build().encode(day, reference=REFERENCE, frequency="1", original_id=None)
    found: dict[str, Any] = orjson.loads(body)
    Claim.model_validate(found)
    return found


def code_of(concept: dict[str, Any]) -> str:
    return str(concept["coding"][0]["code"])


# ---------------------------------------------------------------- the Claim


def test_a_claim_says_all_that_is_known() -> None:
    said = claim(full_day())
    first = said["item"][0]
    assert (code_of(first["productOrService"]), [code_of(one) for one in first["modifier"]]) == ("97110", ["GP", "KX"])
    assert (first["quantity"]["value"], first["diagnosisSequence"], code_of(first["locationCodeableConcept"])) == (
        2,
        [1, 2],
        "11",
    )
    assert [code_of(one["diagnosisCodeableConcept"]) for one in said["diagnosis"]] == ["M54.50", "S83.511A"]
    assert [one["role"]["text"] for one in said["careTeam"]] == ["rendering", "supervising", "referring"]
    assert code_of(said["accident"]["type"]) == "MVA" and said["insurance"][0]["preAuthRef"] == ["AUTHQXZ9"]
    assert said["billablePeriod"] == {"start": "2026-11-02", "end": "2026-11-02"} and said["created"] == "2026-11-02"


def test_money_keeps_its_two_places() -> None:
    body, _ = build().encode(a_day(), reference=REFERENCE, frequency="1", original_id=None)
    assert b'"value":90.00' in body and b'"value":60.00' in body


def test_a_level_two_code_is_no_cpt_code() -> None:
    systems = [
        item["productOrService"]["coding"][0]["system"]
        for item in claim(with_lines(a_day(), "G0283-GP x1", "97110-GP x1"))["item"]
    ]
    assert [one.rpartition("/")[2] for one in systems] == ["HCPCSReleaseCodeSets", "cpt"]


def test_authorizations_stand_once_each() -> None:
    assert claim(two_visits("A1", "A2"))["insurance"][0]["preAuthRef"] == ["A1", "A2"]
    assert "preAuthRef" not in claim(two_visits(None, None))["insurance"][0]


def test_another_persons_coverage_names_them() -> None:
    other = Subscriber(family="Otherfam", given="Othergiv", birth_date=date(1929, 1, 2), sex="male")
    said = claim(of_coverage(a_day(), relationship="spouse", subscriber=other))
    kinds = {one["id"]: one for one in said["contained"]}
    assert (
        kinds["subscriber"]["name"][0]["family"] == "Otherfam" and kinds["coverage"]["subscriber"]["reference"] == "#subscriber"
    )


@pytest.mark.parametrize(
    ("day", "where"),
    [
        (of_visit(a_day(), accident=Accident(kind="auto")), "accident.on"),
        (of_visit(a_day(), accident=Accident(kind="fall", on=date(2026, 10, 1))), "accident.kind"),
        (of_patient(a_day(), sex="M"), "patient.sex"),
    ],
)
def test_what_a_claim_needs_holds_the_day(day: PricedDay, where: str) -> None:
    assert [finding.where for finding in build().lacks(day)] == [where]


def test_what_would_break_r4_holds_the_day_with_its_path_and_no_value() -> None:
    found, *_ = build().lacks(of_visit(a_day(), place_of_service="11 \n x"))
    assert found.code == "SB03" and found.where.startswith("Claim.item") and "11 \n x" not in str(found)


# ---------------------------------------------------------------- sending


def test_a_create_sent_twice_makes_one_claim() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        first, again = await made.destination.submit(sent), await made.destination.submit(sent)
        assert first == again and first.disposition is Disposition.ACCEPTED and len(made.server.books.all("Claim")) == 1
        assert made.server.requests["matched creates"] == 1

    play(work)


def test_an_original_never_overwrites_another_content() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        answer = await made.destination.submit(made.send(a_day(5), 2))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "reference-exists")
        assert await made.destination.list_references(DATES) == {REFERENCE: (3, 9000)}

    play(work)


def test_a_day_is_corrected_taken_back_and_billed_again_in_one_claim() -> None:
    async def work(made: Scene) -> None:
        ids = {
            (await made.destination.submit(made.send(day, at, frequency))).destination_id
            for at, (day, frequency) in enumerate([(a_day(), "1"), (a_day(4), "7"), (a_day(4), "8"), (a_day(4), "1")], start=1)
        }
        assert ids == {"1"} and made.server.books.kept["Claim"]["1"].version == 4 and made.server.violations == []
        assert await made.destination.list_references(DATES) == {REFERENCE: (5, 15000)}

    play(work)


def test_two_claims_of_one_day_at_the_server_are_nobodys_guess() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        claims = made.server.books.kept["Claim"]
        claims["2"] = replace(claims["1"], id="2")
        answer = await made.destination.submit(made.send(a_day(4), 2, "7"))
        assert (answer.disposition, answer.native_code) == (Disposition.REJECTED, "multiple-matches")

    play(work)


def test_other_totals_under_our_revision_are_no_acceptance() -> None:
    async def work(made: Scene) -> None:
        sent = made.send(a_day())
        await made.destination.submit(sent)
        made.server.books.kept["Claim"]["1"].resource["total"]["value"] = 12
        found = await made.destination.find(sent)
        assert found is not None and found.native_code == "totals-differ"

    play(work)


def test_a_list_is_read_over_its_pages() -> None:
    async def work(made: Scene) -> None:
        names = [f"pt-{number:024x}" for number in range(7)]
        for name in names:
            await made.destination.submit(made.send(a_day(), reference=name))
        assert await made.destination.list_references(DATES) == dict.fromkeys(names, (3, 9000))

    play(work, page=3)


def test_a_wrong_token_is_refused() -> None:
    async def work(made: Scene) -> None:
        stranger = made.reopened(token="another")
        with pytest.raises(PeerRefused):
            await stranger.check()
        assert "4.0.1" in (await made.destination.check())[0]

    play(work)


# ---------------------------------------------------------------- answers


def test_answers_go_from_the_payers_hands_to_the_decision() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.decide(REFERENCE, "queued")
        made.server.decide(REFERENCE, "complete", [{"paid": 40}, {"paid": 0, "reasons": ["50"]}])
        found, cursor = await told(made.destination)
        assert [(one.stage, one.standing, one.line) for one in found] == [
            (Stage.PAYER, Standing.ACCEPTED, None),
            (Stage.REMITTANCE, Standing.PAID, None),
            (Stage.REMITTANCE, Standing.PAID, 1),
            (Stage.REMITTANCE, Standing.DENIED, 2),
        ]
        assert {one.destination_id for one in found} == {"1"} and found[1].payer_claim_number == "ICN1"
        assert (found[1].charged_cents, found[1].paid_cents) == (9000, 4000)
        again, _ = await told(made.destination, cursor)
        assert {one.key for one in again} <= {one.key for one in found}, "the overlap has the same keys"

    play(work)


def test_an_error_is_a_rejection_with_its_codes() -> None:
    async def work(made: Scene) -> None:
        await made.destination.submit(made.send(a_day()))
        made.server.decide(REFERENCE, "error", error="a001")
        (found,), _ = await told(made.destination)
        assert found.standing is Standing.REJECTED and "a001" in [code.code for code in found.codes]

    play(work)


def test_a_bad_day_at_the_server_loses_and_doubles_nothing() -> None:
    faults = Faults(**TENTH)

    async def work(made: Scene) -> None:
        made.server.faults = faults
        report = await bad_day(made.destination, made.server, [f"pt-{number:024x}" for number in range(60)])
        assert report.look_ups > 5

    play(work)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"identifier_system": "not a uri"}, "URI"),
        ({"find_lag_seconds": "soon"}, "number"),
        ({"overlap_seconds": "x"}, "number"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(**options)
