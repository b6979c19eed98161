"""A patient on another person's insurance, at every destination: who is named where, and that the platforms' judges take it."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import replace
from datetime import date
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B.claim import Claim
from ptbridge_sandbox.biller import SandboxBiller

from ptbridge.destinations import csv_drop
from ptbridge.model import Accident, Address, Disposition, PricedDay, Subscriber
from ptbridge.wire.http import HttpClient
from tests.rigs import a_day, build, submission
from tests.rigs.servers import Scene
from tests.rigs.x12_837p import OPTIONS
from tests.unit.destinations.candid_rig import WAYS, play
from tests.unit.destinations.claim_days import of_coverage, of_visit
from tests.x12_judges import complaints

REFERENCE = "pt-0123456789abcdef01234567"
SUBSCRIBER = Subscriber(
    family="Otherqxz",
    given="Subqxz",
    birth_date=date(1960, 2, 3),
    sex="male",
    address=Address(lines=("7 Farqxz", "Unit 2"), city="Elseqxz", state="OH", postal_code="43215"),
)
CODES = {"spouse": "01", "child": "19", "parent": "G8", "other": "G8"}


def dependent(relationship: str = "spouse", subscriber: Subscriber | None = SUBSCRIBER) -> PricedDay:
    return of_coverage(a_day(), relationship=relationship, subscriber=subscriber)


def built(name: str, folder: Path | None = None, http: HttpClient | None = None, **options: str):
    return build(name, options, http=http, folder=folder)


def encoded(destination, day: PricedDay) -> bytes:
    if hasattr(destination, "lacks"):
        assert destination.lacks(day) == []
    return destination.encode(day, reference=REFERENCE, frequency="1", original_id=None)[0]


def lacking(destination, day: PricedDay) -> list[str]:
    findings = destination.lacks(day)
    assert {finding.code for finding in findings} <= {"SB03"}
    shown = " ".join(f"{one.message} {one.where}" for one in findings)
    assert not any(word in shown for word in ("qxz", "QXZ", "1960"))
    return [finding.message for finding in findings]


# ---------------------------------------------------------------- X12


@pytest.mark.parametrize(("relationship", "code"), CODES.items())
def test_837p_has_a_loop_for_the_subscriber_and_one_for_the_patient(relationship, code, tmp_path):
    segments = encoded(built("x12_837p", tmp_path, **OPTIONS), dependent(relationship)).decode().split("~")
    assert segments[segments.index("HL*2*1*22*1") :][:10] == [
        "HL*2*1*22*1",
        "SBR*P**GRPQXZ8******MB",
        "NM1*IL*1*OTHERQXZ*SUBQXZ****MI*MEMQXZ7",
        "NM1*PR*2*MEDICARE PART B OHIO*****PI*15202",
        "HL*3*2*23*0",
        f"PAT*{code}",
        "NM1*QC*1*FAMQXZ*GIVQXZ",
        "N3*9 STREETQXZ",
        "N4*CITYQXZ*OH*987654321",
        "DMG*D8*19310709*F",
    ]


def test_the_judges_of_x12_take_a_dependent_beside_a_subscriber(tmp_path):
    destination = built("x12_837p", tmp_path, **OPTIONS)
    accident = Accident(kind="auto", on=date(2026, 10, 20), state="OH", claim_number="CLMQXZ5")
    days = [a_day(), dependent(), of_visit(dependent("child"), accident=accident)]
    going = [
        replace(submission(destination, reference=f"oak-{at}"), body=encoded(destination, day)) for at, day in enumerate(days)
    ]
    asyncio.run(destination.submit_batch(going))
    (file,) = tmp_path.glob("*.837")
    assert complaints(file.read_bytes()) == []
    last = file.read_text().rpartition("~HL*3*2*23*0~")[2]
    assert "~REF*Y4*CLMQXZ5~CLM*" in last  # the number stands with the patient, where that is another person


def test_x12_names_what_it_lacks_of_a_subscriber(tmp_path):
    destination = built("x12_837p", tmp_path, **OPTIONS)
    assert ["subscriber's family name" in one for one in lacking(destination, dependent(subscriber=None))] == [True]
    only_name = Subscriber(family="Otherqxz", given="Subqxz")
    assert lacking(destination, dependent(subscriber=only_name)) == []
    (message,) = lacking(destination, dependent("injured"))
    assert "relationship to the subscriber is 'injured'" in message


# ---------------------------------------------------------------- Candid, Claim.MD


def standing(it: Scene) -> dict[str, Any]:
    """What the pretend Candid has of the day."""
    if charges := [one for one in it.server.books.live()[REFERENCE] if "patient" in one]:
        return charges[0]
    return it.server.books.encounter_of(REFERENCE)


@pytest.mark.parametrize("way", WAYS)
def test_candid_has_the_subscriber_and_the_patient_apart(way):
    async def scene(it):
        answer = await it.destination.submit(it.send(dependent("child")))
        assert answer.disposition is Disposition.ACCEPTED
        held = standing(it)
        primary, patient = held["subscriber_primary"], held["patient"]
        assert (primary["first_name"], primary["last_name"], primary["gender"]) == ("Subqxz", "Otherqxz", "male")
        assert (primary["date_of_birth"], primary["patient_relationship_to_subscriber_code"]) == ("1960-02-03", "19")
        assert primary["address"]["address1"] == "7 Farqxz" and primary["insurance_card"]["member_id"] == "MEMQXZ7"
        assert (patient["first_name"], patient["last_name"], patient["gender"]) == ("Givqxz", "Famqxz", "female")

    play(way, scene)


@pytest.mark.parametrize("way", WAYS)
def test_a_correction_at_candid_leaves_nothing_of_the_subscriber_before(way):
    async def scene(it):
        assert (await it.destination.submit(it.send(dependent()))).disposition is Disposition.ACCEPTED
        known = Subscriber(family="Otherqxz", given="Subqxz", sex="male", address=Address(city="Elseqxz"))
        answer = await it.destination.submit(it.send(dependent(subscriber=known), 2, "7"))
        assert answer.disposition is Disposition.ACCEPTED
        held = standing(it)
        assert held["subscriber_primary"].get("date_of_birth") is None
        assert held["subscriber_primary"].get("address") is None

    play(way, scene)


def test_candid_names_what_it_lacks_of_a_subscriber():
    destination = built("candid", http=HttpClient("http://127.0.0.1:9"), way="encounters")
    lacks = lacking(destination, dependent(subscriber=None))
    assert [("first and last name" in one, "sex" in one) for one in lacks] == [(True, False), (False, True)]
    (message,) = lacking(destination, dependent(subscriber=replace(SUBSCRIBER, sex=None)))
    assert "the subscriber's sex" in message


def test_claim_md_has_the_insured_and_the_patient_apart():
    destination = built("claim_md", http=HttpClient("http://127.0.0.1:9"))
    (claim,) = orjson.loads(encoded(destination, dependent()))["claim"]
    assert (claim["ins_name_l"], claim["ins_name_f"], claim["ins_dob"], claim["ins_sex"]) == (
        *("Otherqxz", "Subqxz", "1960-02-03", "M"),
    )
    assert (claim["ins_addr_1"], claim["ins_addr_2"], claim["ins_zip"]) == ("7 Farqxz", "Unit 2", "43215")
    assert (claim["pat_name_l"], claim["pat_sex"], claim["pat_rel"]) == ("Famqxz", "F", "01")
    bare = replace(SUBSCRIBER, birth_date=None, sex=None, address=Address(city="Elseqxz"))
    (claim,) = orjson.loads(encoded(destination, dependent(subscriber=bare)))["claim"]
    assert sorted(name for name in claim if name.startswith("ins_")) == [
        *("ins_group", "ins_name_f", "ins_name_l", "ins_number"),
    ]
    odd = replace(SUBSCRIBER, sex="odd")
    assert any("the subscriber's sex" in one for one in lacking(destination, dependent(subscriber=odd)))


def test_stedi_has_the_subscriber_and_the_dependent_apart():
    destination = built("stedi", http=HttpClient("http://127.0.0.1:9"), usage="T")
    claim = orjson.loads(encoded(destination, dependent("child")))
    assert (claim["subscriber"]["lastName"], claim["subscriber"]["memberId"]) == ("Otherqxz", "MEMQXZ7")
    assert (claim["dependent"]["lastName"], claim["dependent"]["relationshipToSubscriberCode"]) == ("Famqxz", "19")


def test_a_fhir_claim_contains_the_subscriber():
    destination = built("fhir_claim", http=HttpClient("http://127.0.0.1:9"))
    claim = Claim.model_validate_json(encoded(destination, dependent()))
    contained = {one.id: one for one in claim.contained}
    (coverage,) = [one for one in claim.contained if one.get_resource_type() == "Coverage"]
    assert coverage.subscriber.reference == "#subscriber" and coverage.relationship.coding[0].code == "spouse"
    assert (contained["subscriber"].name[0].family, contained["patient"].name[0].family) == ("Otherqxz", "Famqxz")


# ---------------------------------------------------------------- charge_api, csv_drop, hl7v2_dft


def test_the_contract_has_the_subscriber_and_the_biller_takes_it():
    async def scene():
        async with SandboxBiller() as biller:
            destination = built("charge_api", http=HttpClient(biller.base_url))
            body = encoded(destination, dependent())
            subscriber = orjson.loads(body)["coverage"]["subscriber"]
            assert subscriber["family"] == "Otherqxz" and subscriber["address"]["lines"] == ["7 Farqxz", "Unit 2"]
            assert "subscriber" not in orjson.loads(encoded(destination, a_day()))["coverage"]
            taken = await destination.submit(replace(submission(destination, reference=REFERENCE), body=body))
            wrong = body.replace(b'"birth_date":"1960-02-03"', b'"birth_day":"1960-02-03"')
            refused = await destination.submit(replace(submission(destination, revision=2, reference=REFERENCE), body=wrong))
            await destination.close()
            return taken.disposition, refused.disposition

    assert asyncio.run(scene()) == (Disposition.ACCEPTED, Disposition.REJECTED)


def test_csv_has_columns_for_the_subscriber_at_the_end_of_a_row(tmp_path):
    destination = built("csv_drop", tmp_path)
    rows = [encoded(destination, day).decode() for day in (a_day(), dependent())]
    place = slice(csv_drop.COLUMNS.index("subscriber_family"), csv_drop.COLUMNS.index("other_payer_id"))
    self_cells, cells = (next(csv.reader(StringIO(row)))[place] for row in rows)
    assert self_cells == [""] * 8
    assert cells == ["Otherqxz", "Subqxz", "1960-02-03", "male", "7 Farqxz, Unit 2", "Elseqxz", "OH", "43215"]


def test_a_csv_row_of_before_can_be_taken_back(tmp_path):
    destination = built("csv_drop", tmp_path)
    added = 13  # the subscriber's columns, and another insurance's
    before = "".join(line.rsplit(',""', added)[0] + "\r\n" for line in encoded(destination, a_day()).decode().splitlines())
    voided, _ = destination.encode_void(before.encode(), reference=REFERENCE, original_id=None)
    assert [row[-added:] for row in csv.reader(StringIO(voided.decode()))] == [[""] * added] * 2


def test_dft_names_the_insured():
    destination = build("hl7v2_dft", {"profile": "full_day"}, base_url="mllp://127.0.0.1:9", in_flight=1)

    def insured(day: PricedDay) -> list[str]:
        message = encoded(destination, day).decode("latin-1")
        (segment,) = [one for one in message.split("\r") if one.startswith("IN1|")]
        fields = [*segment.split("|"), *[""] * 44]
        return [fields[place] for place in (16, 17, 18, 19, 43)]

    assert insured(dependent("child")) == ["Otherqxz^Subqxz", "CHD", "19600203", "7 Farqxz^Unit 2^Elseqxz^OH^43215", "M"]
    assert insured(dependent(subscriber=None)) == ["", "SPO", "", "", ""]
    assert insured(a_day()) == ["Famqxz^Givqxz", "SEL", "19310709", "", ""]
