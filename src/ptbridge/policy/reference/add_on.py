"""NCCI add-on code edits: codes that are paid only beside a primary code.

Layout (CMS, AOC_V*-MCR.txt), known from programs that read it, not from the file itself, so its columns are found by name:
`Add-On_Code`, `AOC_DelDT`, `Primary_Code`, `Primary_Code_DelDT`, `AOC_Edit_EffDT`, `AOC_Edit_DelDT`, `AOC_Edit_Type` and
special instructions (not kept). Dates are year and day of the year (`2026274`). Type 1: the listed primary codes only; type 2:
the contractor decides (primary code `CCCCC`); type 3: the listed ones and others that the contractor decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ptbridge.policy.reference.days import packed_day, read_day
from ptbridge.policy.reference.headers import columns, find_row, words
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import CODE, Table, bad_row, no_header, rows_of

FORMAT = "=5sBHH"  # primary code, edit type, effective day, deletion day
BY_CONTRACTOR = "CCCCC"
_WANTED = {
    "code": r"ADD-? ?ON[ -]CODE|AOC([ -]CODE)?",
    "primary": r"PRIMARY[ -]CODE",
    "effective": r"AOC EDIT EFF ?(DT|DATE)|EFFECTIVE DATE",
    "type": r"(AOC )?EDIT TYPE",
}
_DELETIONS = {
    "deletion": r"AOC EDIT DEL ?(DT|DATE)|DELETION DATE",
    "code_deletion": r"AOC DEL ?(DT|DATE)",
    "primary_deletion": r"PRIMARY[ -]CODE DEL ?(DT|DATE)",
}


def kind_of(head: Sequence[str]) -> str | None:
    """`add_on` when these are the first lines of an add-on file, else None."""
    return "add_on" if find_row(list(rows_of(head)), {name: _WANTED[name] for name in ("code", "primary")}) else None


def read_add_on(text: Text) -> Table:
    """The table of one quarter. Raises ConfigError with file:line for a row that cannot be read."""
    head = list(rows_of(text.head))
    found = find_row(head, _WANTED)
    if found is None:
        raise no_header(text, "Add-On_Code, Primary_Code, AOC_Edit_EffDT, AOC_Edit_Type")
    header, at = found
    deletions = columns([words(cell) for cell in head[header]], _DELETIONS)
    if "deletion" not in deletions:
        raise no_header(text, "AOC_Edit_DelDT")
    table = Table("add_on", FORMAT)
    with text.lines() as lines:
        for number, row in enumerate(rows_of(lines)):
            if number > header and any(cell.strip() for cell in row):
                _add(table, text, number + 1, row, at, tuple(deletions.values()))
    table.counts["rows"] = len(table.keys)
    return table


def _add(table: Table, text: Text, line: int, row: list[str], at: dict[str, int], deletions: tuple[int, ...]) -> None:
    if len(row) <= max(at.values()):
        raise bad_row(text, line, f"{len(row)} columns instead of {max(at.values()) + 1} or more")
    code, primary, kind = (row[at[name]].strip().upper() for name in ("code", "primary", "type"))
    if not CODE.fullmatch(code) or not CODE.fullmatch(primary):
        raise bad_row(text, line, f"{code!r} with {primary!r}: not two codes of five letters and digits")
    if kind not in ("1", "2", "3"):
        raise bad_row(text, line, f"{code}: edit type {kind!r} is not 1, 2 or 3")
    try:
        start = read_day(row[at["effective"]])
        ends = [end for cell in deletions if cell < len(row) and (end := read_day(row[cell])) is not None]
        table.add(code, primary.encode(), int(kind), packed_day(start or date(1980, 1, 1)), packed_day(min(ends, default=None)))
    except ValueError:
        raise bad_row(text, line, f"{code}: a date cannot be read; expected 2026274 or 20261001") from None
