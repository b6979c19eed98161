"""Workbooks: what stands in the file, digit for digit; nothing computed; nothing that grows without bound."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ptbridge_sandbox.extract_maker import workbook

from ptbridge.wire import xlsx
from ptbridge.wire.extract_rows import BrokenFile
from ptbridge.wire.xlsx import csv_of_sheet

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def read(data: bytes, sheet: str | None = None) -> list[str]:
    return csv_of_sheet(data, sheet=sheet, delimiter=",").decode().splitlines()


def cell(xml: str) -> str:
    return read(workbook([["x"]], {"A1": xml}))[0]


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        ('<c r="A1"><v>97110</v></c>', "97110"),
        ('<c r="A1"><v>97110.0</v></c>', "97110.0"),
        ('<c r="A1"><v>9.711E4</v></c>', "9.711E4"),
        ('<c r="A1"><v>2.2999999999999998</v></c>', "2.3"),
        ('<c r="A1" s="1"><v>46345</v></c>', "2026-11-19"),
        ('<c r="A1" s="2"><v>46345.770833333336</v></c>', "2026-11-19T18:30:00"),
        ('<c r="A1" s="1"><v>12</v></c>', "12"),
        ('<c r="A1" t="b"><v>1</v></c>', "true"),
        ('<c r="A1" t="e"><v>#REF!</v></c>', "#REF!"),
        ('<c r="A1" t="str"><f>CONCAT(B1,C1)</f><v>97110</v></c>', '"=CONCAT(B1,C1)"'),
        ('<c r="A1"><f>2+2</f><v>4</v></c>', "=2+2"),
        ('<c r="A1" t="inlineStr"><is><r><t>Ada </t></r><r><t>T&amp;T</t></r></is></c>', "Ada T&T"),
        ('<c r="A1" t="inlineStr"><is><t>two\nlines</t></is></c>', "two lines"),
        ('<c r="C1"><v>7</v></c>', ",,7"),
    ],
)
def test_a_cell_is_what_the_file_says(xml: str, expected: str) -> None:
    assert cell(xml) == expected


def test_shared_strings_without_their_phonetic_readings() -> None:
    strings = f"<sst {MAIN}><si><t>cpt</t></si><si><r><t>97</t></r><r><t>110</t></r><rPh><t>no</t></rPh></si></sst>"
    data = workbook([["x"]], {"A1": '<c r="A1" t="s"><v>1</v></c>'}, {"xl/sharedStrings.xml": strings})
    assert read(data) == ["97110"]


def test_line_numbers_are_row_numbers_and_the_sheet_is_chosen_by_name() -> None:
    first, fourth = '<row r="1"><c r="A1"><v>1</v></c></row>', '<row r="4"><c r="A4"><v>4</v></c></row>'
    rows = f"<worksheet {MAIN}><sheetData>{first}{fourth}</sheetData></worksheet>"
    assert read(workbook([], parts={"xl/worksheets/sheet1.xml": rows}), "Charges") == ["1", "", "", "4"]
    with pytest.raises(BrokenFile, match="no sheet 'Payments'"):
        read(workbook([["x"]]), "Payments")


def test_elements_with_a_prefix_are_the_same_elements() -> None:
    rows = '<x:row r="1"><x:c r="A1"><x:v>97110</x:v></x:c></x:row>'
    sheet = f"<x:worksheet {MAIN.replace('xmlns', 'xmlns:x')}><x:sheetData>{rows}</x:sheetData></x:worksheet>"
    assert read(workbook([], parts={"xl/worksheets/sheet1.xml": sheet})) == ["97110"]


def test_a_workbook_that_counts_from_1904() -> None:
    book = (
        f'<workbook {MAIN} xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">'
        '<workbookPr date1904="1"/>'
        '<sheets><sheet name="Charges" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    data = workbook([["x"]], {"A1": '<c r="A1" s="1"><v>44883</v></c>'}, {"xl/workbook.xml": book})
    assert read(data) == ["2026-11-19"]


BOMB = f'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><worksheet {MAIN}><sheetData/></worksheet>'


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04 cut off",
        b"not a zip at all",
        workbook([["x"]])[:-40],
        workbook([["x"]], parts={"xl/worksheets/sheet1.xml": BOMB}),
        workbook([["x"]], parts={"xl/worksheets/sheet1.xml": "<worksheet><sheetData>"}),
        workbook([["x"]], {"A1": '<c r="ZZZ1"><v>1</v></c>'}),
        workbook([], parts={"xl/worksheets/sheet1.xml": f'<worksheet {MAIN}><row r="9999999"/></worksheet>'}),
        workbook([], parts={"xl/worksheets/sheet1.xml": f'<worksheet {MAIN}><row r="2"/><row r="1"/></worksheet>'}),
        workbook([], parts={"xl/_rels/workbook.xml.rels": "<Relationships/>"}),
    ],
)
def test_what_is_no_readable_workbook_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(BrokenFile):
        read(data)


def test_a_part_that_inflates_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_PART_BYTES", 100_000)
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook([["x"]]))) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name in source.namelist():
            bomb.writestr(name, b" " * 5_000_000 if "sheet1" in name else source.read(name))
    assert len(out.getvalue()) < 20_000
    with pytest.raises(BrokenFile, match="more than 100000 bytes"):
        read(out.getvalue())


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_workbook_is_read_or_refused_in_words(place: int, byte: int) -> None:
    data = bytearray(workbook([["visit", "cpt"], ["V1", "97110"]]))
    data[place % len(data)] = byte
    try:
        read(bytes(data))
    except BrokenFile as error:
        assert str(error)
