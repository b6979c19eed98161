"""CMS's therapy code list (annual therapy update): which codes are always therapy and which only sometimes.

The layout has not been verified against an original, so the columns are found by their words (a code column with HCPCS or CPT,
a disposition column) and every disposition must say *always* or *sometimes*; anything else is refused, nothing guessed.
Descriptions are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.headers import find_row
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import CODE, Table, bad_row, no_header, rows_of

FORMAT = "=B"  # 1: always therapy, 0: sometimes therapy
_WANTED = {
    "code": r"((CPT|HCPCS) ?(/|OR|AND)? ?)+( ?CODES?)?\*?",
    "disposition": r".*(DISPOSITION|ALWAYS.*SOMETIMES|SOMETIMES.*ALWAYS|THERAPY (TYPE|STATUS|INDICATOR)).*",
}


def kind_of(head: Sequence[str]) -> str | None:
    """`therapy` when these are the first lines of a therapy code list, else None."""
    return "therapy" if find_row(list(rows_of(head)), _WANTED) else None


def read_therapy(text: Text) -> Table:
    """The list of one year. Raises ConfigError with file:line when header or a disposition is not understood."""
    found = find_row(list(rows_of(text.head)), _WANTED)
    if found is None:
        raise no_header(text, "a code column (HCPCS or CPT) and a disposition column (always or sometimes therapy)")
    header, at = found
    table = Table("therapy", FORMAT)
    with text.lines() as lines:
        for number, row in enumerate(rows_of(lines)):
            if number > header and len(row) > max(at.values()) and CODE.fullmatch(row[at["code"]].strip()):
                table.add(row[at["code"]].strip(), int(_always(text, number + 1, row[at["disposition"]])))
    if not table.keys:
        raise ConfigError("no row below the header starts with a code; nothing was loaded", where=text.name)
    table.counts["rows"] = len(table.keys)
    return table


def _always(text: Text, line: int, written: str) -> bool:
    said = written.upper()
    if ("ALWAYS" in said) == ("SOMETIMES" in said):
        raise bad_row(text, line, f"disposition {written.strip()!r} says neither always nor sometimes")
    return "ALWAYS" in said
