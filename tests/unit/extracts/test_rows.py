"""Rows of a delimited file: bytes and lines kept, nothing repaired; and words that a spreadsheet rewrote are told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptbridge.wire.extract_rows import BrokenFile, iso_date, mangled, rows


def read(data: bytes, *, delimiter: str = ",", charset: str = "utf-8") -> list[tuple[int, bytes, list[str], str]]:
    return [(row.line, row.raw, list(row.cells), row.problem) for row in rows(data, delimiter=delimiter, charset=charset)]


def test_each_row_has_its_line_and_its_very_bytes() -> None:
    data = b'\xef\xbb\xbfa,b\r\n"1, one",2\n\n3,"two\nlines"\n"4"x,5\n6,7'
    assert read(data) == [
        (1, b"a,b\r\n", ["a", "b"], ""),
        (2, b'"1, one",2\n', ["1, one", "2"], ""),
        (4, b'3,"two\nlines"\n', ["3", "two\nlines"], ""),
        (6, b'"4"x,5\n', [], "its quotes do not match"),
        (7, b"6,7", ["6", "7"], ""),
    ]


def test_formula_looking_cells_are_text() -> None:
    assert read(b"=1+1,@SUM(A1),+97110,-5\n")[0][2] == ["=1+1", "@SUM(A1)", "+97110", "-5"]


def test_a_line_in_another_charset_is_a_problem_of_that_row_alone() -> None:
    found = read("a,b\nJos\u00e9,1\n".encode("latin-1") + b"c,d\n")
    assert [problem for *_, problem in found] == ["", "it is not readable as utf-8", ""]
    assert read("Jos\u00e9,1\n".encode("cp1252"), charset="cp1252")[0][2] == ["Jos\u00e9", "1"]


@pytest.mark.parametrize(
    "data",
    [
        "a,b\n1,2\n".encode("utf-16"),
        b"a,b\n1,\x00\n",
        b'a,b\n1,"2\n3,4\n5,6\n',
        b'a,b\n"1\n2"x,3\n',
        b'a,b\n"' + b"x\n" * 60 + b'",1\n',
    ],
)
def test_what_makes_the_rest_of_a_file_doubtful_refuses_it_whole(data: bytes) -> None:
    with pytest.raises(BrokenFile):
        read(data)


@pytest.mark.parametrize("cell", ["97110.0", "9.711E4", "9.711E+04", "1.23457E+11", "12345.00", "5E+3"])
def test_numbers_as_a_spreadsheet_spells_them(cell: str) -> None:
    assert mangled(cell)


@pytest.mark.parametrize(
    "cell", ["97110", "G0283", "E0720", "1EG4TE5MK73", "12E45", "0001A", "M54.50", "59", "", "44.00x", "A1.0"]
)
def test_words_that_only_look_a_little_like_it(cell: str) -> None:
    assert not mangled(cell)


@pytest.mark.parametrize(
    ("cell", "formats", "expected"),
    [
        ("11/19/2026", ("MM/DD/YYYY",), "2026-11-19"),
        ("11/19/2026 06:30:00 PM", ("MM/DD/YYYY", "MM/DD/YYYY hh:mm:ss AM"), "2026-11-19T18:30:00"),
        ("20261119", ("YYYYMMDD",), "2026-11-19"),
        ("13/40/2026", ("MM/DD/YYYY",), "13/40/2026"),
        ("11/19/26", ("MM/DD/YYYY",), "11/19/26"),
        ("2026-11-19", (), "2026-11-19"),
    ],
)
def test_dates_are_read_only_as_the_profile_says(cell: str, formats: tuple[str, ...], expected: str) -> None:
    assert iso_date(cell, formats) == expected


@given(st.binary(max_size=400))
def test_any_bytes_give_rows_or_one_clear_refusal_and_no_byte_twice(data: bytes) -> None:
    try:
        found = read(data)
    except BrokenFile:
        return
    assert sum(len(raw) for _, raw, _, _ in found) <= len(data)
    assert [line for line, *_ in found] == sorted({line for line, *_ in found})


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8), min_size=2, max_size=4), max_size=6)
)
def test_what_a_csv_writer_wrote_comes_back(table: list[list[str]]) -> None:
    import csv
    import io

    out = io.StringIO()
    csv.writer(out).writerows(table)
    expected = [cells for cells in ([cell.strip() for cell in row] for row in table) if any(cells)]
    assert [cells for _, _, cells, _ in read(out.getvalue().encode())] == expected
