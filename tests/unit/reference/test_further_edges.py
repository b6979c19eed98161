"""More edges of the loaders and look-ups, found by putting every small wrong change to the tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import SHIPPED, AddOn, Entry, PairEdit, Period, Reference, coverage, load, reference_of
from ptbridge.policy.reference.days import NEVER, day_of, packed_day, read_day
from ptbridge.policy.reference.kinds import calendar_year, fiscal_year, period_of, quarter
from ptbridge.policy.reference.packed import PackedTable
from ptbridge.policy.reference.ptp import windows
from ptbridge.policy.reference.shipped import shipped_add_on, shipped_pair
from ptbridge.policy.reference.thresholds import read_thresholds
from tests import make_reference_files as make

ON = date(2026, 11, 2)
HEAD = "year,group,kx_cents,review_cents,source\n"


def loaded(tmp_path: Path, name: str, text: str, **more: str) -> tuple[Entry, Reference]:
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    (entry,) = load([path], tmp_path / "reference", **more).loaded  # type: ignore[arg-type]
    return entry, Reference.open(tmp_path / "reference")


def thresholds(tmp_path: Path, *years: int) -> tuple[Entry, Reference]:
    rows = [f"{year},{group},250000,300000,a source" for year in years for group in ("PT_SLP", "OT")]
    return loaded(tmp_path, "t.csv", HEAD + "\n".join(rows) + "\n")


def pairs(tmp_path: Path, *rows: Sequence[str], header: Sequence[str] | None = None) -> tuple[Entry, Reference]:
    lines = list(make.pair_lines(rows)) if header is None else [*header, *("\t".join([*row, "-"]) for row in rows)]
    return loaded(tmp_path, "pairs.txt", "\r\n".join(lines), period="2026Q4")


# ---------------------------------------------------------------- add-on codes


def test_an_add_on_file_counts_its_rows_and_knows_type_3(tmp_path: Path) -> None:
    rows = [("97598", "97597", "2013091", "1"), ("97598", "11042", "2013091", "3"), ("99292", "CCCCC", "2013091", "2")]
    entry, reference = loaded(tmp_path, "AOC_V2026Q4-MCR.txt", make.add_on_text(rows))
    assert entry.counts["rows"] == 3
    found = reference.add_on("97598", ON)
    assert found is not None and found.by_contractor and found.primaries == {"97597", "11042"}
    assert reference.source("add_on", ON) == entry.cited
    assert Reference().source("add_on", ON) == SHIPPED


def test_a_deletion_column_at_the_end_may_be_cut_off(tmp_path: Path) -> None:
    names = ("Add-On_Code", "Primary_Code", "AOC_Edit_EffDT", "AOC_Edit_Type", "AOC_Edit_DelDT")
    rows = [("97598", "97597", "2013091", "1"), ("97546", "97545", "2013091", "1", "2020001")]
    text = "\r\n".join("\t".join(row) for row in (names, *rows)) + "\r\n"
    _, reference = loaded(tmp_path, "AOC_V2026Q4-MCR.txt", text)
    assert reference.add_on("97598", ON) is not None and reference.add_on("97546", ON) is None


def test_the_shipped_chain_leaves_nothing_to_the_contractor() -> None:
    assert shipped_add_on("97598", ON) == AddOn(
        code="97598", primaries=frozenset({"97597"}), by_contractor=False, source=SHIPPED
    )


# ---------------------------------------------------------------- what is covered


def two_periods(first: Period, second: Period) -> Reference:
    pair = PairEdit(column1="97140", column2="97530", indicator=1, effective=None, deletion=None, period="", source="")
    parts = [reference_of(one, pairs=[pair]) for one in (first, second)]
    return Reference([edition for part in parts for edition in part._editions["ptp"]])


def test_a_day_without_an_edition_is_a_gap_and_the_next_day_is_none() -> None:
    first = Period("a", date(2026, 1, 1), date(2026, 3, 31))
    for begins, until, gaps in (
        (date(2026, 4, 1), date(2026, 6, 30), ()),
        (date(2026, 4, 2), date(2026, 3, 31), ((date(2026, 4, 1), date(2026, 4, 1)),)),
    ):
        found = coverage(two_periods(first, Period("b", begins, date(2026, 6, 30))), date(2026, 2, 1))
        (pair,) = (one for one in found if one.kind == "ptp")
        assert (pair.until, pair.gaps) == (until, gaps)


@pytest.mark.parametrize(
    ("today", "state", "begins"),
    [
        (date(2026, 3, 1), "covered", ""),
        (date(2026, 12, 15), "runs_out", "Known until 2026-12-31. Write the amounts"),
        (date(2027, 1, 1), "missing", "Write the amounts of the next year"),
    ],
)
def test_the_thresholds_are_written_by_a_person(today: date, state: str, begins: str) -> None:
    (found,) = (one for one in coverage(Reference(), today) if one.kind == "thresholds")
    assert found.state == state and found.what_to_do.startswith(begins) and bool(found.what_to_do) == bool(begins)
    (pairs_,) = (one for one in coverage(Reference(), today) if one.kind == "ptp")
    assert pairs_.what_to_do.startswith("Download the current")


def test_years_and_fiscal_years_begin_and_end_where_they_do() -> None:
    assert calendar_year(2026) == Period("2026", date(2026, 1, 1), date(2026, 12, 31))
    assert fiscal_year(2026) == Period("FY2026", date(2025, 10, 1), date(2026, 9, 30))
    assert Reference().periods("thresholds")[0] == calendar_year(2021)


@pytest.mark.parametrize(("month", "number"), [("Jan", 1), ("Apr", 2), ("Jul", 3), ("Oct", 4)])
def test_a_relative_value_file_names_its_quarter_by_month(month: str, number: int) -> None:
    assert period_of("rvu", (f"PPRRVU2026_{month}_nonQPP.csv",)) == quarter(2026, number)


# ---------------------------------------------------------------- days and headers


def test_the_day_that_means_never_is_no_day() -> None:
    last = day_of(NEVER - 1)
    assert last is not None and packed_day(last) == NEVER - 1
    with pytest.raises(ValueError, match="is not between"):
        packed_day(date.fromordinal(last.toordinal() + 1))


@pytest.mark.parametrize("written", ["1/2/26x", "2026-1"])
def test_seven_characters_are_a_day_of_the_year_only_as_digits(written: str) -> None:
    with pytest.raises(ValueError, match=r"(invalid literal|unpack)"):
        read_day(written)
    assert read_day("1/2/202") == date(202, 1, 2)


# ---------------------------------------------------------------- thresholds


def test_years_are_in_order_and_the_entry_says_so(tmp_path: Path) -> None:
    entry, reference = thresholds(tmp_path, 2048, 2047)
    assert (entry.period.name, entry.counts["rows"]) == ("2047-2048", 4)
    assert [one.name for one in reference.periods("thresholds")][-2:] == ["2047", "2048"]
    assert reference.entries("thresholds") == (entry,)


def test_one_year_is_named_once_and_its_older_file_goes(tmp_path: Path) -> None:
    entry, _ = thresholds(tmp_path, 2027)
    assert entry.period.name == "2027"
    (tmp_path / "t.csv").write_text(HEAD + "2027,PT_SLP,1,2,s\n2027,OT,1,2,s\n")
    load([tmp_path / "t.csv"], tmp_path / "reference")
    assert len(list((tmp_path / "reference").glob("*.csv"))) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("year,group\n2027,OT\n", "the first line must be"),
        (HEAD + "2027,PT,1,2,s\n2027,OT,1,2,s\n", "group must be one of PT_SLP, OT"),
        (HEAD + "2027,PT_SLP,1,2,\n2027,OT,1,2,s\n", "source must say"),
    ],
)
def test_a_threshold_table_says_what_is_wrong(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_thresholds(text.splitlines(), "t.csv")


# ---------------------------------------------------------------- diagnoses


def test_ten_billable_codes_are_an_order_file_and_nine_are_none(tmp_path: Path) -> None:
    rows = [(f"M54{number}", 1) for number in range(10)]
    entry, _ = loaded(tmp_path, "icd10cm_order_2027.txt", make.icd10_text([("M54", 0), *rows]))
    assert entry.counts == {"rows": 11, "billable": 10}
    with pytest.raises(ConfigError, match="9 billable codes"):
        loaded(tmp_path, "icd10cm_order_2027.txt", make.icd10_text(rows[:9]))


def test_one_line_that_looks_like_an_order_file_makes_none(tmp_path: Path) -> None:
    text = "a title\r\n" + make.icd10_text()
    with pytest.raises(ConfigError, match="this is none of the files"):
        loaded(tmp_path, "icd10cm_order_2027.txt", text)


# ---------------------------------------------------------------- loading


def test_the_index_is_in_order_whatever_came_first(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "reference"
    (tmp_path / "t.csv").write_text(HEAD + "2027,PT_SLP,1,2,s\n2027,OT,1,2,s\n")
    load([tmp_path / "t.csv"], folder)
    load(make.pair_zips(tmp_path), folder)
    kinds = [one["kind"] for one in json.loads((folder / "index.json").read_bytes())["editions"]]
    assert kinds == ["ptp", "thresholds"]


def test_the_same_revision_may_be_loaded_again(tmp_path: Path) -> None:
    zips = make.pair_zips(tmp_path)
    first, second = (load(zips, tmp_path / "reference").loaded[0] for _ in range(2))
    assert first.sha256 == second.sha256
    assert PackedTable.open(tmp_path / "reference" / second.file).about["kind"] == "ptp"


def test_an_edition_of_two_texts_names_one_more(tmp_path: Path) -> None:
    entry = Entry(kind="ptp", period=quarter(2026, 4), file="", bytes=0, sha256="", sources=(), texts=("a.txt", "b.txt"))
    assert entry.cited.endswith("2026Q4 (a.txt and 1 more)")


def test_a_zip_may_have_folders_and_tab_texts(tmp_path: Path) -> None:
    mue = {"tables/": b"", "tables/MCR_MUE_PractitionerServices_Eff_10-01-2026.tsv": make.mue_text()}
    report = load([make.zipped(tmp_path / "mue.zip", mue)], tmp_path / "reference")
    assert [entry.kind for entry in report.loaded] == ["mue"] and report.ignored == ()


def test_one_name_that_says_medicaid_is_enough(tmp_path: Path) -> None:
    table = {"MUE_PractitionerServices.csv": make.mue_text()}
    path = make.zipped(tmp_path / "medicaid-ncci-2026-q4-mue-table.zip", table)
    assert [entry.kind for entry in load([path], tmp_path / "reference").loaded] == ["mue_medicaid"]


# ---------------------------------------------------------------- pairs


def test_what_is_no_pair_of_codes_is_in_no_table(tmp_path: Path) -> None:
    _, reference = pairs(tmp_path, *make.PAIRS)
    assert reference.pair("97-10", "97140", ON) is None
    assert reference.pair("97140", "97-10", ON) is None


FLAT = "\t".join(
    ("Column 1", "Column 2", "* = in existence", "Effective Date", "Deletion Date", "Modifier", "PTP Edit Rationale")
)


def test_a_header_of_one_row_is_followed_by_data(tmp_path: Path) -> None:
    rows = [("97150", "97110", "", "20201001", "*", "1"), ("97150", "97112", "", "20201001", "*", "1")]
    entry, reference = pairs(tmp_path, *rows, header=[FLAT])
    assert entry.counts["rows"] == 2 and reference.pair("97150", "97110", ON) is not None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("", "97110", "", "20201001", "*", "1"), "'' is not a code"),
        (("9714", "97110", "", "20201001", "*", "1"), "'9714' is not a code"),
        (("97150", "9711", "", "20201001", "*", "1"), "'9711' is not a code"),
    ],
)
def test_a_code_that_is_none_is_refused_though_the_other_is_known(tmp_path: Path, row: Sequence[str], said: str) -> None:
    good = ("97150", "97110", "", "20201001", "*", "1")
    with pytest.raises(ConfigError, match=rf"pairs\.txt:\d+: {said}"):
        pairs(tmp_path, good, row)


def test_a_row_that_is_cut_before_its_indicator_is_refused(tmp_path: Path) -> None:
    text = "\r\n".join([FLAT, "97150\t97110\t\t20201001\t*"])
    with pytest.raises(ConfigError, match=r"pairs\.txt:2: 5 columns instead of 6 or more"):
        loaded(tmp_path, "pairs.txt", text, period="2026Q4")


def test_only_the_same_pair_comes_back(tmp_path: Path) -> None:
    rows = [
        ("97110", "97112", "", "20000101", "20191231", "1"),
        ("97110", "97113", "", "20200101", "*", "1"),
        ("97110", "97116", "", "20000101", "20191231", "1"),
        ("97110", "97116", "", "20191231", "*", "0"),
    ]
    entry, _ = pairs(tmp_path, *rows)
    assert (entry.counts["back_next_day"], entry.counts["back_same_day"]) == (0, 1)


def test_of_two_rows_that_begin_together_the_stricter_comes_first() -> None:
    start, sooner, later = (packed_day(date(year, 1, 1)) for year in (2020, 2027, 2030))
    records = [(start << 16 | sooner << 1 | 1,), (start << 16 | later << 1,)]
    assert [indicator for _, _, indicator in windows(records, ON)] == [0, 1]


def test_the_shipped_levels_begin_with_the_codes() -> None:
    found = shipped_pair("97162", "97161", date(2017, 1, 1))
    assert found is not None and found.period == "shipped"
    assert shipped_pair("97162", "97161", date(2016, 12, 31)) is None


# ---------------------------------------------------------------- relative values, therapy list

DISTINCT = ("97112", "", "A", ".50", ".47", ".46", ".01", ".98", ".97", "7", "5")


def test_each_relative_value_is_its_own(tmp_path: Path) -> None:
    entry, reference = loaded(
        tmp_path, "PPRRVU2026_Oct_nonQPP.csv", make.rvu_text(rows=[*make.RVUS, DISTINCT]), period="2026Q4"
    )
    found = reference.rvu("97112", ON)
    assert found is not None and found.source == entry.cited
    assert (found.work, found.practice_non_facility, found.practice_facility, found.malpractice) == (50, 47, 46, 1)
    assert (found.total_non_facility, found.total_facility) == (98, 97)
    assert entry.counts == {"rows": 5}


def test_a_bad_relative_value_names_its_line(tmp_path: Path) -> None:
    text = make.rvu_text(rows=[*make.RVUS, (*DISTINCT[:3], "half", *DISTINCT[4:])])
    line = next(number for number, row in enumerate(text.splitlines(), 1) if "half" in row)
    with pytest.raises(ConfigError, match=rf"nonQPP\.csv:{line}: 97112: a relative value is not a number"):
        loaded(tmp_path, "PPRRVU2026_Oct_nonQPP.csv", text)


@pytest.mark.parametrize(("year", "refused"), [(2017, False), (2018, True), (2026, True), (2027, False)])
def test_the_known_work_value_is_that_of_its_years(tmp_path: Path, year: int, refused: bool) -> None:
    rows = [("97110", "", "A", ".44", ".41", ".41", ".01", ".86", ".86", "7", "5")]
    name = f"PPRRVU{year}_Oct_nonQPP.csv"
    if refused:
        with pytest.raises(ConfigError, match="The columns have moved"):
            loaded(tmp_path, name, make.rvu_text(rows=rows))
    else:
        assert loaded(tmp_path, name, make.rvu_text(rows=rows))[0].kind == "rvu"


def test_a_therapy_list_reads_only_whole_rows_below_its_header(tmp_path: Path) -> None:
    text = make.therapy_text() + "97112\r\n97140,x\r\n"
    entry, reference = loaded(tmp_path, "TherapyCodeList2026.csv", text)
    assert entry.counts["rows"] == 4
    found = reference.therapy("97110", ON)
    assert found is not None and found.always and found.source == entry.cited
    assert reference.therapy("97140", ON) is None


# ---------------------------------------------------------------- what is remembered


def test_what_is_remembered_is_what_would_be_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("ptbridge.policy.reference.lookup.MOST_REMEMBERED", 1)
    _, reference = pairs(tmp_path, *make.PAIRS)
    asked = [frozenset({"97150", "97110"}), frozenset({"97140", "97530"}), frozenset({"97150", "97110", "97124", "97140"})]
    expected = [[("97150", "97110")], [], [("97150", "97110"), ("97124", "97140")]]
    for _ in range(2):
        found = [sorted((one.column1, one.column2) for one in reference.pairs_among(codes, ON)) for codes in asked]
        assert found == [sorted(one) for one in expected]
    assert [one.column1 for one in reference.pairs_among(asked[1], date(2019, 12, 31))] == []
    assert reference.mue("97112", ON) == reference.mue("97112", ON)
    assert (reference.mue("97112", ON, program="medicaid"), reference.mue("97010", ON)) == (None, Reference().mue("97010", ON))
