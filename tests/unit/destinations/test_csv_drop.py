"""csv_drop: cells that run nothing, files that are whole, receipts that settle every crash."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from dataclasses import replace
from hashlib import sha256
from io import StringIO

import pytest

from ptbridge.delivery import RetryPolicy, SystemClock, deliver
from ptbridge.destinations import csv_drop
from ptbridge.destinations._drop_folder import DropFolder
from ptbridge.errors import OutcomeUnknown, PeerUnavailable
from ptbridge.model import Disposition
from tests import rigs
from tests.rigs import a_day, submission
from tests.unit.delivery.conftest import MemoryOutbox, VirtualClock


class PowerCut(BaseException):
    """The process is gone: nothing after it runs."""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "to-biller"


def build(folder, *, clinic="oak", run_id="run-1"):
    return rigs.build("csv_drop", folder=folder, clinic=clinic, run_id=run_id)


def days(destination, count=3):
    return [submission(destination, reference=f"oak-{number}") for number in range(count)]


def drop(destination, submissions):
    return asyncio.run(destination.submit_batch(submissions))


def find(destination, sent):
    return asyncio.run(destination.find(sent))


def rows(path):
    return list(csv.DictReader(StringIO(path.read_bytes().decode(), newline="")))


def test_one_file_with_its_control_totals(folder):
    destination = build(folder)
    answers = drop(destination, days(destination))
    assert [answer.destination_id for answer in answers] == ["ptbridge-oak-run-1.csv"] * 3
    content = (folder / "ptbridge-oak-run-1.csv").read_bytes()
    assert json.loads((folder / "ptbridge-oak-run-1.totals.json").read_bytes()) == {
        "file": "ptbridge-oak-run-1.csv",
        "sha256": sha256(content).hexdigest(),
        "submissions": 3,
        "rows": 6,
        "units": 9,
        "amount_cents": 27000,
    }
    first = rows(folder / "ptbridge-oak-run-1.csv")[0]
    assert (first["procedure"], first["modifier_1"], first["units"], first["amount"]) == ("97110", "GP", "2", "60.00")
    assert (first["patient_family"], first["diagnosis_1"], first["diagnosis_2"]) == ("Famqxz", "M54.50", "")
    assert tuple(first) == csv_drop.COLUMNS


def test_another_insurance_stands_beside_the_primary_one(folder):
    destination = build(folder)
    day = a_day()
    (visit,) = day.day.visits
    second = replace(visit.coverages[0], id="c2", order=2, payer_id="ACME", payer_name="Acme", member_id="SECQXZ")
    third = replace(second, id="c3", order=3, payer_id="THIRD")
    insured = replace(visit, coverages=(third, second, *visit.coverages))
    priced = replace(day, coded=replace(day.coded, day=replace(day.day, visits=(insured,))))
    body, _ = destination.encode(priced, reference="oak-9", frequency="1", original_id=None)
    drop(destination, [replace(submission(destination, reference="oak-9"), body=body)])
    row = rows(folder / "ptbridge-oak-run-1.csv")[0]
    assert (row["payer_id"], row["other_payer_id"], row["other_member_id"]) == ("MCR-B", "ACME", "SECQXZ")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_read_it(folder, umask):
    before = os.umask(umask)
    try:
        destination = build(folder)
        drop(destination, days(destination))
    finally:
        os.umask(before)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 3 and {path.stat().st_mode & 0o777 for path in files} == {0o600}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1", "  =1", "\u00a0=1", '=HYPERLINK("x")'],
)
def test_no_cell_can_start_a_formula(text):
    (parsed,) = next(csv.reader(StringIO(csv_drop.cell(text), newline="")))[:1]
    assert parsed == f"'{text}"


@pytest.mark.parametrize("text", ["", "Roe", "O'Hara", "a=b", 'say "x", please', "1.5", "two\nlines"])
def test_other_cells_stay_as_they_are(text):
    assert next(csv.reader(StringIO(csv_drop.cell(text), newline=""))) == [text]


def test_a_name_that_is_a_formula_is_harmless_in_the_file(folder):
    destination = build(folder)
    day = a_day()
    visit = day.day.visits[0]
    evil = replace(visit, patient=replace(visit.patient, family="=cmd|'/c calc'!A0", given="a\r\nb,c"))
    bad = replace(day, coded=replace(day.coded, day=replace(day.day, visits=(evil,))))
    body, _ = destination.encode(bad, reference="oak-9", frequency="1", original_id=None)
    drop(destination, [replace(submission(destination, reference="oak-9"), body=body)])
    found = rows(folder / "ptbridge-oak-run-1.csv")
    assert [row["patient_family"] for row in found] == ["'=cmd|'/c calc'!A0"] * 2
    assert [row["patient_given"] for row in found] == ["a\r\nb,c"] * 2


def test_a_file_is_never_overwritten(folder):
    folder.mkdir(parents=True)
    (folder / "ptbridge-oak-run-1.csv").write_text("somebody else's")
    destination = build(folder)
    first, second = days(destination, 2)
    assert drop(destination, [first])[0].destination_id == "ptbridge-oak-run-1-2.csv"
    assert drop(destination, [second])[0].destination_id == "ptbridge-oak-run-1-3.csv"
    assert (folder / "ptbridge-oak-run-1.csv").read_text() == "somebody else's"


def test_a_file_that_the_biller_took_is_not_dropped_again(folder):
    destination = build(folder)
    sent = days(destination)
    drop(destination, sent)
    (folder / "ptbridge-oak-run-1.csv").unlink()
    later = build(folder, run_id="run-2")
    assert find(later, sent[0]).destination_id == "ptbridge-oak-run-1.csv"
    assert list(folder.glob("*.csv")) == []


@pytest.mark.parametrize("step", range(40))
def test_a_power_cut_at_any_write_leaves_all_or_nothing(folder, monkeypatch, step):
    """Cut before the n-th write, rename or sync; the next run looks up and, where nothing is there, drops again."""
    count = 0

    def cutting(real):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == step + 1:
                raise PowerCut
            return real(*args, **kwargs)

        return call

    destination = build(folder)
    sent = days(destination)
    with monkeypatch.context() as patched:
        for module, name in ((os, "open"), (os, "fsync"), (os, "rename"), (os, "replace"), (os, "unlink")):
            patched.setattr(module, name, cutting(getattr(module, name)))
        try:
            drop(destination, sent)
            cut = False
        except PowerCut:
            cut = True
    visible = list(folder.glob("*.csv"))
    assert all(len(rows(path)) == 6 for path in visible), "a visible file is whole"
    again = build(folder, run_id="run-2")
    found = [find(again, one) for one in sent]
    assert len({answer is None for answer in found}) == 1, "all of a batch or none"
    if found[0] is None:
        assert cut and visible == []
        drop(again, sent)
    (only,) = folder.glob("*.csv")
    assert [row["reference"] for row in rows(only)] == ["oak-0", "oak-0", "oak-1", "oak-1", "oak-2", "oak-2"]
    assert not list(folder.rglob("*.csv.part")), "no patient data is left behind under a hidden name"
    assert asyncio.run(again.list_references(("2026-11-02", "2026-11-02"))) == {f"oak-{n}": (3, 9000) for n in range(3)}


def test_a_disk_that_gives_up_says_which_it_is(folder, monkeypatch):
    destination = build(folder)
    sent = days(destination)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(DropFolder, "prepare", full)
        with pytest.raises(PeerUnavailable, match="No space left on device"):
            drop(destination, sent)
    with monkeypatch.context() as patched:
        patched.setattr(DropFolder, "give_name", full)
        with pytest.raises(OutcomeUnknown):
            drop(destination, sent)
    assert find(destination, sent[0]).disposition is Disposition.ACCEPTED
    assert len(list(folder.glob("*.csv"))) == 1


def test_a_folder_that_cannot_be_written_leaves_everything_queued(tmp_path):
    wall = tmp_path / "a-file"
    wall.write_text("")
    destination = build(wall / "to-biller")
    outbox = MemoryOutbox(VirtualClock())
    for sent in days(destination):
        outbox.put(replace(sent, order_key=sent.reference))
    report = asyncio.run(
        deliver(outbox, destination, in_flight=1, clock=SystemClock(), policy=RetryPolicy(), deadline_seconds=5)
    )
    assert outbox.states() == ["queued"] * 3 and report.accepted == 0
    with pytest.raises(PeerUnavailable):
        asyncio.run(destination.check())


def test_delivery_makes_one_file_and_a_second_one_only_for_what_waits_in_order(folder):
    destination = build(folder)
    outbox = MemoryOutbox(VirtualClock())
    for sent in days(destination, 5):
        outbox.put(replace(sent, order_key=sent.reference))
    outbox.put(replace(submission(destination, reference="oak-0", revision=2, frequency="7"), order_key="oak-0"))
    report = asyncio.run(
        deliver(outbox, destination, in_flight=1, clock=SystemClock(), policy=RetryPolicy(), deadline_seconds=5)
    )
    assert report.accepted == 6
    assert [len(rows(path)) for path in sorted(folder.glob("*.csv"), reverse=True)] == [10, 2]


def test_two_clinics_share_a_folder(folder):
    oak, elm = build(folder), build(folder, clinic="elm")
    drop(oak, days(oak, 2))
    drop(elm, [replace(one, clinic="elm", reference=f"elm{one.reference}", key=f"elm{one.key}") for one in days(elm, 1)])
    dates = ("2026-11-02", "2026-11-02")
    assert set(asyncio.run(oak.list_references(dates))) == {"oak-0", "oak-1"}
    assert set(asyncio.run(elm.list_references(dates))) == {"elmoak-0"}


def test_the_name_of_a_clinic_cannot_leave_the_folder(folder):
    destination = build(folder, clinic="../../oak", run_id="../1")
    drop(destination, [replace(one, clinic="../../oak") for one in days(destination, 1)])
    assert all(folder in path.parents for path in folder.parent.rglob("*") if path.is_file())
