"""Fee schedules: exact cents, dates at both ends, the most specific modifiers, and refusals with file and line."""

from datetime import date

import pytest

from ptbridge.errors import ConfigError
from ptbridge.policy import load_fees

HEADER = "procedure,modifiers,amount,from,to,source\n"


def fees(tmp_path, *rows, header=HEADER):
    file = tmp_path / "fees.csv"
    file.write_text(header + "\n".join(rows) + "\n")
    return load_fees(file)


def test_prices_are_exact_cents_by_date(tmp_path):
    found = fees(tmp_path, "97110,,59.99,2026-01-01,2026-06-30,list", "97110,,$61.00,2026-07-01,,list")
    assert found.price("97110", (), date(2025, 12, 31)) is None
    assert found.price("97110", ("GP",), date(2026, 1, 1)) == 5999
    assert found.price("97110", (), date(2026, 6, 30)) == 5999
    assert found.price("97110", (), date(2026, 7, 1)) == 6100
    assert found.price("97140", (), date(2026, 7, 1)) is None
    assert len(found) == 2


def test_the_row_that_names_more_of_the_modifiers_wins(tmp_path):
    found = fees(tmp_path, "97110,,60,2026-01-01,,", "97110,CQ,51,2026-01-01,,", "97110,CQ KX,50,2026-01-01,,")
    on = date(2026, 2, 1)
    assert found.price("97110", ("GP",), on) == 6000
    assert found.price("97110", ("CQ", "GP"), on) == 5100
    assert found.price("97110", ("CQ", "GP", "KX"), on) == 5000


def test_optional_columns_may_be_absent(tmp_path):
    assert fees(tmp_path, "97110,60,2026-01-01", header="procedure,amount,from\n").price("97110", (), date(2026, 1, 1)) == 6000


@pytest.mark.parametrize(
    ("rows", "line", "words"),
    [
        (["97110,,60.005,2026-01-01,,"], 2, "fraction of a cent"),
        (["97110,,sixty,2026-01-01,,"], 2, "'sixty' is not an amount"),
        (["97110,,60,01/01/2026,,"], 2, "write dollars as 60.00 and dates as 2026-01-01"),
        (["97110,,60,2026-01-01,,", "97110,,61,2026-05-01,,"], 2, "two prices on the same day"),
        (["9711,,60,2026-01-01,,"], 2, "five-character code"),
        (["97110,,-1,2026-01-01,,"], 2, "zero or more"),
        (["97110,,60,2026-02-01,2026-01-01,"], 2, "`to` after `from`"),
    ],
)
def test_refusals_name_file_and_line(tmp_path, rows, line, words):
    with pytest.raises(ConfigError) as caught:
        fees(tmp_path, *rows)
    assert f"fees.csv:{line}: " in str(caught.value)
    assert words in str(caught.value)


def test_unknown_columns_and_missing_files_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="write procedure,modifiers,amount,from,to,source"):
        fees(tmp_path, "97110,60", header="code,price\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_fees(tmp_path / "none.csv")
