"""What a file may not be, loader by loader, and a few edges that whole files seldom reach."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from ptbridge import plugins
from ptbridge.edits.cases import build_day, build_facts, read_cases
from ptbridge.errors import ConfigError
from ptbridge.model import Finding
from ptbridge.policy.codes import load_codes
from ptbridge.policy.payers import shipped_payers
from ptbridge.policy.reference import PairEdit, Reference, calendar_year, load, lookup, reference_of, sources
from ptbridge.policy.reference.days import day_of, packed_day, read_day
from ptbridge.policy.reference.index import INDEX
from ptbridge.policy.reference.packed import PackedTable, pack
from ptbridge.policy.reference.sources import open_sources
from ptbridge.policy.reference.therapy import read_therapy
from ptbridge.policy.reference.thresholds import read_thresholds
from tests import make_reference_files as make

ON = date(2026, 11, 2)
ADD_ON, ORDER, MAXIMUMS = "AOC_V2026Q4-MCR.txt", "icd10cm_order_2027.txt", "MCR_MUE_PractitionerServices_Eff_10-01-2026.csv"


def pair(column1: str, column2: str, indicator: int) -> PairEdit:
    return PairEdit(
        column1=column1,
        column2=column2,
        indicator=indicator,
        effective=date(2020, 1, 1),
        deletion=None,
        period="2026",
        source="",
    )


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (ADD_ON, make.add_on_text().replace("AOC_Edit_Type", "Kind"), "header was not found .* AOC_Edit_EffDT"),
        (ADD_ON, make.add_on_text().replace("AOC_Edit_DelDT", "Ended"), "header was not found .* AOC_Edit_DelDT"),
        (ADD_ON, make.add_on_text() + "97551\t\t97550\r\n", "AOC_V2026Q4-MCR.txt:5: 3 columns instead of 7"),
        (ADD_ON, make.add_on_text([("9755", "97550", "2024001", "1")]), "'9755' with '97550': not two codes"),
        (ADD_ON, make.add_on_text([("97551", "97550", "2024001", "4")]), "edit type '4'"),
        (ADD_ON, make.add_on_text([("97551", "97550", "2023366", "1")]), "a date cannot be read"),
        (ADD_ON, make.add_on_text([("97551", "97550", "1970-01", "1")]), "a date cannot be read"),
        (ORDER, make.icd10_text(make.ICD10[:4]), "2 billable codes; this is not a whole order file"),
        (MAXIMUMS, make.mue_text().replace("MUE Adjudication Indicator", "MAI"), "header was not found"),
        (MAXIMUMS, make.mue_text() + "97110,4\r\n", "2 columns instead of 3"),
        (MAXIMUMS, make.mue_text() + "9711,4,3 Date\r\n", "'9711' is not a code"),
        ("ccipra-v323r0.txt", "\r\n".join(make.pair_lines(make.PAIRS)).replace("Modifier", "Flag"), "header was not found"),
        ("codes2026.csv", make.therapy_text().replace("\r\n9", "\r\nx9"), "no row below the header"),
    ],
)
def test_a_file_that_is_not_what_its_header_says_is_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=says):
        load([tmp_path / name], tmp_path / "reference")
    assert not (tmp_path / "reference" / INDEX).exists()


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / ORDER).write_text(make.icd10_text().replace("\r\n", "\r\n\r\n"))
    (tmp_path / "ccipra-v323r0.txt").write_text("\r\n\r\n".join(make.pair_lines(make.PAIRS)) + "\r\n")
    (tmp_path / MAXIMUMS).write_text(make.mue_text() + "\r\n,,,\r\n")
    report = load([tmp_path / ORDER, tmp_path / "ccipra-v323r0.txt", tmp_path / MAXIMUMS], tmp_path / "reference")
    assert {entry.kind: entry.counts["rows"] for entry in report.loaded} == {"icd10": 14, "ptp": 13, "mue": 6}


def test_a_member_that_would_unpack_to_more_than_any_official_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make.zipped(tmp_path / "order.zip", {"folder/": "", f"folder/{ORDER}": make.icd10_text()})
    assert [text.name for text in open_sources([path]).texts] == [ORDER]
    monkeypatch.setattr(sources, "MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="no official file is that large"):
        open_sources([path])


def test_an_empty_text_and_a_broken_zip_directory(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ConfigError, match="none of the files"):
        load([tmp_path / "empty.txt"], tmp_path / "reference")
    path = make.zipped(tmp_path / "order.zip", {ORDER: make.icd10_text()})
    data = path.read_bytes()
    at = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[:at] + b"XX" + data[at + 2 :])
    with pytest.raises(ConfigError, match="Download it again"):
        load([path], tmp_path / "reference")


def test_a_therapy_list_without_its_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")
    (text,) = open_sources([tmp_path / "x.csv"]).texts
    with pytest.raises(ConfigError, match="always or sometimes therapy"):
        read_therapy(text)


@pytest.mark.parametrize("lines", [["year,group"], ["year,group,kx_cents,review_cents,source"]])
def test_a_threshold_table_without_rows_or_header(lines: list[str]) -> None:
    with pytest.raises(ConfigError):
        read_thresholds(lines, "t.csv")


def test_days_fit_into_two_bytes_or_are_refused() -> None:
    for day in (date(1980, 1, 1), date(1996, 1, 1), date(2026, 12, 31), date(2069, 1, 1), None):
        assert day_of(packed_day(day)) == day
    for outside in (date(1979, 12, 31), date(2070, 1, 1)):
        with pytest.raises(ValueError, match="is not between"):
            packed_day(outside)
    assert read_day("10/01/2026") == read_day("20261001") == read_day("2026274") == date(2026, 10, 1)
    assert read_day("2024366") == date(2024, 12, 31) and read_day(" * ") is None
    for wrong in ("2026366", "2026000", "20260230", "soon"):
        with pytest.raises(ValueError):
            read_day(wrong)


def test_an_index_of_another_version_or_kind_is_not_guessed_at(tmp_path: Path) -> None:
    load(make.pair_zips(tmp_path), tmp_path / "reference")
    index = tmp_path / "reference" / INDEX
    written = json.loads(index.read_text())
    editions = [{**written["editions"][0], "kind": "tarot"}]
    for wrong in ({**written, "version": 2}, {**written, "editions": editions}, {**written, "editions": [1]}):
        index.write_text(json.dumps(wrong))
        with pytest.raises(ConfigError, match="load the official files again"):
            Reference.open(tmp_path / "reference")


def test_a_look_up_file_of_another_machine_is_refused() -> None:
    data = pack([1], b"a", "=B", {})
    with pytest.raises(ConfigError, match="another kind of machine"):
        PackedTable(data.replace(b"little", b"BIGGER"), "x.bin")
    with pytest.raises(ValueError, match="3 bytes of records for 2 keys of 1"):
        pack([1, 2], b"abc", "=B", {})


def test_both_directions_in_force_is_the_stricter_one() -> None:
    both = [pair("97150", "97110", 1), pair("97110", "97150", 0)]
    reference = reference_of(calendar_year(2026), pairs=both)
    for one, other in (("97150", "97110"), ("97110", "97150")):
        found = reference.pair_between(one, other, ON)
        assert found is not None and (found.column1, found.indicator) == ("97110", 0)


def test_what_is_remembered_is_bounded_and_stays_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MOST_REMEMBERED", 3)
    reference = reference_of(calendar_year(2026), pairs=[pair("97150", "97110", 1)])
    for number in range(10):
        assert reference.pair("97150", "97110", ON) is not None
        assert reference.pair("97150", f"9700{number}", ON) is None


# ---------------------------------------------------------------- NC03


def found_by_nc03(row: str, settings: str = "") -> list[Finding]:
    (edit,) = [edit for edit in plugins.edits() if edit.code == "NC03"]
    codes, payers = load_codes(), shipped_payers()
    (case,) = read_cases(f"Cases (medicare_part_b)\n    97150-GP x1, 97110-GP x2 @30 | {row} -> ok")
    facts = build_facts(case, codes=codes, policies=payers, icd10=None)
    if settings:
        name, _, use = settings.partition("=")
        entry = payers["medicare_part_b"].settings["code_pairs"][0]
        changed = {
            **payers["medicare_part_b"].settings,
            name: (type(entry)(use=use, from_=date(2020, 1, 1), source="contract"),),
        }
        facts = replace(facts, policy=replace(payers["medicare_part_b"], settings=changed, _by_date={}))
    return list(edit.check(build_day(case, codes), facts))


def test_nc03_asks_whose_pairs_the_payer_applies() -> None:
    stated = "pairs=97150/97110 1"
    (finding,) = found_by_nc03(stated)
    assert finding.message == (
        "97150 and 97110 are a pair and neither carries 59 or XE, XP, XS, XU; column 1 is 97150"
        " (Medicare NCCI pair edits, practitioner, as stated (table), in force since 1996-01-01)"
    )
    assert found_by_nc03(stated, "code_pairs=none") == []
    assert found_by_nc03(stated, "code_pairs=medicaid") == []
    assert found_by_nc03(f"{stated} | on=none") == []


def test_nc03_puts_a_payer_s_own_pair_first() -> None:
    (finding,) = found_by_nc03("pairs=97150/97110 1", "own_pairs=97110 97150 0")
    assert finding.message.startswith("97110 and 97150 are a pair that no modifier lifts; column 1 is 97110 (the payer's own")
    assert len(found_by_nc03("on=2026-03-02", "own_pairs=97110 97150 0")) == 1
    assert found_by_nc03("on=2026-03-02", "own_pairs=97530 97150 0") == []


@pytest.mark.parametrize(("row", "says"), [("pairs=97150 1", "is not a pair"), ("maximums=97150 1", "is not a unit maximum")])
def test_a_case_that_cannot_be_read_says_how_to_write_it(row: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        found_by_nc03(row)
