"""The ICD-10-CM order file (icd10cm_order_2026.txt): which diagnosis codes can be billed.

Fixed width (CMS, "ICD-10-CM order file" read-me): order number in columns 1-5, the code without its dot in 7-13, in 15 a 1 for
a billable code and a 0 for a heading; descriptions follow and are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ptbridge.errors import ConfigError
from ptbridge.policy.reference.sources import Text
from ptbridge.policy.reference.tables import Table, bad_row

FORMAT = "=B"  # 1: billable, 0: a heading
FEWEST = 10  # billable codes; fewer are no order file
_ROW = re.compile(r"\d{5} ([A-Z][0-9][0-9A-Z]{1,5}) *([01])(?: |$)")


def kind_of(head: Sequence[str]) -> str | None:
    """`icd10` when these are the first lines of an order file, else None."""
    rows = [line for line in head if line.strip()][:5]
    return "icd10" if rows and all(_match(line) for line in rows) else None


def read_icd10(text: Text) -> Table:
    """The codes of one release. Raises ConfigError with file:line for a row that cannot be read."""
    table = Table("icd10", FORMAT)
    billable = 0
    with text.lines() as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            found = _match(line)
            if found is None:
                raise bad_row(text, number, "not a row of the order file: number, code and 0 or 1 are expected")
            billable += found[2] == "1"
            table.add(found[1], int(found[2]))
    if billable < FEWEST:
        raise ConfigError(f"{billable} billable codes; this is not a whole order file", where=text.name)
    table.counts |= {"rows": len(table.keys), "billable": billable}
    return table


def _match(line: str) -> re.Match[str] | None:
    found = _ROW.match(line)
    return found if found and found.start(2) == 14 else None
