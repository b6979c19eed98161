"""A load is all or nothing, whatever goes wrong, and what is open stays usable."""

from __future__ import annotations

import random
import zipfile
from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import SHIPPED, Reference, coverage, damaged, load, quarter, reference_of
from ptbridge.policy.reference import load as load_function
from ptbridge.policy.reference.index import INDEX
from ptbridge.policy.reference.packed import PackedTable, key, pack
from ptbridge.policy.reference.values import Mue
from tests import make_reference_files as make

ON = date(2026, 11, 2)


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


def test_one_bad_file_among_good_ones_changes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    load(make.small_files(tmp_path), folder)
    before = listing(folder)
    bad = make.zipped(
        tmp_path / "mue.zip", {"MCR_MUE_PractitionerServices_Eff_01-01-2027.csv": make.mue_text([("9711", 1, "2")])}
    )
    newer = make.pair_zips(tmp_path, version="v330r0", quarter="2027q1")
    with pytest.raises(ConfigError, match="9711"):
        load([*newer, bad], folder)
    assert listing(folder) == before
    load(newer, folder)
    assert Reference.open(folder).covers("ptp", date(2027, 2, 1)) and Reference.open(folder).covers("ptp", ON)


@pytest.mark.parametrize("stop_at", [INDEX, "ptp-2026Q4"])
def test_a_stop_while_writing_leaves_what_was_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str) -> None:
    """The disk is full at the last rename, or at the first: what was loaded before still answers."""
    folder = tmp_path / "reference"
    load(make.pair_zips(tmp_path, version="v322r0", quarter="2026q3"), folder)
    before = listing(folder)
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name.startswith(stop_at):
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        load(make.pair_zips(tmp_path), folder)
    monkeypatch.undo()
    assert listing(folder) == before
    assert Reference.open(folder).covers("ptp", date(2026, 8, 1))


def test_a_replacement_takes_over_and_an_older_revision_never_does(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    load(make.pair_zips(tmp_path), folder)
    open_before = Reference.open(folder)
    changed = [row for row in make.PAIRS if row[0] != "97150"]
    load(make.pair_zips(tmp_path, changed, version="v323r1"), folder)
    assert Reference.open(folder).pair("97150", "97110", ON) is None
    assert open_before.pair("97150", "97110", ON) is not None  # a run goes on with what it opened
    assert len(list(folder.glob("*.bin"))) == 1
    with pytest.raises(ConfigError, match="revision r1 of 2026Q4 is loaded and newer"):
        load(make.pair_zips(tmp_path), folder)


def test_every_part_must_be_named(tmp_path: Path) -> None:
    zips = make.pair_zips(tmp_path)
    with pytest.raises(ConfigError, match="of 4 parts these are not named: f3"):
        load([zips[0], zips[1], zips[3]], tmp_path / "reference")
    with pytest.raises(ConfigError, match="the same part is named twice"):
        load([*zips, zips[0]], tmp_path / "reference")
    with pytest.raises(ConfigError, match="of 5 parts these are not named: f5"):
        load(zips, tmp_path / "reference", parts=5)
    assert not (tmp_path / "reference").exists()


def test_files_of_no_use_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    (tmp_path / "a.txt").write_text("hello\n")
    (tmp_path / "cut.zip").write_bytes(make.zipped(tmp_path / "whole.zip", {"x.txt": make.icd10_text()}).read_bytes()[:-40])
    only_pdf = make.zipped(tmp_path / "pdf.zip", {"a.pdf": b"%PDF"})
    two = [make.zipped(tmp_path / f"{name}.zip", {"icd10cm_order_2027.txt": make.icd10_text()}) for name in "ab"]
    for paths, says in (
        ([tmp_path / "gone.zip"], "no such file"),
        ([tmp_path / "a.xlsx"], "a .xlsx is not read"),
        ([tmp_path / "a.txt"], "none of the files that ptbridge reads"),
        ([tmp_path / "cut.zip"], "is not read"),
        ([only_pdf], "no file that ptbridge reads"),
        (two, "is for the same period"),
    ):
        with pytest.raises(ConfigError, match=says):
            load(paths, tmp_path / "reference")
    assert not (tmp_path / "reference").exists()


def test_a_damaged_member_is_a_refusal_not_a_crash(tmp_path: Path) -> None:
    path = make.zipped(tmp_path / "order.zip", {"icd10cm_order_2027.txt": make.icd10_text()})
    data = bytearray(path.read_bytes())
    data[80:90] = b"\xff" * 10
    path.write_bytes(data)
    with pytest.raises(ConfigError, match="Download it again"):
        load([path], tmp_path / "reference")


def test_one_load_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "reference"
    zips = make.pair_zips(tmp_path)
    refusals = []

    def meanwhile(_: str) -> None:
        with pytest.raises(ConfigError, match="another reference load is running"):
            load(zips, folder)
        refusals.append(1)

    load_function(zips, folder, told=meanwhile)
    assert refusals == [1]


def test_damage_to_a_look_up_file_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    load(make.pair_zips(tmp_path), folder)
    (file,) = folder.glob("*.bin")
    whole = file.read_bytes()
    assert damaged(folder) == ()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert damaged(folder) == (file.name,)
    file.write_bytes(whole[:-1])
    with pytest.raises(ConfigError, match="is missing or was changed"):
        Reference.open(folder)
    file.unlink()
    assert damaged(folder) == (file.name,)
    (folder / INDEX).write_text("{}")
    with pytest.raises(ConfigError, match=r"index\.json: cannot be read"):
        Reference.open(folder)


def test_a_load_between_index_and_files_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader has the old index in hand when a load replaces files: it reads the index again."""
    folder = tmp_path / "reference"
    load(make.pair_zips(tmp_path), folder)
    from ptbridge.policy.reference import lookup

    read = lookup.read_index
    stale = read(folder)
    load(make.pair_zips(tmp_path, make.PAIRS[1:], version="v323r1"), folder)
    answers = [stale]
    monkeypatch.setattr(lookup, "read_index", lambda folder: answers.pop() if answers else read(folder))
    assert Reference.open(folder).entries("ptp")[0].texts[0].startswith("ccipra-v323r1")


# ---------------------------------------------------------------- the packed file


def test_packed_records_are_found_by_their_keys() -> None:
    chance = random.Random(7)
    rows = sorted((chance.randrange(10**12), chance.randrange(2**32)) for _ in range(500))
    rows += [(rows[-1][0], 5), (rows[-1][0] + 1, 6)]
    data = pack([row[0] for row in rows], b"".join(row[1].to_bytes(4, "little") for row in rows), "<I", {"kind": "test"})
    table = PackedTable(data, "test")
    assert len(table) == 502
    for wanted in {row[0] for row in rows}:
        assert table.find(wanted) == [(value,) for row_key, value in rows if row_key == wanted]
    assert table.find(0) == [] and table.find(10**13) == []


def test_codes_of_different_length_never_share_a_key() -> None:
    codes = ["A000", "A0000", "0A000", "00A000", "97110", "9711", "97110" + "26", "G0283", "ZZZZZZZZZZZ"]
    assert len({key(code) for code in codes}) == len(codes)
    assert all(key(code) < 2**64 for code in codes)


@pytest.mark.parametrize(
    "spoil", [lambda data: b"X" + data[1:], lambda data: data[:-1], lambda data: data[:12], lambda data: b""]
)
def test_a_spoiled_file_is_a_refusal(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(spoil(pack([1, 2], b"ab", "=B", {})))  # type: ignore[operator]
    with pytest.raises(ConfigError, match="Load the official file again"):
        PackedTable.open(path)


# ---------------------------------------------------------------- shipped tables, coverage


def test_without_a_file_the_shipped_tables_answer_and_say_so(tmp_path: Path) -> None:
    for reference in (Reference.open(None), Reference.open(tmp_path)):
        for one, other in (("97161", "97162"), ("97163", "97161"), ("97162", "97163")):
            pair = reference.pair_between(one, other, ON)
            assert pair is not None and pair.indicator == 0 and pair.column1 == max(one, other) and pair.source == SHIPPED
        assert reference.pair_between("97140", "97530", ON) is None
        assert reference.pair_between("97161", "97162", date(2016, 1, 1)) is None
        assert reference.pair_between("97161", "97162", ON, program="medicaid") is None
        assert reference.mue("97112", ON) == Mue(code="97112", value=4, mai=3, source=SHIPPED)
        assert reference.mue("97112", ON, program="medicaid") is None and reference.mue("00000", ON) is None
        assert reference.add_on("97130", ON).primaries == {"97129"}  # type: ignore[union-attr]
        assert reference.add_on("97110", ON) is None
        assert reference.source("mue", ON) == SHIPPED
        assert reference.rvu("97110", ON) is None and reference.icd10("M54.50", ON) is None
        assert reference.source("icd10", date(2026, 3, 1)).endswith("(shipped)")
        assert reference.source("icd10", ON).startswith("nothing") and reference.source("rvu", ON).startswith("nothing")
        assert reference.source("thresholds", date(2027, 1, 1)).startswith("nothing")


def states(reference: Reference, today: date) -> dict[str, str]:
    return {row.kind: row.state for row in coverage(reference, today)}


def test_coverage_of_nothing_loaded() -> None:
    found = states(Reference.open(None), date(2026, 3, 2))
    assert {kind for kind, state in found.items() if state == "missing"} == {"ptp", "mue", "add_on"}
    assert found["icd10"] == found["thresholds"] == "covered" and found["rvu"] == "not_loaded"
    assert states(Reference.open(None), date(2027, 1, 1))["thresholds"] == "missing"


@pytest.mark.parametrize(
    ("today", "state"),
    [
        (date(2026, 9, 30), "missing"),
        (date(2026, 10, 1), "covered"),
        (date(2026, 12, 1), "covered"),  # December 31 is 30 days away
        (date(2026, 12, 2), "runs_out"),
        (date(2026, 12, 31), "runs_out"),
        (date(2027, 1, 1), "missing"),
    ],
)
def test_coverage_on_the_edges_of_a_quarter(tmp_path: Path, today: date, state: str) -> None:
    load(make.small_files(tmp_path), tmp_path / "reference")
    reference = Reference.open(tmp_path / "reference")
    assert states(reference, today)["ptp"] == states(reference, today)["rvu"] == state
    row = next(row for row in coverage(reference, today) if row.kind == "ptp")
    assert row.asks_for_a_person == (state != "covered") == bool(row.what_to_do)


def test_coverage_over_adjoining_quarters_and_gaps(tmp_path: Path) -> None:
    for number, version in ((1, "v320r0"), (3, "v322r0"), (4, "v323r0")):
        load(make.pair_zips(tmp_path, version=version, quarter=f"2026q{number}"), tmp_path / "reference")
    row = coverage(Reference.open(tmp_path / "reference"), date(2026, 9, 15))[0]
    assert (row.state, row.until, row.periods) == ("covered", date(2026, 12, 31), ("2026Q1", "2026Q3", "2026Q4"))
    assert row.gaps == ((date(2026, 4, 1), date(2026, 6, 30)),)


def test_a_small_table_in_memory_is_asked_as_a_loaded_one() -> None:
    maximum = Mue(code="97112", value=2, mai=3, source="")
    reference = reference_of(quarter(2026, 4), maximums=[maximum], name="own.csv")
    assert reference.mue("97112", ON).value == 2  # type: ignore[union-attr]
    assert "own.csv" in reference.source("mue", ON) and not reference.covers("ptp", ON)


def test_what_a_zip_holds_besides_is_named_and_left_alone(tmp_path: Path) -> None:
    report = load(make.small_files(tmp_path), tmp_path / "reference")
    assert {"readme.pdf", "GPCI2026.csv", "ccipra-v323r0-f1.xlsx"} <= set(report.ignored)
    assert zipfile.is_zipfile(tmp_path / "rvu26d.zip")
