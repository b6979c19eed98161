"""NCCI medically unlikely edits, practitioner services: how many units of a code a line or a day may have.

Layout (CMS, MCR_MUE_PractitionerServices_Eff_*.csv): a copyright row, then `HCPCS/CPT Code`, `Practitioner Services MUE
Values`, `MUE Adjudication Indicator` (text such as `3 Date of Service Edit: Clinical`; the leading digit counts), `MUE
Rationale` (not kept). Some values are confidential: an absent code is unknown, not unlimited.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.headers import find_row
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import CODE, Table, bad_row, no_header, rows_of

FORMAT = "=IB"  # units, adjudication indicator
_ANY = {"code": r"HCPCS ?/? ?CPT CODE", "units": r".*MUE VALUES?"}
_WANTED = _ANY | {"indicator": r".*ADJUDICATION INDICATOR"}
_PRACTITIONER = {"units": r"PRACTITIONER SERVICES MUE VALUES?"}


def kind_of(head: Sequence[str], names: Sequence[str]) -> str | None:
    """`mue` or `mue_medicaid` when these are the first lines of a practitioner table, else None.

    Raises ConfigError for the hospital's and the supplier's tables, which look alike and say something else.
    """
    rows = list(rows_of(head))
    if find_row(rows, _ANY) is None:
        return None
    if find_row(rows, _PRACTITIONER) is None:
        raise ConfigError("this is not the practitioner table: its values are for hospitals or suppliers.", where=names[0])
    medicaid = any("medicaid" in name.lower() or name.lower().startswith("mcd") for name in names)
    return "mue_medicaid" if medicaid else "mue"


def read_mue(text: Text, kind: str) -> Table:
    """The table of one quarter. Raises ConfigError with file:line for a row that cannot be read."""
    found = find_row(list(rows_of(text.head)), _WANTED)
    if found is None:
        raise no_header(text, "HCPCS/CPT Code, Practitioner Services MUE Values, MUE Adjudication Indicator")
    header, at = found
    table = Table(kind, FORMAT)
    with text.lines() as lines:
        for number, row in enumerate(rows_of(lines)):
            if number > header and any(cell.strip() for cell in row):
                _add(table, text, number + 1, row, at)
    table.counts["rows"] = len(table.keys)
    return table


def _add(table: Table, text: Text, line: int, row: list[str], at: dict[str, int]) -> None:
    if len(row) <= max(at.values()):
        raise bad_row(text, line, f"{len(row)} columns instead of {max(at.values()) + 1} or more")
    code, units, indicator = (row[at[name]].strip() for name in ("code", "units", "indicator"))
    if not CODE.fullmatch(code):
        raise bad_row(text, line, f"{code!r} is not a code of five letters and digits")
    if not units.isdecimal() or indicator[:1] not in ("1", "2", "3"):
        raise bad_row(text, line, f"{code}: units {units!r} with indicator {indicator!r} cannot be read")
    table.add(code, int(units), int(indicator[0]))
