"""A visit's papers (plan of care, accident, notice, referral) and the times of its lines, read from FHIR records."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from ptbridge.intake.normalize import CompiledMapping, compile_mapping, normalize
from ptbridge.model import Accident, PlanOfCare, SourceRecord, Visit
from ptbridge.specs.mapping_files import load_mapping

S = "https://sandbox.ptbridge.dev/fhir"
CHICAGO = ZoneInfo("America/Chicago")
SANDBOX = compile_mapping(load_mapping("emrs/sandbox_emr"))
STANDARD = compile_mapping(load_mapping("emrs/fhir_r4"))

Resource = dict[str, Any]


def parts(name: str, **values: str) -> Resource:
    """An extension of extensions."""
    return {"url": f"{S}/{name}", "extension": [{"url": key.replace("_", "-"), "valueString": v} for key, v in values.items()]}


def visit(*extensions: Resource, others: tuple[Resource, ...] = (), mapping: CompiledMapping = SANDBOX, **more: Any) -> Visit:
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "serviceType": {"coding": [{"system": f"{S}/discipline", "code": "PT"}]},
        "subject": {"reference": "Patient/pat-1"},
        "period": {"start": "2026-03-02T15:00:00Z", "end": "2026-03-02T15:45:00Z"},
        "extension": list(extensions),
        **more,
    }
    resources = (encounter, {"resourceType": "Patient", "id": "pat-1"}, *others)
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}
    record = SourceRecord(
        clinic="c",
        source="s",
        record_key="e1",
        media_type="application/fhir+json",
        payload=orjson.dumps(bundle),
        received_at=datetime(2026, 3, 3, tzinfo=UTC),
    )
    return normalize(record, mapping, time_zone=CHICAGO)


def test_a_source_that_says_nothing_leaves_every_paper_absent() -> None:
    found = visit()
    assert (found.plan_of_care, found.accident, found.referral_on, found.abn_signed_on) == (None, None, None, None)
    assert (found.cosigned, found.telehealth, found.billing, found.episode_id) == (None, None, None, None)


def test_the_plan_and_its_certification() -> None:
    plan = parts("plan-of-care", start="2026-02-02", end="2026-05-02", certified_on="2026-02-10T23:30:00-06:00")
    assert visit(plan).plan_of_care == PlanOfCare(start=date(2026, 2, 2), end=date(2026, 5, 2), certified_on=date(2026, 2, 10))


def test_the_exception_needs_the_order_and_the_sending() -> None:
    plan = parts("plan-of-care", start="2026-02-02", order_signed_on="2026-01-30", sent_on="2026-02-03")
    found = visit(plan).plan_of_care
    assert found is not None and (found.order_signed_on, found.sent_on) == (date(2026, 1, 30), date(2026, 2, 3))


def test_of_several_plans_the_one_that_began_last_by_the_service_date_counts() -> None:
    plans = [parts("plan-of-care", start=start) for start in ("2026-02-02", "2025-11-01", "2026-03-03")]
    found = visit(*plans).plan_of_care
    assert found is not None and found.start == date(2026, 2, 2)


def test_an_unreadable_date_is_pointed_out_and_stays_absent() -> None:
    found = visit(parts("plan-of-care", start="2026-02-02", certified_on="2026-02"))
    assert found.plan_of_care == PlanOfCare(start=date(2026, 2, 2))
    assert [(finding.code, finding.where) for finding in found.findings] == [("MP03", "plan_of_care.certified_on")]


def test_an_accident_with_what_its_payer_asks_for() -> None:
    found = visit(parts("accident", kind="auto", on="2026-01-05", state="CA", claim_number="C-1"))
    assert found.accident == Accident(kind="auto", on=date(2026, 1, 5), state="CA", claim_number="C-1")
    assert "C-1" not in repr(found)


def test_an_accident_of_unknown_kind_is_none_and_is_pointed_out() -> None:
    found = visit(parts("accident", kind="ski", on="2026-01-05"))
    assert found.accident is None
    assert [finding.code for finding in found.findings] == ["MP03"]


@pytest.mark.parametrize(
    ("name", "extension", "field", "expected"),
    [
        ("cosigned", {"valueBoolean": False}, "cosigned", False),
        ("abn-signed", {"valueDate": "2026-03-01"}, "abn_signed_on", date(2026, 3, 1)),
        ("telehealth", {"valueCode": "video"}, "telehealth", "video"),
        ("telehealth", {"valueCode": "fax"}, "telehealth", None),
        ("billing", {"valueCode": "cash"}, "billing", "cash"),
        ("billing", {"valueCode": "free"}, "billing", None),
    ],
)
def test_papers_of_one_value(name: str, extension: Resource, field: str, expected: object) -> None:
    found = visit({"url": f"{S}/{name}", **extension})
    assert getattr(found, field) == expected
    assert bool(found.findings) is (expected is None)


def therapy_plan(identity: str, *, category: str = "773513001", status: str = "active", **period: str) -> Resource:
    codings = [[{"code": "assess-plan"}], [{"system": "http://snomed.info/sct", "code": category}]]
    categories = [{"coding": coding} for coding in codings]
    return {"resourceType": "CarePlan", "id": identity, "status": status, "category": categories, "period": period}


def test_a_finished_plan_counts_beside_the_one_that_follows_it() -> None:
    finished = therapy_plan("old", status="completed", start="2026-01-02", end="2026-03-05")
    following = therapy_plan("new", start="2026-03-06")
    found = visit(others=(finished, following), mapping=STANDARD, serviceType={"text": "PT"})
    assert found.plan_of_care == PlanOfCare(start=date(2026, 1, 2), end=date(2026, 3, 5))


def test_a_care_plan_for_something_else_is_no_plan_of_care() -> None:
    asthma = therapy_plan("other", category="736056000", start="2026-02-02")
    assert visit(others=(asthma,), mapping=STANDARD, serviceType={"text": "PT"}).plan_of_care is None


def test_the_sandbox_emr_says_in_an_extension_when_a_plan_was_certified() -> None:
    plan = therapy_plan("cp", start="2026-02-02", end="2026-04-27")
    plan["extension"] = [{"url": f"{S}/certified-on", "valueDate": "2026-02-09"}]
    expected = PlanOfCare(start=date(2026, 2, 2), end=date(2026, 4, 27), certified_on=date(2026, 2, 9))
    assert visit(others=(plan, {**plan, "id": "no", "status": "revoked"})).plan_of_care == expected


def test_what_the_standard_itself_says() -> None:
    plan = therapy_plan("cp", start="2026-02-02", end="2026-05-02")
    draft = {**plan, "id": "draft", "status": "draft", "period": {"start": "2026-03-01"}}
    diabetes = therapy_plan("other", category="698360006", start="2026-03-01")
    order = {"resourceType": "ServiceRequest", "id": "sr", "authoredOn": "2026-02-01T04:30:00Z"}
    found = visit(
        others=(plan, draft, diabetes, order),
        mapping=STANDARD,
        basedOn=[{"reference": "ServiceRequest/sr"}],
        episodeOfCare=[{"reference": "EpisodeOfCare/ep-9"}],
        serviceType={"text": "PT"},
    )
    assert found.plan_of_care == PlanOfCare(start=date(2026, 2, 2), end=date(2026, 5, 2))
    assert found.referral_on == date(2026, 1, 31)  # the civil day at the clinic
    assert found.episode_id == "ep-9" and "ep-9" not in repr(found)


# ---------------------------------------------------------------- begin and end of lines


def timed(tmp_path: Path, *spans: tuple[str, str]) -> list[tuple[str, str] | None]:
    """Begin and end of each line as the visit has them, under a mapping that names them."""
    file = tmp_path / "clock.yaml"
    file.write_text(
        "mapping: clock\nextends: emrs/sandbox_emr\ninterventions:\n"
        "  start: {take: Procedure.performed.ofType(Period).start}\n"
        "  end: {take: Procedure.performed.ofType(Period).end}\n"
    )
    lines = tuple(
        {
            "resourceType": "Procedure",
            "id": f"p{number}",
            "status": "completed",
            "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}]},
            "performedPeriod": {"start": f"2026-03-02T{start}:00Z", "end": f"2026-03-02T{end}:00Z"},
        }
        for number, (start, end) in enumerate(spans)
    )
    found = visit(others=lines, mapping=compile_mapping(load_mapping(file)))
    return [
        (f"{line.start.astimezone(UTC):%H:%M}", f"{line.end.astimezone(UTC):%H:%M}") if line.start and line.end else None
        for line in found.interventions
    ]


def test_lines_keep_times_of_their_own(tmp_path: Path) -> None:
    assert timed(tmp_path, ("15:00", "15:15"), ("15:15", "15:40")) == [("15:00", "15:15"), ("15:15", "15:40")]


def test_times_that_several_lines_share_or_that_are_the_slot_are_nobodys(tmp_path: Path) -> None:
    assert timed(tmp_path, ("15:00", "15:15"), ("15:00", "15:15"), ("15:15", "15:40")) == [None, None, ("15:15", "15:40")]
    assert timed(tmp_path, ("15:00", "15:45"), ("15:15", "15:40")) == [None, ("15:15", "15:40")]


def test_times_turned_round_are_none(tmp_path: Path) -> None:
    assert timed(tmp_path, ("15:15", "15:00"), ("15:15", "15:40")) == [None, ("15:15", "15:40")]


def test_a_mapping_without_times_reads_none() -> None:
    line = {
        "resourceType": "Procedure",
        "id": "p1",
        "status": "completed",
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "97110"}]},
        "performedPeriod": {"start": "2026-03-02T15:00:00Z", "end": "2026-03-02T15:15:00Z"},
    }
    (found,) = visit(others=(line,)).interventions
    assert (found.start, found.end) == (None, None)


def reevaluated(code: str, *reasons: Resource) -> str | None:
    procedure = {
        "resourceType": "Procedure",
        "id": "l1",
        "status": "completed",
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": code}]},
        "reasonCode": list(reasons),
    }
    (line,) = visit(others=(procedure,), mapping=STANDARD).interventions
    assert "knee" not in repr(line)
    return line.reason


def test_a_reason_in_words_belongs_to_a_re_evaluation_and_a_diagnosis_is_none() -> None:
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "M25.561"}], "text": "pain of the knee"}
    words = {"text": "a fall on the knee last week"}
    assert reevaluated("97164", words) == "a fall on the knee last week"
    assert reevaluated("97168", coded, words) == "a fall on the knee last week"
    assert (reevaluated("97164", coded), reevaluated("97164"), reevaluated("97110", words)) == (None, None, None)
