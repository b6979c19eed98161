"""Each loader on a synthetic file in the official layout, and on what must be refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy.reference import SHIPPED, PairEdit, Reference, load
from ptbridge.policy.reference.kinds import KINDS, period_named, period_of
from ptbridge.policy.reference.rvu import kind_of as rvu_kind
from ptbridge.policy.thresholds import threshold_of
from tests import make_reference_files as make

ON = date(2026, 11, 2)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything of 2026 Q4, loaded."""
    folder = tmp_path_factory.mktemp("config") / "reference"
    load(make.small_files(tmp_path_factory.mktemp("downloads")), folder)
    return folder


@pytest.fixture(scope="module")
def reference(loaded: Path) -> Reference:
    return Reference.open(loaded)


def one_file(tmp_path: Path, name: str, text: str, **more: str) -> Reference:
    """Load one text file into a fresh folder."""
    path = tmp_path / name
    path.write_bytes(text.encode("latin-1"))
    load([path], tmp_path / "reference", **more)  # type: ignore[arg-type]
    return Reference.open(tmp_path / "reference")


def pairs(tmp_path: Path, *rows: tuple[str, str, str, str, str, str], medicaid: bool = False) -> Reference:
    text = "\r\n".join(make.pair_lines(rows, medicaid=medicaid))
    return one_file(tmp_path, "pairs.txt", text, period="2026Q4")


# ---------------------------------------------------------------- pairs


@pytest.mark.parametrize(
    ("one", "other", "on", "found"),
    [
        ("97110", "97150", ON, ("97150", "97110", 1)),
        ("97161", "97162", ON, ("97162", "97161", 0)),
        ("97140", "97530", ON, None),  # deleted 2019-12-31
        ("97116", "97530", ON, None),  # the later row has indicator 9
        ("97161", "97140", ON, None),  # indicator 9 only
        ("97161", "99203", ON, None),  # deleted on the day it begins
        ("97032", "G0283", date(2026, 11, 15), ("G0283", "97032", 1)),  # the deletion day itself
        ("97032", "G0283", date(2026, 11, 16), None),
        ("97124", "97140", ON, ("97124", "97140", 1)),  # the row in force, not the older one with 0
        ("97110", "97112", ON, None),
        ("97110", "97110", ON, None),
        ("nonsense", "97110", ON, None),
    ],
)
def test_pair_between_is_found_from_either_side(
    reference: Reference, one: str, other: str, on: date, found: tuple[str, str, int] | None
) -> None:
    for first, second in ((one, other), (other, one)):
        pair = reference.pair_between(first, second, on)
        assert (pair and (pair.column1, pair.column2, pair.indicator)) == found


def test_pair_is_directional_and_carries_its_dates_and_its_file(reference: Reference) -> None:
    assert reference.pair("97110", "97150", ON) is None
    assert reference.pair("97150", "97110", ON) == PairEdit(
        column1="97150",
        column2="97110",
        indicator=1,
        effective=date(2020, 10, 1),
        deletion=None,
        period="2026Q4",
        source="Medicare NCCI pair edits, practitioner, 2026Q4 (ccipra-v323r0-f1.TXT and 3 more)",
    )
    ends = reference.pair("G0283", "97032", ON)
    assert ends is not None and ends.deletion == date(2026, 11, 15)


def test_history_rows_speak_for_their_own_dates(tmp_path: Path) -> None:
    """A quarter long ago: the same pair with indicator 0, then on the next day with 1."""
    text = "\r\n".join(make.pair_lines(make.PAIRS))
    reference = one_file(tmp_path, "pairs.txt", text, period="2005Q4")
    assert [reference.pair("97124", "97140", date(2005, 12, 31))][0].indicator == 0  # type: ignore[union-attr]
    (tmp_path / "pairs.txt").write_text(text)
    load([tmp_path / "pairs.txt"], tmp_path / "reference", period="2006Q1")
    newer = Reference.open(tmp_path / "reference")
    assert newer.pair("97124", "97140", date(2006, 1, 1)).indicator == 1  # type: ignore[union-attr]
    assert newer.pair("97140", "97530", date(2006, 1, 1)).deletion == date(2019, 12, 31)  # type: ignore[union-attr]


def test_of_two_rows_in_force_the_newer_counts_and_of_one_age_the_stricter(tmp_path: Path) -> None:
    reference = pairs(
        tmp_path,
        ("97150", "97110", "", "20200101", "*", "0"),
        ("97150", "97110", "", "20210101", "*", "1"),
        ("97150", "97112", "", "20200101", "*", "1"),
        ("97150", "97112", "", "20200101", "20301231", "0"),
    )
    newer, stricter = reference.pair("97150", "97110", ON), reference.pair("97150", "97112", ON)
    assert newer is not None and (newer.indicator, newer.effective) == (1, date(2021, 1, 1))
    assert stricter is not None and stricter.indicator == 0


def test_medicaid_files_lack_the_third_column_and_are_asked_for_by_name(tmp_path: Path) -> None:
    reference = pairs(tmp_path, ("97150", "97110", "", "20200101", "*", "0"), medicaid=True)
    assert reference.pair_between("97110", "97150", ON, program="medicaid") is not None
    assert reference.pair_between("97110", "97150", ON) is None
    assert reference.covers("ptp_medicaid", ON) and not reference.covers("ptp", ON)


def test_a_quarter_answers_for_its_own_service_dates_only(reference: Reference) -> None:
    assert reference.covers("ptp", date(2026, 10, 1)) and reference.covers("ptp", date(2026, 12, 31))
    for on in (date(2026, 9, 30), date(2027, 1, 1)):
        assert not reference.covers("ptp", on)
        assert reference.pair_between("97110", "97150", on) is None
        assert reference.source("ptp", on) == SHIPPED


def test_how_pairs_come_back_is_counted(loaded: Path) -> None:
    (entry,) = Reference.open(loaded).entries("ptp")
    assert entry.counts == {
        "rows": 13,
        "indicator_9": 3,
        "never_active": 1,
        "pairs_kept": 9,
        "back_next_day": 1,
        "back_same_day": 0,
    }


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("9715", "97110", "", "20200101", "*", "0"), "is not a code"),
        (("97150", "97110", "", "20201301", "*", "0"), "is not a date"),
        (("97150", "97110", "", "*", "*", "0"), "effective date is absent"),
        (("97150", "97110", "", "20200101", "*", "2"), "is not 0, 1 or 9"),
    ],
)
def test_a_pair_row_that_cannot_be_read_refuses_the_whole_file(
    tmp_path: Path, row: tuple[str, str, str, str, str, str], says: str
) -> None:
    good = ("97162", "97161", "", "20170101", "*", "0")
    with pytest.raises(ConfigError, match=rf"^pairs.txt:8: .*{says}"):
        pairs(tmp_path, good, row)
    assert not (tmp_path / "reference" / "index.json").exists()


def test_a_cut_row_and_a_cut_file_are_refused(tmp_path: Path) -> None:
    lines = list(make.pair_lines(make.PAIRS))
    with pytest.raises(ConfigError, match="2 columns instead of 6"):
        one_file(tmp_path, "cut.txt", "\n".join([*lines, "97150\t97110"]), period="2026Q4")
    with pytest.raises(ConfigError, match="no row of this file was ever active"):
        one_file(tmp_path, "cut.txt", "\n".join(lines[:6]), period="2026Q4")


def test_the_hospital_s_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hospital's pair edits"):
        one_file(tmp_path, "ccioph-v323r0-f1.txt", "\n".join(make.pair_lines(make.PAIRS)))


# ---------------------------------------------------------------- the other tables


def test_unit_maximums(reference: Reference, tmp_path: Path) -> None:
    found = reference.mue("97530", ON)
    assert found is not None and (found.value, found.mai) == (5, 3)
    assert "2026Q4" in found.source and "MCR_MUE" in found.source
    assert reference.mue("97010", ON).value == 0  # type: ignore[union-attr]
    assert reference.mue("97113", ON) is None  # absent from the loaded table: unknown, not the shipped value
    with pytest.raises(ConfigError, match="not the practitioner table"):
        one_file(tmp_path, "mue.csv", make.mue_text(service="Outpatient Hospital Services"), period="2026Q4")
    with pytest.raises(ConfigError, match=r"mue.csv:4: .*97110: units 'six'"):
        one_file(tmp_path, "mue.csv", make.mue_text([("97161", 1, "2"), ("97110", "six", "3 Date")]), period="2026Q4")  # type: ignore[list-item]


def test_medicaid_unit_maximums_are_known_by_their_name(tmp_path: Path) -> None:
    reference = one_file(tmp_path, "medicaid-ncci-2026q4-practitioner-mue.csv", make.mue_text())
    assert reference.mue("97530", ON, program="medicaid").value == 5  # type: ignore[union-attr]
    assert reference.mue("97530", ON).source == SHIPPED  # type: ignore[union-attr]


def test_add_on_codes(reference: Reference) -> None:
    found = reference.add_on("97130", ON)
    assert found is not None and found.primaries == {"97129"} and not found.by_contractor
    assert reference.add_on("99292", ON).by_contractor  # type: ignore[union-attr]
    assert reference.add_on("99292", ON).primaries == frozenset()  # type: ignore[union-attr]
    assert reference.add_on("97110", ON) is None


def test_an_add_on_edit_that_begins_later_or_has_ended_does_not_count(tmp_path: Path) -> None:
    rows = [("97130", "97129", "2026305", "1"), ("97598", "97597", "2013091", "1")]
    text = make.add_on_text(rows).replace("97598\t\t97597\t", "97598\t2026300\t97597\t")
    reference = one_file(tmp_path, "AOC_V2026Q4-MCR.txt", text)
    assert reference.add_on("97130", date(2026, 10, 31)) is None and reference.add_on("97130", date(2026, 11, 1))
    assert reference.add_on("97598", date(2026, 10, 27)) and reference.add_on("97598", date(2026, 10, 28)) is None


def test_the_earlier_of_two_deletions_ends_an_add_on_edit(tmp_path: Path) -> None:
    text = "\r\n".join([make.add_on_text().split("\r\n")[0], "97130\t2026320\t97129\t\t2020001\t2026300\t1\tnote", ""])
    reference = one_file(tmp_path, "AOC_V2026Q4-MCR.txt", text)
    assert reference.add_on("97130", date(2026, 10, 27)) and reference.add_on("97130", date(2026, 10, 28)) is None


def test_relative_values_and_both_factors(reference: Reference) -> None:
    row = reference.rvu("97110", ON)
    assert row is not None
    assert (row.work, row.practice_non_facility, row.malpractice, row.total_non_facility) == (45, 41, 1, 87)
    assert (row.status, row.pctc, row.global_days, row.multiple_procedure, row.factor) == ("A", "7", "XXX", "5", 334009)
    assert reference.rvu("97110", ON, qualifying=True).factor == 335675  # type: ignore[union-attr]
    assert reference.rvu("97010", ON).practice_facility is None  # type: ignore[union-attr]
    assert reference.rvu("77067", ON) is None
    assert reference.rvu("77067", ON, modifier="26").work == 76  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ((".45,.41", ".44,.41"), "expected work 0.45"),
        (("0.00,0.00,0.00,5,", "0.00,0.00,0.00,0,"), "MULT PROC '0'"),
        ((",.87,.87,", ",.88,.87,"), "total 0.88"),
        ((".45,.41,,.41,,.01,.87,.87", ".46,.41,,.41,,.01,.88,.88"), "97110 reads as work 0.46, total 0.88"),
        (("97110", "97111"), "no row of 97110"),
        (("MP,NON-FAC", "XX,NON-FAC"), "not found: malpractice"),
        ((",.45,", ",n/a,"), "not a number"),
    ],
)
def test_a_relative_value_file_with_moved_columns_is_refused(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    text = make.rvu_text()
    assert change[0] in text
    with pytest.raises(ConfigError, match=says):
        one_file(tmp_path, "PPRRVU2026_Jul_nonQPP.csv", text.replace(*change))


def test_the_known_work_value_is_of_known_years_only(tmp_path: Path) -> None:
    text = make.rvu_text().replace(".45,.41,,.41,,.01,.87,.87", ".44,.41,,.41,,.01,.86,.86")
    reference = one_file(tmp_path, "PPRRVU2027_Jan_nonQPP.csv", text)
    assert reference.rvu("97110", date(2027, 2, 1)).work == 44  # type: ignore[union-attr]


def test_which_factor_a_relative_value_file_is_for() -> None:
    head = make.rvu_text().splitlines()
    assert rvu_kind(head, ("PPRRVU2026_Jul_nonQPP.csv",)) == "rvu"
    assert rvu_kind(head, ("PPRRVU2026_Jul_non-QPP.csv",)) == "rvu"
    assert rvu_kind(head, ("PPRRVU2026_Jul_QPP.csv",)) == "rvu_qpp"


def test_therapy_dispositions(reference: Reference, tmp_path: Path) -> None:
    assert reference.therapy("97110", ON).always  # type: ignore[union-attr]
    assert not reference.therapy("97597", ON).always  # type: ignore[union-attr]
    assert reference.therapy("99213", ON) is None
    assert reference.therapy("97110", date(2025, 11, 2)) is None
    with pytest.raises(ConfigError, match=r":4: disposition 'Perhaps' says neither"):
        one_file(tmp_path, "codes2026.csv", make.therapy_text().replace("Always therapy", "Perhaps"))
    with pytest.raises(ConfigError, match="none of the files that ptbridge reads"):
        one_file(tmp_path, "codes2026.csv", make.therapy_text().replace("Disposition", "Note"))


def test_diagnosis_codes(reference: Reference, tmp_path: Path) -> None:
    assert reference.icd10("M54.50", ON) is True and reference.icd10("M5450", ON) is True
    assert reference.icd10("M54.5", ON) is False  # a heading
    assert reference.icd10("M54.99", ON) is False
    assert reference.icd10("not a code", ON) is False
    assert reference.icd10("M54.50", date(2026, 9, 30)) is None  # fiscal year 2027 begins on October 1
    with pytest.raises(ConfigError, match=r"icd10cm_order_2027.txt:15: not a row of the order file"):
        one_file(tmp_path, "icd10cm_order_2027.txt", make.icd10_text() + "end\n")


def test_an_april_release_takes_over_from_april(tmp_path: Path) -> None:
    one_file(tmp_path, "icd10cm_order_2027.txt", make.icd10_text())
    reference = one_file(tmp_path, "icd10cm-order-April-2027.txt", make.icd10_text([*make.ICD10, ("U999", 1)]))
    assert reference.icd10("U99.9", date(2027, 3, 31)) is False and reference.icd10("U99.9", date(2027, 4, 1)) is True


def test_thresholds_are_data_by_year(reference: Reference, tmp_path: Path) -> None:
    assert reference.threshold("PT_SLP", 2026).kx_cents == 248_000  # type: ignore[union-attr]
    assert reference.threshold("OT", 2021).kx_cents == 211_000  # type: ignore[union-attr]
    assert reference.threshold("OT", 2027) is None and not reference.covers("thresholds", date(2027, 1, 1))
    text = "year,group,kx_cents,review_cents,source\n2027,PT_SLP,251000,300000,final rule\n2027,OT,251000,300000,final rule\n"
    newer = one_file(tmp_path, "t.csv", text)
    assert newer.threshold("OT", 2027).kx_cents == 251_000  # type: ignore[union-attr]
    assert newer.threshold("OT", 2026).kx_cents == 248_000  # type: ignore[union-attr]
    assert newer.source("thresholds", date(2027, 5, 1)) == "final rule; loaded: t.csv"
    assert reference.source("thresholds", date(2026, 5, 1)).endswith("; the table that ptbridge ships")
    for broken in (text.rpartition("2027")[0], text.replace("251000", "2510.00"), text.replace("OT", "PT")):
        with pytest.raises(ConfigError, match=r"t\.csv"):
            one_file(tmp_path, "t.csv", broken)


def test_a_loaded_threshold_table_speaks_before_the_shipped_one_and_the_newer_load_before_the_older(tmp_path: Path) -> None:
    head = "year,group,kx_cents,review_cents,source\n"
    rows = "{0},PT_SLP,{1},300000,{2}\n{0},OT,{1},300000,{2}\n"
    one_file(tmp_path, "a.csv", head + rows.format(2027, 999, "draft") + rows.format(2028, 888, "draft"))
    found = one_file(tmp_path, "b.csv", head + rows.format(2026, 111, "a") + rows.format(2027, 222, "final"))
    assert [(one.kx_cents, one.table) for year in (2025, 2026, 2027, 2028) if (one := found.threshold("OT", year))] == [
        (241_000, "the table that ptbridge ships"),
        (111, "loaded: b.csv"),
        (222, "loaded: b.csv"),
        (888, "loaded: a.csv"),
    ]
    assert threshold_of(found, "OT", 2026) == found.threshold("OT", 2026)
    assert threshold_of(None, "OT", 2026) == Reference().threshold("OT", 2026)
    assert threshold_of(None, "OT", 2027) is None


# ---------------------------------------------------------------- names, kinds, descriptors


@pytest.mark.parametrize(
    ("kind", "name", "period"),
    [
        ("ptp", "ccipra-v323r0-f1.TXT", "2026Q4"),
        ("ptp", "CCIPRA-V320R1-F2.txt", "2026Q1"),
        ("mue", "MCR_MUE_PractitionerServices_Eff_10-01-2026.csv", "2026Q4"),
        ("mue", "medicare-ncci-2026-q2-practitioner-services-mue-table.zip", "2026Q2"),
        ("add_on", "AOC_V2026Q4-MCR.txt", "2026Q4"),
        ("rvu", "PPRRVU2026_Jul_nonQPP.csv", "2026Q3"),
        ("rvu", "PPRRVU25_JAN.csv", "2025Q1"),
        ("icd10", "icd10cm_order_2026.txt", "FY2026"),
        ("icd10", "icd10cm-order-April-2026.txt", "FY2026from0401"),
        ("therapy", "2026 therapy code list.txt", "2026"),
        ("ptp", "pairs.txt", None),
    ],
)
def test_the_period_is_read_from_the_name(kind: str, name: str, period: str | None) -> None:
    found = period_of(kind, (name,))
    assert (found and found.name) == period


def test_contradicting_names_and_a_wrong_period_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="different periods"):
        period_of("ptp", ("ccipra-v323r0-f1.txt", "medicare-ncci-2026q3-f1.zip"))
    with pytest.raises(ConfigError, match="is not a quarter, a year"):
        period_named("2026Q5")
    with pytest.raises(ConfigError, match="does not fit"):
        one_file(tmp_path, "mue.csv", make.mue_text(), period="2026")
    with pytest.raises(ConfigError, match="Say so with --period"):
        one_file(tmp_path, "mue.csv", make.mue_text())
    assert {period_named(text).last for text in ("2026q4", "2026")} == {date(2026, 12, 31)}
    assert period_named("FY2026").first == date(2025, 10, 1)


def test_no_descriptor_reaches_a_look_up_file(loaded: Path) -> None:
    """Each synthetic file has one in every column where the official one has text; grep what was written."""
    written = [path for path in loaded.iterdir() if path.is_file()]
    assert {path.name.split("-")[0] for path in written if path.suffix == ".bin"} == set(KINDS) - {
        *("thresholds", "ptp_medicaid", "mue_medicaid")
    }
    for path in written:
        assert make.DESCRIPTOR.encode()[:12] not in path.read_bytes(), path.name


@pytest.mark.parametrize("ending", [str.encode, lambda text: b"\xef\xbb\xbf" + text.encode()])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_byte_order_mark(tmp_path: Path, line_end: str, ending: Callable[[str], bytes]) -> None:
    path = tmp_path / "icd10cm_order_2027.txt"
    path.write_bytes(ending(make.icd10_text().replace("\r\n", line_end)))
    load([path], tmp_path / "reference")
    assert Reference.open(tmp_path / "reference").icd10("A00.0", ON) is True
