"""The physician fee schedule's relative value file (PPRRVU*.csv), one file for each of the two conversion factors since 2026.

Layout: title rows, a header stacked over several rows (joined here column by column), then about 19,000 rows; latin-1. The
description column, which is the AMA's text, is never read. Two checks guard against a shifted column: the row of 97110 must
say MULT PROC 5 and add up, and for 2018 to 2026 its work value must be 0.45 (CMS RVU26C).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.headers import MOST_ROWS, columns, stacked
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import CODE, Table, bad_row, no_header, rows_of

# status, PC/TC, global days, multiple procedure; work, PE non-facility, PE facility, malpractice, both totals in hundredths
# of a unit (-1: absent); conversion factor in ten-thousandths of a dollar.
FORMAT = "=1s1s3s1siiiiiiI"
ABSENT = -1
KNOWN_CODE, KNOWN_WORK, KNOWN_YEARS = "97110", 45, range(2018, 2027)
_WANTED = {
    "code": r"HCPCS( CODE)?",
    "modifier": r"MOD(IFIER)?",
    "status": r"STATUS CODE",
    "work": r"WORK RVU",
    "pe_non_facility": r"(?!.*OPPS).*NON-?FAC(ILITY)? PE RVU",
    "pe_facility": r"(?!.*(OPPS|NON-?FAC)).*FAC(ILITY)? PE RVU",
    "malpractice": r"MP RVU",
    "total_non_facility": r"NON-?FAC(ILITY)? TOTAL",
    "total_facility": r"FAC(ILITY)? TOTAL",
    "pctc": r"PCTC IND(ICATOR)?",
    "global_days": r"GLOB(AL)? DAYS",
    "multiple": r"MULT PROC",
    "factor": r"CONV FACTOR",
}
_VALUES = ("work", "pe_non_facility", "pe_facility", "malpractice", "total_non_facility", "total_facility")


def kind_of(head: Sequence[str], names: Sequence[str]) -> str | None:
    """`rvu` or `rvu_qpp` when these are the first lines of a relative value file, else None."""
    if _header(list(rows_of(head))) is None:
        return None
    return "rvu_qpp" if re.search(r"(?<!non)(?<!non[-_ ])qpp", names[0], re.IGNORECASE) else "rvu"


def read_rvu(text: Text, kind: str, year: int) -> Table:
    """The table of one release. Raises ConfigError with file:line when a row or the known row is not as it must be."""
    found = _header(list(rows_of(text.head)))
    missing = sorted(set(_WANTED) - set(found[1])) if found else []
    if found is None or missing:
        raise no_header(text, f"as in PPRRVU2026_Jul_nonQPP.csv{'; not found: ' if missing else ''}{', '.join(missing)}")
    header, at = found
    table = Table(kind, FORMAT)
    with text.lines() as lines:
        for number, row in enumerate(rows_of(lines)):
            if number > header and len(row) > max(at.values()) and CODE.fullmatch(row[at["code"]].strip()):
                _add(table, text, number + 1, row, at, year)
    table.counts["rows"] = len(table.keys)
    if KNOWN_CODE not in table.counts:
        raise ConfigError(f"there is no row of {KNOWN_CODE}; this is not a whole relative value file", where=text.name)
    del table.counts[KNOWN_CODE]
    return table


def _header(rows: list[list[str]]) -> tuple[int, dict[str, int]] | None:
    """The last header row and the columns, from all rows stacked above it that leave the first three columns empty."""
    for number, row in enumerate(rows[:MOST_ROWS]):
        if len(row) > 3 and [cell.strip().upper() for cell in row[:2]] == ["HCPCS", "MOD"]:
            top = number
            while top and len(rows[top - 1]) > 3 and not any(cell.strip() for cell in rows[top - 1][:3]):
                top -= 1
            return number, columns(stacked(rows[top : number + 1]), _WANTED)
    return None


def _add(table: Table, text: Text, line: int, row: list[str], at: dict[str, int], year: int) -> None:
    code, modifier = row[at["code"]].strip(), row[at["modifier"]].strip()
    try:
        values = [_scaled(row[at[name]], 100) for name in _VALUES]
        factor = _scaled(row[at["factor"]], 10_000)
    except InvalidOperation:
        raise bad_row(text, line, f"{code}: a relative value is not a number") from None
    words = [row[at[name]].strip().encode("latin-1") for name in ("status", "pctc", "global_days", "multiple")]
    if code == KNOWN_CODE and not modifier:
        _check_known(text, line, values, words[3], year)
        table.counts[KNOWN_CODE] = 1
    table.add(code + modifier, *words, *values, max(factor, 0))


def _check_known(text: Text, line: int, values: list[int], multiple: bytes, year: int) -> None:
    work, practice, _, malpractice, total, _ = values
    adds_up = work + practice + malpractice == total
    if multiple != b"5" or not adds_up or (year in KNOWN_YEARS and work != KNOWN_WORK):
        raise ConfigError(
            f"{KNOWN_CODE} reads as work {work / 100:.2f}, total {total / 100:.2f}, MULT PROC {multiple.decode('latin-1')!r};"
            " expected work 0.45, the sum of its parts, and 5. The columns have moved; report it. Nothing was loaded.",
            where=f"{text.name}:{line}",
        )


def _scaled(written: str, by: int) -> int:
    written = written.strip()
    if written.upper() in ("", "NA"):
        return ABSENT
    return int((Decimal(written.replace(",", "")) * by).to_integral_value())
