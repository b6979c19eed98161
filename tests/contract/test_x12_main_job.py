"""The night job with a clearinghouse: 837P files out, 999, 277CA and 835 files back, corrections by the payer's number."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from ptbridge_sandbox.clearinghouse import Clearinghouse

from ptbridge import jobs
from ptbridge.cli import main
from ptbridge.destinations._x12_file import _EPOCH, _TICK_SECONDS
from ptbridge.jobs import backup
from ptbridge.ledger import Ledger
from tests.platforms import send_files
from tests.rigs.x12_837p import OPTIONS
from tests.world import World, running
from tests.x12_judges import complaints

SPOUSES, CHILDREN = 8, 2  # days on a spouse's or a parent's insurance; an eleventh has no member id


@dataclass
class Billed:
    """A clinic that bills through the clearinghouse."""

    world: World
    house: Clearinghouse

    def night(self) -> Any:
        """One run, then the clearinghouse works on what it got."""
        report = self.world.sync()
        for file in self.house.inbound.glob("*.837"):
            assert complaints(file.read_bytes()) == []
        self.house.work()
        assert self.house.books.violations == []
        return report

    def day(self, visit: str) -> dict[str, Any]:
        (found,) = jobs.explain(self.world.config, visit)["days"]
        return found

    def repeated(self) -> bool:
        """Whether a TA1 says that an interchange came before (note 025)."""
        return any("*025~" in answer.read_text("ascii") for answer in self.house.outbound.glob("*ta1*"))

    def held_for(self, visit: str) -> set[str]:
        rows = [row for row in jobs.held(self.world.config) if visit in row["visits"]]
        return {reason["code"] for row in rows for reason in row["reasons"]}


@pytest.fixture
def billed(tmp_path: Path) -> Iterator[Billed]:
    with running(tmp_path / "config") as world:
        send_files(world, "x12_837p", tmp_path / "claims", OPTIONS)
        yield Billed(world, Clearinghouse(tmp_path / "claims", tmp_path / "answers"))


def sent(report: Any, billed: Billed) -> dict[str, int]:
    (answer,) = jobs.reconcile(billed.world.config).values()
    return {key: answer["ours"][key] for key in ("charges", "units", "amount_cents")}


def test_a_days_charges_become_claims_that_the_payer_has_to_the_cent(billed):
    report = billed.night()
    books = billed.house.books.totals()
    assert books["claims"] > 40
    assert sent(report, billed) == {"charges": books["claims"], "units": books["units"], "amount_cents": books["amount_cents"]}
    billed.night()
    assert billed.house.taken == 1, "nothing new, no file"
    held = [reason for row in jobs.held(billed.world.config) for reason in row["reasons"] if reason["code"] == "SB03"]
    assert held and all("check digit" in one["message"] or "member id is missing" in one["message"] for one in held)


def test_a_dependents_day_is_billed_in_the_subscribers_name(billed):
    billed.world.sync()
    (file,) = billed.house.inbound.glob("*.837")
    assert complaints(file.read_bytes()) == []
    store = billed.world.store
    people = [orjson.loads(store.body(entry)) for entry in store.shelf("RelatedPerson").by_id.values()]
    names = {f"{one['name'][0]['family']}*{one['name'][0]['given'][0]}".upper() for one in people}
    days = file.read_text("ascii").split("~ST*837*")[1:]
    of_spouses, of_children = ([day for day in days if f"~PAT*{related}~NM1*QC*1*" in day] for related in ("01", "19"))
    assert (len(of_spouses), len(of_children)) == (SPOUSES, CHILDREN)
    assert len(days) == SPOUSES + CHILDREN + sum("~SBR*P*18*" in day for day in days)
    of_dependents = of_spouses + of_children
    insured = [day.partition("~NM1*IL*1*")[2].partition("****MI*")[0] for day in of_dependents]
    assert set(insured) <= names and len(set(insured)) > 1
    treated = [day.partition("~NM1*QC*1*")[2].partition("~")[0] for day in of_dependents]
    assert all(one != other for one, other in zip(insured, treated, strict=True))
    billed.house.work()
    told = "".join(answer.read_text("ascii") for answer in billed.house.outbound.iterdir())
    assert all(f"~NM1*QC*1*{name}****MI*" in told for name in treated)


def test_what_the_payer_decides_comes_home_to_the_line(billed):
    billed.night()
    billed.house.remit(deny={"97112": "CO-50"})
    billed.night()
    day = billed.day("enc-0002")
    assert "RJ02" in billed.held_for("enc-0002")
    (answer,) = [one for one in day["answers"] if one["standing"] == "denied" and one["line"]]
    assert answer["procedure"] == "97112" and answer["codes"][0]["code"] == "CO-50"
    (reason,) = [row["reasons"][0] for row in jobs.held(billed.world.config) if "enc-0002" in row["visits"]]
    assert "CARC CO-50" in reason["message"]


def test_an_edited_note_goes_as_frequency_7_with_the_payers_number(billed):
    billed.night()
    billed.night()  # the 277CA brings the payer's number
    before = billed.house.books.totals()
    billed.world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    report = billed.night()
    day = billed.day("enc-0002")
    assert [row["frequency"] for row in day["submissions"]] == ["1", "7"]
    after = billed.house.books.totals()
    assert after["claims"] == before["claims"] and after["units"] != before["units"]
    assert sent(report, billed)["amount_cents"] == after["amount_cents"]


def test_a_claim_that_was_turned_away_is_corrected_and_goes_as_an_original(billed):
    billed.house.faults.refuse_claim = lambda claim: any(line.procedure.startswith("HC:97112") for line in claim.lines)
    billed.night()
    billed.house.faults.refuse_claim = 0.0
    billed.night()
    assert "RJ01" in billed.held_for("enc-0002")
    billed.world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    billed.night()
    assert [row["frequency"] for row in billed.day("enc-0002")["submissions"]] == ["1", "1"]
    assert billed.held_for("enc-0002") == set()
    assert billed.house.number_of(_control(billed, "enc-0002"))


def test_a_denied_claim_is_corrected_as_a_replacement_of_what_the_payer_has(billed):
    billed.night()
    billed.house.remit(deny={"97112": "CO-50"})
    billed.night()
    assert "RJ02" in billed.held_for("enc-0002")
    claims = billed.house.books.totals()["claims"]
    billed.world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    billed.night()
    assert [row["frequency"] for row in billed.day("enc-0002")["submissions"]] == ["1", "7"], "a denied claim exists"
    assert billed.held_for("enc-0002") == set() and billed.house.books.totals()["claims"] == claims


def past(number: int) -> None:
    """Until the clock alone gives a larger number; nobody restores within the few seconds that a burst is ahead of it."""
    while (datetime.now(UTC) - _EPOCH).total_seconds() // _TICK_SECONDS <= number:
        time.sleep(0.1)


@pytest.mark.parametrize("lost", [False, True])
def test_after_an_old_backup_no_claim_goes_twice_and_no_control_number_comes_again(billed, lost, tmp_path):
    billed.night()
    backup.backup(billed.world.config, tmp_path / "a.backup")
    billed.night()  # brings the payer's number, after the backup
    billed.world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    billed.night()
    before, taken = billed.house.books.totals(), billed.house.taken
    backup.restore(billed.world.config, tmp_path / "a.backup", replace=True, actor="test")
    if lost:  # the count is gone with the folder's own memory of it
        count = tmp_path / "claims/.ptbridge/control-number"
        past(int(count.read_text("ascii")))
        count.unlink()
    billed.night()
    billed.night()
    assert billed.house.books.totals() == before, "the payer has what it had"
    billed.world.store.edit_visit("enc-0003", {"97112": 40}, bump_encounter=False)
    billed.night()
    assert billed.house.taken > taken and [row["frequency"] for row in billed.day("enc-0003")["submissions"]] == ["1", "7"]
    assert not billed.repeated()


def _control(billed: Billed, visit: str) -> str:
    reference = billed.day(visit)["reference"]
    return f"{reference[3:18].upper()}AA"


@pytest.mark.parametrize("refused", [False, True])
def test_after_an_old_backup_the_answer_to_a_lost_correction_is_none_to_its_original(billed, refused, tmp_path):
    """D25: the payer has the original and turned its correction away; the ledger knows of the original alone."""
    billed.night()
    backup.backup(billed.world.config, tmp_path / "old.backup")
    billed.night()
    billed.world.store.edit_visit("enc-0002", {"97112": 40}, bump_encounter=False)
    billed.house.faults.refuse_claim = float(refused)
    billed.night()
    billed.house.faults.refuse_claim = 0.0
    had = billed.house.books.totals()
    backup.restore(billed.world.config, tmp_path / "old.backup", replace=True, actor="test")
    billed.night()
    billed.night()
    assert billed.house.books.totals() == had, "no second original of what was only corrected in vain"
    assert [row["frequency"] for row in billed.day("enc-0002")["submissions"]] == ["1", "7"]
    assert (billed.day("enc-0002")["state"] == "held") is refused
    billed.world.store.edit_visit("enc-0002", {"97112": 55}, bump_encounter=False)
    billed.night()
    billed.night()
    assert [row["frequency"] for row in billed.day("enc-0002")["submissions"]] == ["1", "7", "7"]
    numbers = [row["payer_claim_number"] for row in billed.day("enc-0002")["answers"] if row["revision"] == 3]
    assert any(numbers), "and the next correction names what the payer has"


def test_a_visit_that_was_turned_away_and_then_withdrawn_is_nobodys_and_the_books_agree(billed):
    billed.house.faults.refuse_claim = lambda claim: any(line.procedure.startswith("HC:97112") for line in claim.lines)
    billed.night()
    billed.house.faults.refuse_claim = 0.0
    billed.night()
    billed.world.store.edit("Encounter", "enc-0002", lambda one: one.update(status="entered-in-error"))
    billed.night()
    assert [row["frequency"] for row in billed.day("enc-0002")["submissions"]] == ["1"], "nothing to take back: nothing is sent"
    (answer,) = jobs.reconcile(billed.world.config).values()
    reference = billed.day("enc-0002")["reference"]
    assert [one for one in answer["differences"] if one.get("reference") == reference] == []


def test_an_answer_file_that_cannot_be_read_is_named(billed, capsys):
    """It may be a denial: a number of answers about nothing of ours would tell nobody which file to ask for again."""
    billed.night()
    (billed.house.outbound / "half.277").write_text("ISA*00", "ascii")
    for _ in range(2):  # what is the same at the second look is not on its way any more
        jobs.ask(billed.world.config)
    here = ["--config", str(billed.world.folder)]
    assert main(["answers", *here]) == 0
    assert main(["reconcile", "--no-schedule", *here]) == 3, "an answer that nobody has read may be a denial"
    said = capsys.readouterr().out
    assert "an answer could not be read: half.277: " in said
    (number,) = jobs.reconcile(billed.world.config, schedule=False)["riverside-pt"]["unread_answers"]
    assert f"ptbridge answers --seen {number} --reason TEXT" in said
    assert main(["answers", "--seen", str(number), *here]) == 2, "without a word why"
    for other in ("0", str(number + 1)):
        assert main(["answers", "--seen", other, "--reason", "x", *here]) == 6
    assert main(["answers", "--seen", str(number), "--reason", "half of a file that came whole", "--by", "owner", *here]) == 0
    assert f"Noted for answer {number}." in capsys.readouterr().out
    assert main(["reconcile", "--no-schedule", *here]) == 0 and "could not be read" not in capsys.readouterr().out
    assert main(["answers", "--seen", str(number), "--reason", "again", *here]) == 6, "it waits for nobody any more"
    (kept,) = jobs.reconcile(billed.world.config, schedule=False)["riverside-pt"]["orphan_news"]
    assert kept["seen"] and kept["unreadable"].startswith("half.277: ")
    with Ledger.open(billed.world.config.state, write=False) as ledger:
        (row,) = ledger.history.of("answer", number)
    assert (row["event"], row["detail"], row["actor"]) == ("seen-by-person", "half of a file that came whole", "owner")
    (billed.house.outbound / "other.277").write_text("ISA*01", "ascii")
    for _ in range(2):
        jobs.ask(billed.world.config)
    assert main(["reconcile", "--no-schedule", *here]) == 3, "the next one asks again"
