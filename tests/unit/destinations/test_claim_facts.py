"""What a claim needs and a day or a clinic file lacks: each fact by name, none with a default."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from ptbridge.destinations._claim_facts import Zip, agreed, gather, lacks, person_name
from ptbridge.model import Address, Provider, Subscriber
from tests.rigs import BILLING, CLAIMS, a_day
from tests.unit.destinations.claim_days import full_day, of_coverage, of_patient, of_visit, with_lines

ADDRESS = a_day().day.patient.address


def said(day, billing=BILLING, claims=CLAIMS) -> list[str]:
    return [finding.where for finding in lacks(gather(day, billing, claims))]


def test_a_whole_day_lacks_nothing():
    assert said(a_day()) == said(full_day()) == []


@pytest.mark.parametrize(
    ("day", "where"),
    [
        (of_patient(a_day(), family=None), "patient.name"),
        (of_patient(a_day(), given=""), "patient.name"),
        (of_patient(a_day(), birth_date=None), "patient.birth_date"),
        (of_patient(a_day(), sex=None), "patient.sex"),
        (of_patient(a_day(), address=replace(ADDRESS, lines=())), "patient.address"),
        (of_patient(a_day(), address=replace(ADDRESS, city=None)), "patient.address"),
        (of_patient(a_day(), address=replace(ADDRESS, state="Ohio")), "patient.address.state"),
        (of_patient(a_day(), address=replace(ADDRESS, postal_code="4321")), "patient.address.postal_code"),
        (of_coverage(a_day(), member_id=None), "coverage.member_id"),
        (of_coverage(a_day(), relationship=None), "coverage.relationship"),
        (of_coverage(a_day(), relationship="child"), "coverage.subscriber.name"),
        (of_coverage(a_day(), relationship="child", subscriber=Subscriber(family="F")), "coverage.subscriber.name"),
        (of_coverage(a_day(), relationship="common", subscriber=Subscriber(family="F", given="G")), "coverage.relationship"),
        (of_coverage(a_day(), payer_id="OTHER", payer_name="Other"), "claims.payers"),
        (of_visit(a_day(), coverages=()), "coverage"),
        (of_visit(a_day(), place_of_service=None), "visit.place_of_service"),
        (of_visit(a_day(), rendering=None), "visit.rendering.npi"),
        (of_visit(a_day(), rendering=Provider(name="Pat Therapist")), "visit.rendering.npi"),
        (with_lines(a_day(), "97110-GP x2", diagnoses=()), "diagnoses"),
        (with_lines(a_day(), "97110-GP x2", diagnoses=tuple(f"M{n}" for n in range(13))), "diagnoses"),
        (with_lines(a_day(), "97110-GP x2 >1,2,3,4,5", diagnoses=("M1",) * 5), "line 1"),
        (replace(a_day(), charges=(replace(a_day().charges[0], amount_cents=None),)), "line 1"),
    ],
)
def test_each_missing_fact_of_a_day_is_named(day, where):
    assert said(day) == [where]


@pytest.mark.parametrize(
    ("billing", "where"),
    [
        ({"tax_id": None}, "billing_provider.tax_id"),
        ({"address": None}, "billing_provider.address"),
        ({"address": msgspec.structs.replace(BILLING.address, state="Oh")}, "billing_provider.address.state"),
        ({"address": msgspec.structs.replace(BILLING.address, postal_code="X")}, "billing_provider.address.postal_code"),
    ],
)
def test_each_missing_fact_of_the_clinic_is_named(billing, where):
    assert said(a_day(), billing=msgspec.structs.replace(BILLING, **billing)) == [where]


@pytest.mark.parametrize("name", ["accepts_assignment", "benefits_assigned", "release_of_information"])
def test_nothing_is_stated_that_the_clinic_did_not_state(name):
    assert said(a_day(), claims=msgspec.structs.replace(CLAIMS, **{name: None})) == [f"claims.{name}"]


def test_a_payer_is_known_by_id_or_by_name():
    by_name = msgspec.structs.replace(CLAIMS, payers={"Medicare Part B": CLAIMS.payers["MCR-B"]})
    assert gather(a_day(), BILLING, by_name).payer == CLAIMS.payers["MCR-B"]


def test_findings_say_what_to_do_and_name_no_patient():
    day = of_patient(a_day(), birth_date=None)
    finding = lacks(gather(day, BILLING, CLAIMS))[0]
    assert finding.code == "SB03" and finding.holds and finding.fix
    assert "qxz" not in str(finding).lower()


def test_what_two_visits_say_differently_is_not_agreed():
    inner = a_day().day
    other = replace(inner.visits[0], visit_id="e2", place_of_service="12")
    assert agreed(replace(inner, visits=(inner.visits[0], other)), lambda visit: visit.place_of_service) is None
    silent = replace(other, place_of_service=None)
    assert agreed(replace(inner, visits=(inner.visits[0], silent)), lambda visit: visit.place_of_service) == "11"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Ana Rivera", ("Ana", "Rivera")),
        ("Ana M Rivera", ("Ana M", "Rivera")),
        ("Rivera, Ana", ("Ana", "Rivera")),
        ("Ana Rivera, PT", ("Ana", "Rivera")),
        ("Ana Rivera, D.P.T., PT", ("Ana", "Rivera")),
        ("Rivera, Ana, PT", ("Ana", "Rivera")),
        ("Rivera", None),
        ("", None),
        ("One, Two, Three", None),
    ],
)
def test_a_clinicians_name_is_told_apart_or_left(text, names):
    assert person_name(Provider(name=text)) == names


def test_zip_codes():
    assert Zip.read("43215") == Zip(five="43215", plus_four=None)
    assert Zip.read("432151234") == Zip.read("43215-1234") == Zip(five="43215", plus_four="1234")
    assert Zip.read("4321") is None and Zip.read(None) is None and Zip.read("43215-") is None


def test_an_address_without_anything_is_no_address():
    assert said(of_patient(a_day(), address=Address())) == [
        "patient.address",
        "patient.address.state",
        "patient.address.postal_code",
    ]
