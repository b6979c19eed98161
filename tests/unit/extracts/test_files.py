"""One file checked and cut: columns, control totals, trailers, strays; and profiles that cannot work."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError, PeerUnavailable
from ptbridge.specs.extract import profile_of
from ptbridge.specs.mapping_files import load_mapping
from ptbridge.wire.extract_file import ExtractFile, cut
from ptbridge.wire.extract_folder import ExtractFolder, read_file
from ptbridge.wire.extract_merge import lines_of, version_of
from ptbridge.wire.extract_profile import ControlTotals, ExtractProfile
from ptbridge.wire.extract_rows import BrokenFile

COLUMNS = (("visit",), ("charge",), ("day", "date"), ("cpt",))
HEADING = "visit,charge,day,cpt,units,amount\n"
ROWS = "V1,1,2026-11-19,97110,2,88.00\nV2,2,2026-11-19,97140,1,$41.00\nV1,3,2026-11-19,97112,1,46.00\n"


def profile(**changes: object) -> ExtractProfile:
    fields = {"visit_column": "visit", "charge_column": "charge", "date_column": "day", "columns": COLUMNS}
    return ExtractProfile(**(fields | changes))


def taken(text: str, *, sidecar: bytes | None = None, name: str = "charges.csv", **changes: object) -> ExtractFile:
    return cut(name, text.encode(), profile(**changes), sidecar)


def totals(**fields: object) -> ControlTotals:
    return ControlTotals(**({"place": "sidecar"} | fields))


def test_rows_of_a_visit_come_together_in_the_order_of_the_file() -> None:
    file = taken(HEADING + ROWS)
    assert {visit: [row.line for row in rows] for visit, rows in file.visits.items()} == {"V1": [2, 4], "V2": [3]}
    assert file.heading == HEADING.encode() and b"".join(row.raw for row in file.visits["V1"]).count(b"V1") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("visit,charge,cpt\n", "the columns 'day or date' are missing"),
        ("visit,charge,day,cpt,cpt\n", "the columns 'cpt' stand twice"),
    ],
)
def test_a_heading_that_cannot_be_right_refuses_the_file(text: str, said: str) -> None:
    with pytest.raises(BrokenFile, match=said):
        taken(text)


SUMS = {"units": "units", "amount": "total"}


@pytest.mark.parametrize("sidecar", [b'{"n": 3, "v": 2, "units": 4, "total": "175.00"}', b"n,v,units,total\n3,2,4,175\n"])
def test_control_totals_that_agree_let_the_file_in(sidecar: bytes) -> None:
    assert taken(HEADING + ROWS, sidecar=sidecar, totals=totals(rows="n", visits="v", sums=SUMS)).visits


@pytest.mark.parametrize(
    ("sidecar", "said"),
    [
        (b'{"n": 4, "v": 2, "units": 4, "total": 175}', "rows: 4 stated, 3 counted"),
        (b'{"n": 3, "v": 3, "units": 4, "total": 175}', "visits: 3 stated, 2 counted"),
        (b'{"n": 3, "v": 2, "units": 4, "total": 175.01}', "the sum of amount: 175.01 stated, 175.00 counted"),
        (b'{"n": 3, "v": 2, "units": 4}', "the sum of amount is not stated"),
        (b'{"n": 3', "not readable as JSON"),
        (b"n,v\n3\n", "not a heading line and one line of values"),
    ],
)
def test_control_totals_that_differ_refuse_it_and_say_what(sidecar: bytes, said: str) -> None:
    with pytest.raises(BrokenFile, match=said):
        taken(HEADING + ROWS, sidecar=sidecar, totals=totals(rows="n", visits="v", sums=SUMS))


def test_an_amount_that_is_no_number_cannot_be_checked() -> None:
    with pytest.raises(BrokenFile, match="line 3: amount is no number"):
        taken(HEADING + ROWS.replace("$41.00", "n/a"), sidecar=b'{"total": 1}', totals=totals(sums={"amount": "total"}))


def test_a_trailer_is_the_last_row_or_the_file_is_refused() -> None:
    trailer = totals(place="trailer", mark="TRL", rows="2", sums={"units": "3"})
    assert len(taken(f"{HEADING}{ROWS}TRL,3,4\n", totals=trailer).visits) == 2
    for text in (HEADING + ROWS, f"{HEADING}TRL,3,4\n{ROWS}", f"{HEADING}{ROWS}TRL,3,4\nTRL,3,4\n"):
        with pytest.raises(BrokenFile, match="only TRL row"):
            taken(text, totals=trailer)
    with pytest.raises(BrokenFile, match="rows: 9 stated, 3 counted"):
        taken(f"{HEADING}{ROWS}TRL,9,4\n", totals=trailer)


def test_a_damaged_row_goes_to_its_visit_if_that_is_there_and_is_a_stray_otherwise() -> None:
    file = taken(f"{HEADING}{ROWS}V1,4,2026-11-19\nV9,5\n9.1E+5,6,2026-11-19,97110,1,1\n,7,2026-11-19,97110,1,1\n")
    assert [row.line for row in file.visits["V1"]] == [2, 4, 5]
    assert [stray.key for stray in file.strays[1:]] == ["row:6", "row:7"] and file.strays[0].key.startswith("row:")
    assert [stray.reason.partition(". ")[0] for stray in file.strays] == [
        "line 6: it has 2 cells where the heading has 6",
        "line 7: visit is a number that a spreadsheet rewrote",
        "line 8: visit is empty",
    ]


def test_empty_cells_beyond_the_heading_do_no_harm() -> None:
    assert taken(f"{HEADING}V1,1,2026-11-19,97110,1,1,,\n").strays == ()


def test_file_and_lines_of_a_record_can_be_read_back() -> None:
    file = taken(HEADING + ROWS, name="a;b:c.csv")
    version = version_of(file.name, file.visits["V1"])
    assert version == "a_b:c.csv:2,4" and lines_of(f"{version};d.csv:7") == ["a_b:c.csv:2", "a_b:c.csv:4", "d.csv:7"]


# ---------------------------------------------------------------- profiles


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("extract: {holds: changed-rows, absent: gone}", "extract.absent: 'gone' needs `holds: all`"),
        ("extract: {holds: all, absent: gone}", "'gone' needs `control_totals`: a file that was cut off would void"),
        ("extract: {dates: [MM/DD/YY]}", "extract.dates: 'MM/DD/YY' is not known"),
        ("extract: {charset: utf-16}", "extract.charset: 'utf-16' is not one that contains ASCII"),
        ("extract: {charset: klingon}", "extract.charset: 'klingon' is not known"),
        ("extract: {control_totals: {place: sidecar}}", "extract.control_totals: checks nothing"),
        ("extract: {delimiter: colon}", "extract.delimiter: 'colon' is not one of"),
        ("visit: {visit_id: {take: [a, b]}}", "visit.visit_id: takes 2 columns"),
        ("visit: {discipline: {take: a.exists() | b}}", "visit.discipline: 'a.exists() | b' is not readable"),
    ],
)
def test_a_profile_that_cannot_work_is_refused_with_file_and_line(tmp_path: Path, section: str, said: str) -> None:
    from ptbridge.intake import compile_mapping

    path = tmp_path / "own.yaml"
    path.write_text(f"mapping: own\nextends: emrs/webpt_extract\n{section}\n")
    with pytest.raises(ConfigError) as caught:
        compile_mapping(load_mapping(path))
    assert said in str(caught.value) and f"{path}:3" in str(caught.value)


def test_every_column_of_the_mapping_is_needed_but_those_that_are_optional() -> None:
    profile = profile_of(load_mapping("emrs/webpt_extract"))
    needed = {column for group in profile.columns for column in group}
    assert {"record_pointer", "cpt", "units", "cpt_modifier", "note_finalized_date", "therapist_id"} <= needed
    assert "record_id" not in needed and "cpt_suffix" not in needed and "cpt_suffix" in profile.optional


# ---------------------------------------------------------------- the folder


NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def folder(path: Path, sidecar: str | None = None, **options: str) -> ExtractFolder:
    return ExtractFolder(path, {"folder": ".", **options}, sidecar_ending=sidecar)


def put(path: Path, age_seconds: float = 3600, text: str = "x") -> Path:
    path.write_text(text)
    os.utime(path, (NOW.timestamp() - age_seconds,) * 2)
    return path


def test_a_file_that_may_still_grow_waits(tmp_path: Path) -> None:
    put(tmp_path / "old.csv")
    put(tmp_path / "young.csv", 5)
    put(tmp_path / "ahead.csv", -5)
    put(tmp_path / "upload.csv.part")
    put(tmp_path / ".hidden.csv")
    put(tmp_path / "notes.pdf")
    assert [found.name for found in folder(tmp_path).arrivals(NOW)] == ["old.csv"]
    assert folder(tmp_path).unfinished(NOW) == 2
    assert [found.name for found in folder(tmp_path).arrivals(NOW + timedelta(minutes=2))] == [
        "ahead.csv",
        "old.csv",
        "young.csv",
    ]


def test_a_marker_says_that_a_young_file_is_complete(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", 0)
    put(tmp_path / "b.csv", 0)
    put(tmp_path / "b.csv.done", 0)
    (found,) = folder(tmp_path, marker=".done").arrivals(NOW)
    assert found.name == "b.csv"
    folder(tmp_path, marker=".done").processed(found)
    assert sorted(path.name for path in (tmp_path / "processed").iterdir()) == ["b.csv", "b.csv.done"]


def test_order_is_by_name_or_by_time(tmp_path: Path) -> None:
    put(tmp_path / "b.csv", 900)
    put(tmp_path / "a.csv", 300)
    assert [found.name for found in folder(tmp_path).arrivals(NOW)] == ["a.csv", "b.csv"]
    assert [found.name for found in folder(tmp_path, order="time").arrivals(NOW)] == ["b.csv", "a.csv"]


def test_a_name_that_was_used_before_does_not_overwrite(tmp_path: Path) -> None:
    for text in ("first", "second"):
        put(tmp_path / "a.csv", text=text)
        (found,) = folder(tmp_path).arrivals(NOW)
        folder(tmp_path).refused(found, "because")
    kept = {path.name: path.read_text() for path in (tmp_path / "errors").iterdir()}
    assert kept == {
        "a.csv": "first", "a.csv.reason.txt": "because\n", "a-2.csv": "second", "a-2.csv.reason.txt": "because\n"
    }  # fmt: skip


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    real = put(tmp_path / "real.txt")
    link = tmp_path / "link.csv"
    link.symlink_to(real)
    with pytest.raises(BrokenFile, match="cannot be opened"):
        read_file(link)


@pytest.mark.parametrize(
    "options", [{"order": "size"}, {"settle_seconds": "soon"}, {"processed": "../elsewhere"}, {"errors": ""}, {"folder": ""}]
)
def test_options_that_cannot_work_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"source\.options\."):
        folder(tmp_path, **options)


def test_a_folder_that_is_not_there_is_the_other_side_s_trouble(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="Is it mounted"):
        folder(tmp_path / "gone").arrivals(NOW)
