"""The writer: tables of segments, one row each, filled from facts.

A row is `loop usage segment`. `{fact}` must be there or the row is left out, `{fact?}` may be absent, elements that are empty
at the end are cut. Usage R: the guide demands the segment, so a claim lacks whatever fact it lacks; S: situational.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ptbridge.destinations._x12_text import ELEMENT, SEGMENT

_FACT = re.compile(r"\{(\w+)(\??)\}")


@dataclass(frozen=True, slots=True)
class Row:
    """One segment of a loop."""

    loop: str
    required: bool
    template: str
    needs: tuple[str, ...]

    def written(self, facts: Mapping[str, str]) -> str | None:
        """The segment with its end; None when a fact that it needs is absent."""
        if any(not facts.get(name) for name in self.needs):
            return None
        filled = _FACT.sub(lambda found: facts.get(found[1], ""), self.template)
        return filled.rstrip(ELEMENT) + SEGMENT


def table(text: str) -> tuple[Row, ...]:
    """Read a table as it stands in `_x12_tables`."""
    rows = []
    for line in text.strip().splitlines():
        loop, usage, template = line.split(None, 2)
        needs = tuple(name for name, optional in _FACT.findall(template) if not optional)
        rows.append(Row(loop, usage == "R", template, needs))
    return tuple(rows)


def segments(rows: Iterable[Row], facts: Mapping[str, str]) -> str:
    """The rows that the facts fill, one after another."""
    return "".join(text for row in rows if (text := row.written(facts)) is not None)


def missing(rows: Iterable[Row], facts: Mapping[str, str]) -> list[str]:
    """Names of the facts that a required row needs and does not have, in the order of the table."""
    return list(dict.fromkeys(name for row in rows if row.required for name in row.needs if not facts.get(name)))
