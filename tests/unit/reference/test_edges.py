"""The edges of the loaders and look-ups: each is a place where a small wrong change once passed every other test."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import Reference, load, mue
from ptbridge.policy.reference.days import read_day
from ptbridge.policy.reference.headers import stacked
from ptbridge.policy.reference.kinds import period_of
from ptbridge.policy.reference.packed import PackedTable
from tests import make_reference_files as make

ON = date(2026, 11, 2)
THRESHOLDS = "year,group,kx_cents,review_cents,source\n"


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("latin-1"))
    return path


def test_a_threshold_table_of_two_years_speaks_for_both_and_stays_readable_text(tmp_path: Path) -> None:
    rows = [f"{year},{group},250000,300000,a source" for year in (2028, 2027) for group in ("PT_SLP", "OT")]
    (entry,) = load([written(tmp_path / "t.csv", THRESHOLDS + "\n".join(rows) + "\n")], tmp_path / "reference").loaded
    assert (entry.period.name, entry.period.first, entry.period.last) == ("2027-2028", date(2027, 1, 1), date(2028, 12, 31))
    assert entry.file.endswith(".csv")


def test_thresholds_cover_the_years_that_are_known() -> None:
    assert Reference().covers("thresholds", ON) is True
    assert Reference().covers("thresholds", date(2040, 1, 1)) is False


def test_the_first_part_may_not_be_missing_either(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of 4 parts these are not named: f1"):
        load(make.pair_zips(tmp_path)[1:], tmp_path / "reference")


def test_parts_are_listed_by_name_in_whatever_order_they_came(tmp_path: Path) -> None:
    first, second, third, fourth = make.pair_zips(tmp_path)
    folder = tmp_path / "reference"
    (entry,) = load([third, first, fourth, second], folder).loaded
    assert list(entry.texts) == sorted(entry.texts, key=str.lower) and len(entry.texts) == 4
    assert list(entry.sources) == sorted(entry.sources) and len(entry.sources) == 4
    assert PackedTable.open(folder / entry.file).about["period"] == "2026Q4"
    assert (folder / ".lock").stat().st_mode & 0o777 == 0o600


def test_names_that_contradict_each_other_are_told_in_order() -> None:
    with pytest.raises(ConfigError, match=r"\(2026Q1, 2026Q2, 2026Q3, 2026Q4\)"):
        period_of("ptp", ("2026q3", "2026q4", "2026q1", "2026q2"))


def test_any_month_names_its_quarter() -> None:
    found = [period_of("mue", (f"MUE_Eff_{month:02}-01-2026.csv",)) for month in range(1, 13)]
    assert [period.name[-1] for period in found if period] == list("111222333444")


def test_dates_with_dashes() -> None:
    assert read_day("10-01-2026") == date(2026, 10, 1)


def test_a_stacked_header_is_as_wide_as_its_widest_row() -> None:
    assert stacked([["a"], ["b", "c"]]) == ["A B", "C"]
    assert stacked([]) == []


def test_an_add_on_row_without_its_effective_date_is_in_force_and_a_cut_row_is_refused(tmp_path: Path) -> None:
    text = make.add_on_text([("97130", "97129", "", "1")])
    load([written(tmp_path / "AOC_V2026Q4-MCR.txt", text)], tmp_path / "reference")
    found = Reference.open(tmp_path / "reference").add_on("97130", ON)
    assert found is not None and found.primaries == {"97129"}
    cut = text.splitlines()[0] + "\r\n97130\t\t97129\t\t\t\r\n"
    with pytest.raises(ConfigError, match="6 columns instead of 7 or more"):
        load([written(tmp_path / "AOC_V2027Q1-MCR.txt", cut)], tmp_path / "reference")


def test_a_medicaid_table_is_known_by_mcd_at_the_beginning_of_its_name() -> None:
    head = make.mue_text().splitlines(keepends=True)
    assert mue.kind_of(head, ("MCD_MUE_Practitioner.csv",)) == "mue_medicaid"
    assert mue.kind_of(head, ("MCR_MUE_Practitioner.csv",)) == "mue"


def test_rows_that_are_cut_short_are_no_rows_of_a_relative_value_file(tmp_path: Path) -> None:
    text = make.rvu_text()
    row = next(line for line in text.splitlines() if line.startswith("97110"))
    cells = row.replace("97110", "97999", 1).split(",")
    cut = "\r\n".join(",".join(cells[:width]) for width in range(1, len(cells) - 1))
    path = written(tmp_path / "PPRRVU2026_Oct_nonQPP.csv", f"{text}{cut}\r\n")
    load([path], tmp_path / "reference", period="2026Q4")
    assert Reference.open(tmp_path / "reference").rvu("97110", ON) is not None


def test_a_load_says_how_many_rows_a_therapy_list_has(tmp_path: Path) -> None:
    path = written(tmp_path / "therapy_2026.csv", make.therapy_text())
    (entry,) = load([path], tmp_path / "reference", period="2026").loaded
    assert entry.counts["rows"] > 1


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    path = make.zipped(tmp_path / "aoc.zip", {"AOC_V2026Q4-MCR.txt": make.add_on_text()})
    data = bytearray(path.read_bytes())
    data[60:70] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"aoc\.zip: AOC_V2026Q4-MCR\.txt: cannot be read"):
        load([path], tmp_path / "reference")


def test_a_fiscal_year_may_be_said_by_a_person(tmp_path: Path) -> None:
    path = written(tmp_path / "codes.txt", make.icd10_text())
    (entry,) = load([path], tmp_path / "reference", period="FY2027").loaded
    assert entry.period.name == "FY2027"


def test_a_bad_second_code_after_a_known_first_one_is_refused(tmp_path: Path) -> None:
    rows = [("97110", "97150", "", "20200101", "*", "1"), ("97110", "9715", "", "20200101", "*", "1")]
    path = written(tmp_path / "pairs.txt", "\r\n".join(make.pair_lines(rows)) + "\r\n")
    with pytest.raises(ConfigError, match="'9715' is not a code"):
        load([path], tmp_path / "reference", period="2026Q4")


def test_a_member_that_is_no_text_is_named_once_as_left_alone(tmp_path: Path) -> None:
    path = make.zipped(tmp_path / "aoc.zip", {"AOC_V2026Q4-MCR.txt": make.add_on_text(), "readme.pdf": b"%PDF"})
    assert load([path], tmp_path / "reference").ignored == ("readme.pdf",)


def test_a_relative_value_of_nothing_is_not_an_absent_one(tmp_path: Path) -> None:
    row = ("97169", "", "A", "0.00", "0.10", "NA", "0.00", "0.10", "NA", "7", "5")
    path = written(tmp_path / "PPRRVU2026_Oct_nonQPP.csv", make.rvu_text(rows=[*make.RVUS, row]))
    load([path], tmp_path / "reference", period="2026Q4")
    found = Reference.open(tmp_path / "reference").rvu("97169", ON)
    assert found is not None and (found.work, found.practice_facility) == (0, None)
