"""A day that is larger than one claim, through the real process: several claims in a file, followed, corrected, taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ptbridge_sandbox import charting, late_edits
from ptbridge_sandbox.maker import CHICAGO
from ptbridge_sandbox.people import person
from ptbridge_sandbox.plan import VisitPlan, lines

from ptbridge import jobs
from ptbridge.jobs import backup
from ptbridge.policy.codes import load_codes
from tests.contract.test_x12_main_job import Billed, billed, sent
from tests.world import DAY, running

__all__ = ["billed"]

LARGE = "large"
CODES = [
    row
    for row in load_codes()
    if "PT" in row.disciplines and row.valid_to is None and not row.evaluation and not row.add_on_of
    if row.counts == "session" or row.minutes_per_unit == 15
]
DIAGNOSES = tuple(f"M25.{place}{side}" for place in (51, 52, 53, 55, 56, 57, 60) for side in (1, 2))  # fourteen of joints
FOUR_LINES = "97110=15 97112=15 97140=15 97116=15"
BY_FOUR = {1: (1, 2, 3, 4), 2: (5, 6, 7, 8), 3: (9, 10, 11, 12), 4: (13, 14)}


def chart(
    billed: Billed,
    documented: str,
    diagnoses: tuple[str, ...] = ("M54.50",),
    links: Mapping[int, tuple[int, ...]] | None = None,
) -> None:
    """One more visit at the EMR. `links`: the diagnoses of a line, by their places; the first where nothing is said."""
    store, start = billed.world.store, datetime(DAY.year, DAY.month, DAY.day, 8, tzinfo=CHICAGO)
    plan = VisitPlan(
        id=LARGE,
        patient_id="pat-large",
        discipline="PT",
        visit_type="DN",
        payer="ACME",
        clinician="pr-pt1",
        assistant=None,
        referring="pr-md1",
        lines=lines(documented),
        diagnoses=diagnoses,
        start=start,
        authorization="AUTH-LARGE",
        shows_units=False,
    )
    written = start - timedelta(days=30)
    store.add(charting.patient(plan.patient_id, person(Random(1), over_65=False), written))
    store.add(charting.coverage(plan.patient_id, plan.payer, written, member_id="ACMX0000001"))
    for resource in (*charting.papers(plan), *charting.chart(plan)):
        if resource["resourceType"] == "Procedure":
            places = (links or {}).get(int(resource["id"].rpartition("-p")[2]), (1,))
            resource["reasonReference"] = [{"reference": f"Condition/{LARGE}-c{place}"} for place in places]
        if resource["resourceType"] == "Encounter":
            del resource["extension"][:2]  # the totals, which the maker counts for its own six codes
        store.add(resource)


def of_many_lines(billed: Billed, count: int) -> None:
    """A visit with so many different services, each with a price."""
    codes = CODES[:count]
    assert len(codes) == count
    (fees,) = (billed.world.folder / "fees").glob("*.csv")
    priced = {row.partition(",")[0] for row in fees.read_text("utf-8").splitlines()}
    head, *rows = fees.read_text("utf-8").splitlines()
    sample = next(row for row in rows if row.startswith("97110,"))
    rows += [sample.replace("97110", row.code, 1) for row in codes if row.code not in priced]
    fees.write_text("\n".join([head, *rows, ""]), "utf-8")
    chart(billed, " ".join(f"{row.code}={15 if row.counts == 'minutes' else 5}" for row in codes))


def claims(billed: Billed) -> list[list[str]]:
    """CLM05-3, CLM02 and the places of the lines, of the day's claims as the clearinghouse has them, oldest first."""
    name = billed.day(LARGE)["reference"][3:18].upper()
    return [
        [claim.frequency, claim.state, " ".join(line.control.rpartition("-")[2] for line in claim.lines)]
        for claim in billed.house.books.claims
        if claim.control.startswith(name)
    ]


def agrees(billed: Billed, report: Any) -> None:
    """The payer's books and ours, to the unit and the cent."""
    books, ours = billed.house.books.totals(), sent(report, billed)
    assert (ours["units"], ours["amount_cents"]) == (books["units"], books["amount_cents"])
    (answer,) = jobs.reconcile(billed.world.config).values()
    assert answer["agrees"], answer["differences"]


def places(first: int, last: int) -> str:
    return " ".join(map(str, range(first, last + 1)))


def findings(billed: Billed) -> dict[str, str]:
    return {finding["code"]: finding["severity"] for finding in billed.day(LARGE)["findings"]}


def test_a_day_of_more_than_fifty_lines_is_billed_corrected_and_taken_back_to_the_cent(billed):
    of_many_lines(billed, 52)  # one of these codes is never billed
    report = billed.night()
    assert billed.day(LARGE)["state"] == "sent" and findings(billed)["LN01"] == "warning"
    assert claims(billed) == [["1", "live", places(1, 50)], ["1", "live", "51"]] and billed.house.taken == 1
    agrees(billed, report)

    store = billed.world.store
    timed = next(at for at, row in enumerate(CODES, start=1) if row.code == "97110")
    store.edit("Procedure", f"{LARGE}-p{timed}", partial(late_edits.set_minutes, minutes=40))
    report = billed.night()  # brings both numbers of the payer, and both claims are replaced
    assert [row["frequency"] for row in billed.day(LARGE)["submissions"]] == ["1", "7"]
    assert claims(billed)[:2] == [["1", "replaced", places(1, 50)], ["1", "replaced", "51"]]
    assert claims(billed)[2:] == [["7", "live", places(1, 50)], ["7", "live", "51"]]
    agrees(billed, report)

    store.delete("Procedure", f"{LARGE}-p12")
    store.edit("Encounter", LARGE, lambda one: None)
    report = billed.night()
    assert claims(billed)[2:4] == [["7", "replaced", places(1, 50)], ["7", "replaced", "51"]]
    assert claims(billed)[4:] == [["7", "live", places(1, 49)], ["7", "live", "50"]], "each line stays in its claim"
    agrees(billed, report)

    (last,) = next(claim for claim in billed.house.books.live() if len(claim.lines) == 1 and claim.frequency == "7").lines
    alone = next(at for at, row in enumerate(CODES, start=1) if row.code == last.procedure.split(":")[1])
    store.delete("Procedure", f"{LARGE}-p{alone}")
    store.edit("Encounter", LARGE, lambda one: None)
    report = billed.night()
    assert claims(billed)[6:] == [["8", "void", "50"], ["7", "live", places(1, 49)]], "nothing is left of that claim"
    agrees(billed, report)

    store.edit("Encounter", LARGE, lambda one: one.update(status="entered-in-error"))
    report = billed.night()
    assert claims(billed)[7:] == [["7", "void", places(1, 49)], ["8", "void", places(1, 49)]], "only what the payer still has"
    assert [row["frequency"] for row in billed.day(LARGE)["submissions"]] == ["1", "7", "7", "7", "8"]
    agrees(billed, report)


def test_a_day_of_more_than_twelve_diagnoses_goes_line_by_line_with_its_own(billed):
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    report = billed.world.sync()
    (file,) = billed.house.inbound.glob("*.837")
    (transaction,) = [one for one in file.read_text("ascii").split("~ST*") if "MI*ACMX0000001~" in one]
    of_day = [one for one in transaction.split("~") if one.startswith("HI*")]
    assert [one.count("*") for one in of_day] == [12, 2] and of_day[1] == "HI*ABK:M25601*ABF:M25602"
    assert findings(billed)["DX04"] == "information"
    billed.night()
    assert claims(billed) == [["1", "live", "1 2 3"], ["1", "live", "4"]]
    agrees(billed, report)


def test_a_diagnosis_that_has_no_room_holds_the_day_and_says_so(billed):
    chart(billed, FOUR_LINES, DIAGNOSES, dict.fromkeys(range(1, 5), (1, 2, 3, 4)))
    billed.night()
    assert billed.held_for(LARGE) == {"SB03"} and claims(billed) == []
    (message,) = [one["message"] for one in billed.day(LARGE)["findings"] if one["code"] == "SB03"]
    assert "no room beside the others (2 left)" in message


def test_of_a_claim_that_is_turned_away_only_its_lines_are_told_and_the_other_is_not_sent_as_new(billed):
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    billed.house.faults.refuse_claim = lambda claim: len(claim.lines) == 1 and "-4" in claim.lines[0].control
    billed.night()
    refused = [claim for claim in billed.house.books.claims if claim.state == "refused"]
    report = billed.night()
    assert [one[1] for one in claims(billed)] == ["live", "refused"]
    assert billed.held_for(LARGE) == {"RJ02"}, "the payer has a part: it is no original again"
    (message,) = [one["message"] for one in billed.day(LARGE)["findings"] if one["code"] == "RJ02"]
    assert "denied (payer): line 4: 277CA A7:562:85" in message
    (told,) = jobs.denials(billed.world.config).values()
    (group,) = [one for one in told["groups"] if billed.day(LARGE)["reference"] in one["references"]]
    others = [one for one in refused if one.lines[0].control[3:27].lower() not in billed.day(LARGE)["reference"]]
    stake = [one for one in refused if one not in others]
    assert group["amount_cents"] - sum(one.amount_cents for one in others) == stake[0].amount_cents, "the dollars of that line"

    billed.house.faults.refuse_claim = 0.0
    billed.world.store.edit("Procedure", f"{LARGE}-p4", partial(late_edits.set_minutes, minutes=40))
    report = billed.night()
    assert claims(billed)[2:] == [["7", "live", "1 2 3"], ["1", "live", "4"]], "what they have is replaced, the other is new"
    assert billed.day(LARGE)["state"] == "sent"
    agrees(billed, report)


def test_a_denied_line_of_the_second_claim_is_that_line_of_the_day(billed):
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    billed.night()
    billed.house.remit(deny={"97116": "CO-50"})
    billed.night()
    assert billed.held_for(LARGE) == {"RJ02"}
    (message,) = [one["message"] for one in billed.day(LARGE)["findings"] if one["code"] == "RJ02"]
    assert "line 4, 97116: CARC CO-50" in message
    paid = [one for one in billed.day(LARGE)["answers"] if one["standing"] == "paid" and one["line"]]
    assert sorted(one["procedure"] for one in paid) == ["97110", "97112", "97140"]


def test_elsewhere_such_a_day_waits_for_a_person(tmp_path: Path):
    with running(tmp_path / "config") as world:
        of_many_lines(one := Billed(world, None), 52)
        world.sync()
        assert "LN01" in one.held_for(LARGE)


@pytest.mark.parametrize("words", ["TA1", "999"])
def test_a_correction_of_several_claims_that_is_turned_away_whole_leaves_what_the_payer_had(billed, words):
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    billed.night()
    store = billed.world.store
    store.edit("Procedure", f"{LARGE}-p4", partial(late_edits.set_minutes, minutes=40))
    faults = billed.house.faults
    setattr(faults, "refuse_file" if words == "TA1" else "refuse_transaction", 1.0)
    billed.night()
    faults.refuse_file = faults.refuse_transaction = 0.0
    billed.night()
    assert billed.held_for(LARGE) == {"RJ01"} and [one[1] for one in claims(billed)] == ["live", "live"]
    store.edit("Procedure", f"{LARGE}-p4", partial(late_edits.set_minutes, minutes=55))
    report = billed.night()
    assert claims(billed)[2:] == [["7", "live", "1 2 3"], ["7", "live", "4"]]
    agrees(billed, report)


def points_to(billed: Billed, places: tuple[int, ...], upto: int) -> None:
    """The last line points to these diagnoses, and the visit has so many."""

    def of_line(procedure: dict[str, Any]) -> None:
        procedure["reasonReference"] = [{"reference": f"Condition/{LARGE}-c{place}"} for place in places]

    def of_visit(encounter: dict[str, Any]) -> None:
        ranks = range(1, upto + 1)
        encounter["diagnosis"] = [{"condition": {"reference": f"Condition/{LARGE}-c{rank}"}, "rank": rank} for rank in ranks]

    billed.world.store.edit("Procedure", f"{LARGE}-p4", of_line)
    billed.world.store.edit("Encounter", LARGE, of_visit)


def that_no_longer_fits(billed: Billed) -> None:
    """A day in one claim with all the diagnoses that a claim takes; then its last line gets two others."""
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    points_to(billed, (1,), upto=12)
    report = billed.night()
    assert claims(billed) == [["1", "live", "1 2 3 4"]] and billed.held_for(LARGE) == set()
    agrees(billed, report)
    points_to(billed, (13, 14), upto=14)


def test_a_line_that_changes_claims_leaves_the_one_before_it_goes_with_the_other(billed):
    that_no_longer_fits(billed)
    report = billed.night()
    assert claims(billed) == [["1", "replaced", "1 2 3 4"], ["7", "live", "1 2 3"]], "first without it"
    assert billed.day(LARGE)["submissions"][-1]["units"] == 3
    agrees(billed, report)
    report = billed.night()
    assert claims(billed)[1:] == [["7", "replaced", "1 2 3"], ["7", "live", "1 2 3"], ["1", "live", "4"]], "then with it"
    assert billed.day(LARGE)["state"] == "sent" and billed.held_for(LARGE) == set()
    agrees(billed, report)
    billed.night()
    assert len(claims(billed)) == 4, "and that is all"


def test_it_waits_in_sight_while_the_payer_says_nothing(billed):
    that_no_longer_fits(billed)
    billed.house.faults.late = 1.0
    billed.night()
    billed.night()
    assert billed.held_for(LARGE) == {"SB04"} and [one[1] for one in claims(billed)] == ["replaced", "live"]
    (message,) = [one["message"] for one in billed.day(LARGE)["findings"] if one["code"] == "SB04"]
    assert "97116-GP x1" in message and "(+1 units" in message
    billed.house.faults.late = 0.0
    billed.house.work()
    report = billed.night()
    assert [one[1] for one in claims(billed)] == ["replaced", "replaced", "live", "live"]
    agrees(billed, report)


def test_where_leaving_is_refused_the_line_stays_where_it_is_and_the_day_is_held(billed):
    that_no_longer_fits(billed)
    billed.house.faults.refuse_claim = lambda claim: claim.frequency == "7"
    billed.night()
    billed.night()
    assert claims(billed) == [["1", "live", "1 2 3 4"], ["7", "refused", "1 2 3"]], "what the payer has, once"
    assert billed.held_for(LARGE) == {"RJ01"}
    billed.night()
    assert len(claims(billed)) == 2, "nobody asked to send it again"
    billed.house.faults.refuse_claim = 0.0
    points_to(billed, (1,), upto=12)
    report = billed.night()
    assert claims(billed)[2:] == [["7", "live", "1 2 3 4"]], "it came back before it had left"
    agrees(billed, report)


def test_where_the_new_claim_is_refused_its_line_is_told_and_the_rest_stands(billed):
    that_no_longer_fits(billed)
    billed.night()
    billed.house.faults.refuse_claim = lambda claim: claim.frequency == "1"
    billed.night()
    billed.night()
    assert [one[1] for one in claims(billed)] == ["replaced", "replaced", "live", "refused"]
    assert billed.held_for(LARGE) == {"RJ02"}
    (message,) = [one["message"] for one in billed.day(LARGE)["findings"] if one["code"] == "RJ02"]
    assert "line 4: 277CA A7:562:85" in message


def test_after_an_old_backup_neither_claim_goes_twice(billed, tmp_path):
    chart(billed, FOUR_LINES, DIAGNOSES, BY_FOUR)
    billed.night()
    backup.backup(billed.world.config, tmp_path / "a.backup")
    billed.world.store.edit("Procedure", f"{LARGE}-p4", partial(late_edits.set_minutes, minutes=40))
    billed.night()
    before = billed.house.books.totals()
    assert [one[1] for one in claims(billed)] == ["replaced", "replaced", "live", "live"]
    backup.restore(billed.world.config, tmp_path / "a.backup", replace=True, actor="test")
    billed.night()
    report = billed.night()
    assert billed.house.books.totals() == before, "the payer has what it had"
    agrees(billed, report)
