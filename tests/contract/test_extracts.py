"""Charge extracts end to end: files in a folder, a real run, a real biller on loopback, counted from both sides."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from ptbridge_sandbox import demo
from ptbridge_sandbox.extract_maker import Extract, mapping_text, pretend_extract
from ptbridge_sandbox.store import Store

from ptbridge import jobs
from ptbridge.ledger import Ledger
from tests.world import World, running

DAY = date(2026, 11, 19)


class Clinic:
    """A world whose clinic exports files into a folder."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.incoming = world.folder / "incoming"
        self.incoming.mkdir()
        text = world.clinic_file.read_text()
        before, _, rest = text.partition("source:\n")
        source = f"source:\n  connector: webpt_extract\n  mapping: mappings/{demo.CLINIC}.yaml\n"
        source += '  options: {folder: incoming, settle_seconds: "0"}\n'
        after = rest.partition("destination:\n")[2]
        world.clinic_file.write_text(f"{before}{source}\ndestination:\n{after}")

    def profile(self, **habits: object) -> None:
        self.world.mapping_file.write_text(mapping_text(demo.CLINIC, **habits))

    def put(self, extract: Extract, name: str, **options: object) -> Path:
        return extract.write(self.incoming / name, **options)

    def left(self) -> list[str]:
        return sorted(path.name for path in self.incoming.iterdir() if path.is_file())

    def inside(self, folder: str) -> list[str]:
        place = self.incoming / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def quarantined(self) -> dict[str, str]:
        with Ledger.open(self.world.folder / "state", write=False) as ledger:
            rows = ledger._connection.execute("SELECT visit_id, reason FROM visit WHERE state = 'quarantined'")
            return {str(key): str(reason) for key, reason in rows}


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    with running(tmp_path / "config", Store([])) as world:
        yield Clinic(world)


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx"])
def test_every_visit_of_an_extract_reaches_the_biller(clinic: Clinic, ending: str) -> None:
    clinic.profile()
    extract = pretend_extract(20)
    clinic.put(extract, f"charges-2026-11-19.{ending}")
    report = clinic.world.sync()
    assert report.errors == [] and report.visits["sent"] == 20, jobs.held(clinic.world.config)
    assert clinic.world.books()["units"] == sum(int(row["units"]) for row in extract.rows)
    assert clinic.left() == [] and clinic.inside("processed") == [f"charges-2026-11-19.{ending}"]
    clinic.world.agrees()


def test_a_corrected_row_replaces_what_the_biller_has(clinic: Clinic) -> None:
    clinic.profile()
    extract = pretend_extract(10)
    clinic.put(extract, "charges-2026-11-19.csv")
    clinic.world.sync()
    before = clinic.world.books()
    visit = extract.visits()[3]
    row = extract.of(visit)[0]
    row["minutes"], row["units"] = str(int(row["minutes"]) + 15), str(int(row["units"]) + 1)
    clinic.put(Extract(extract.of(visit)), "charges-2026-11-20.csv")
    clinic.world.sync()
    after = clinic.world.books()
    assert (after["charges"], after["units"]) == (before["charges"], before["units"] + 1)
    (day,) = jobs.explain(clinic.world.config, visit)["days"]
    assert [one["frequency"] for one in day["submissions"]] == ["1", "7"]
    clinic.world.agrees()


def test_changed_rows_are_laid_over_the_visit_and_the_other_rows_stay(clinic: Clinic) -> None:
    clinic.profile(holds="changed-rows")
    extract = pretend_extract(6)
    clinic.put(extract, "charges-2026-11-19.csv")
    clinic.world.sync()
    before = clinic.world.books()
    visit = extract.visits()[2]
    row = extract.of(visit)[1]
    row["minutes"], row["units"] = str(int(row["minutes"]) + 15), str(int(row["units"]) + 1)
    clinic.put(Extract([row]), "charges-2026-11-20.csv")
    clinic.world.sync()
    assert clinic.world.books()["units"] == before["units"] + 1
    (day,) = jobs.explain(clinic.world.config, visit)["days"]
    assert len(day["lines"]) == len(extract.of(visit)) > 1
    with Ledger.open(clinic.world.folder / "state", write=False) as ledger:
        record = ledger.visits.latest(demo.CLINIC, "webpt_extract", visit)
    assert record is not None and record.version.endswith(";charges-2026-11-20.csv:2")
    clinic.world.agrees()


def test_in_a_full_file_a_row_that_is_gone_replaces_and_a_visit_that_is_gone_is_voided(clinic: Clinic) -> None:
    clinic.profile(holds="all", absent="gone", totals=True)
    extract = pretend_extract(8)
    clinic.put(extract, "charges-2026-11-19.csv", totals=True)
    clinic.world.sync()
    before = clinic.world.books()
    deleted, thinner = extract.visits()[1], extract.visits()[4]
    removed = extract.of(thinner)[-1]
    extract.rows.remove(removed)
    clinic.put(extract.without(deleted), "charges-2026-11-20.csv", totals=True)
    report = clinic.world.sync()
    assert report.errors == []
    assert clinic.world.books()["charges"] == before["charges"] - 1
    (gone,) = jobs.explain(clinic.world.config, deleted)["days"]
    (less,) = jobs.explain(clinic.world.config, thinner)["days"]
    assert gone["state"] == "voided" and [one["frequency"] for one in gone["submissions"]] == ["1", "8"]
    assert [one["frequency"] for one in less["submissions"]] == ["1", "7"]
    assert removed["cpt"] not in [line["procedure"] for line in less["lines"]]
    clinic.world.agrees()


def test_the_same_full_file_in_another_order_changes_nothing(clinic: Clinic) -> None:
    clinic.profile(holds="all", absent="gone", totals=True)
    extract = pretend_extract(8)
    clinic.put(extract, "charges-2026-11-19.csv", totals=True)
    clinic.world.sync()
    before = clinic.world.books()["events"]
    extract.rows.reverse()
    clinic.put(extract, "charges-2026-11-20.csv", totals=True)
    clinic.world.sync()
    assert clinic.world.books()["events"] == before


def test_control_totals_that_differ_refuse_the_whole_file_until_it_comes_right(clinic: Clinic) -> None:
    clinic.profile(holds="all", absent="gone", totals=True)
    extract = pretend_extract(5)
    clinic.put(extract, "charges-2026-11-19.csv", totals=True, rows=len(extract.rows) + 1)
    report = clinic.world.sync()
    assert clinic.world.books()["charges"] == 0 and report.visits["quarantined"] == 1
    (reason,) = clinic.quarantined().values()
    assert f"rows: {len(extract.rows) + 1} stated, {len(extract.rows)} counted" in reason
    assert clinic.inside("errors") == [
        "charges-2026-11-19.csv",
        "charges-2026-11-19.csv.reason.txt",
        "charges-2026-11-19.totals.json",
    ]
    clinic.put(extract, "charges-2026-11-19.csv", totals=True)
    assert clinic.world.sync().visits["sent"] == 5
    assert clinic.quarantined() == {}


def test_a_bad_row_is_quarantined_with_its_visit_by_file_and_line_and_the_rest_goes_on(clinic: Clinic) -> None:
    clinic.profile()
    extract = pretend_extract(6)
    mangled, nameless = extract.rows[0], extract.of(extract.visits()[-1])[0]
    mangled["cpt"], nameless["visit_id"] = "9.711E4", ""
    clinic.put(extract, "charges-2026-11-19.csv")
    report = clinic.world.sync()
    reasons = clinic.quarantined()
    line = extract.rows.index(nameless) + 2
    assert reasons.keys() == {mangled["visit_id"], f"row:{nameless['record_pointer']}"}
    assert "charges-2026-11-19.csv:2: cpt: '9.711E4' is a number as a spreadsheet" in reasons[mangled["visit_id"]]
    assert f"charges-2026-11-19.csv: line {line}: visit_id is empty" in reasons[f"row:{nameless['record_pointer']}"]
    assert report.visits["quarantined"] == 2 and report.visits["sent"] == 5
    mangled["cpt"], nameless["visit_id"] = "97110", extract.visits()[-1]
    clinic.put(extract, "charges-2026-11-20.csv")
    clinic.world.sync()
    assert clinic.quarantined() == {}
    clinic.world.agrees()


def test_a_stray_row_keeps_every_deletion_by_absence_from_happening(clinic: Clinic) -> None:
    clinic.profile(holds="all", absent="gone", totals=True)
    extract = pretend_extract(4)
    clinic.put(extract, "charges-2026-11-19.csv", totals=True)
    clinic.world.sync()
    before = clinic.world.books()["charges"]
    visit = extract.visits()[0]
    for row in extract.of(visit):
        row["visit_id"] = ""
    clinic.put(extract, "charges-2026-11-20.csv", totals=True, visits=3)
    clinic.world.sync()
    assert clinic.world.books()["charges"] == before
    assert jobs.explain(clinic.world.config, visit)["days"][0]["state"] == "sent"


def test_a_dry_run_moves_no_file_and_the_real_run_takes_it(clinic: Clinic) -> None:
    clinic.profile()
    clinic.put(pretend_extract(3), "charges-2026-11-19.csv")
    clinic.put(pretend_extract(1), "charges-2026-11-20.csv").write_text("no,such,columns\n1,2,3\n")
    assert len(clinic.world.sync(dry_run=True).would_send) == 3
    assert clinic.left() == ["charges-2026-11-19.csv", "charges-2026-11-20.csv"]
    assert clinic.world.sync().visits["sent"] == 3
    assert clinic.left() == []


def test_a_file_taken_and_not_yet_moved_is_recognised_after_a_crash(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.profile()
    clinic.put(pretend_extract(3), "charges-2026-11-19.csv")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", lambda self, target: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert "cannot be written" in clinic.world.sync().errors[0]
    assert clinic.left() == ["charges-2026-11-19.csv"]
    events = clinic.world.books()["events"]
    report = clinic.world.sync()
    assert report.pulled_visits == 0 and clinic.left() == [] and clinic.world.books()["events"] == events


def test_an_older_file_does_not_undo_a_newer_one(clinic: Clinic) -> None:
    clinic.profile()
    extract = pretend_extract(3)
    clinic.put(extract, "charges-2026-11-20.csv")
    clinic.world.sync()
    before = clinic.world.books()["events"]
    extract.rows[0]["minutes"] = "60"
    clinic.put(extract, "charges-2026-11-19.csv")
    clinic.world.sync()
    assert clinic.world.books()["events"] == before
    assert "is older than a file that was taken before" in clinic.quarantined()["file:charges-2026-11-19.csv"]


def test_a_column_that_vanishes_refuses_the_file(clinic: Clinic) -> None:
    clinic.profile()
    extract = pretend_extract(2)
    clinic.put(extract, "charges-2026-11-19.csv")
    clinic.world.sync()
    path = clinic.put(extract, "charges-2026-11-20.csv")
    path.write_text(path.read_text().replace("cpt_suffix", "something_else", 1))
    clinic.world.sync()
    assert "cpt_suffix were in the files before" in clinic.quarantined()["file:charges-2026-11-20.csv"]
    assert clinic.world.books()["events"] == {"created": 2}


def test_links_and_pipes_are_refused_and_unfinished_files_wait(clinic: Clinic, tmp_path: Path) -> None:
    clinic.profile(totals=True)
    secret = pretend_extract(1).write(tmp_path / "elsewhere.csv", totals=True)
    (clinic.incoming / "a-link.csv").symlink_to(secret)
    os.mkfifo(clinic.incoming / "b-pipe.csv")
    clinic.put(pretend_extract(1), "c-without-totals.csv")
    clinic.put(pretend_extract(1), "d.csv.part")
    clinic.world.sync()
    assert clinic.world.books()["charges"] == 0
    assert clinic.quarantined().keys() == {"file:a-link.csv", "file:b-pipe.csv"}
    assert clinic.left() == ["c-without-totals.csv", "d.csv.part"]


def test_no_patient_data_in_reasons_logs_and_reports(clinic: Clinic) -> None:
    clinic.profile()
    extract = pretend_extract(6)
    extract.rows[0]["patient_id"], extract.rows[5]["visit_id"], extract.rows[9]["units"] = "123456.0", "", "many"
    clinic.put(extract, "charges-2026-11-19.csv")
    clinic.world.sync()
    said = "".join(clinic.quarantined().values()) + str(jobs.held(clinic.world.config))
    for folder in ("logs", "reports"):
        said += "".join(path.read_text() for path in (clinic.world.folder / "state" / folder).iterdir())
    names = {row[name] for row in extract.rows for name in ("patient_last", "patient_dob", "member_id", "patient_id")}
    assert not [name for name in names if name in said]


def test_the_connector_says_what_lies_in_the_folder(clinic: Clinic) -> None:
    clinic.profile(holds="all", absent="gone", totals=True)
    clinic.put(pretend_extract(1), "charges-2026-11-19.csv", totals=True)
    clinic.put(pretend_extract(1), "charges-2026-11-20.csv")
    from ptbridge.cli.peer_checks import emr

    said = [what for _, what, _ in emr(clinic.world.config, clinic.world.config.clinics[demo.CLINIC])]
    assert "files complete 1, not complete yet 1" in said[0]
    assert any("taken as deleted" in sentence for sentence in said)
