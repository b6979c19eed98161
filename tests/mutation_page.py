"""Writes the list of survivors in docs/testing.md from `mutation_survivors.json`: `python -m tests.mutation_page`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.mutants import mutants_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ptbridge"
PAGE = ROOT / "docs" / "testing.md"
REASONS = Path(__file__).with_name("mutation_survivors.json")
BEGIN, END = "<!-- survivors: written by python -m tests.mutation_page -->\n", "<!-- end of survivors -->\n"


def table() -> str:
    """The survivors as rows, without line numbers, which move. Raises KeyError for a name that no mutant has."""
    reasons: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8"))
    files = sorted({name.split(" ")[0] for name in reasons})
    known = {one.name for file in files for one in mutants_of(SOURCE / file, file)}
    rows = ["| Where | Change | Why no test fails |", "|---|---|---|"]
    for name, why in sorted(reasons.items()):
        if name not in known:
            raise KeyError(f"{REASONS.name}: no change is named {name!r} any more; take it out")
        where, _, change = name.partition(": ")
        file, _, function = where.partition(" ")
        shown = change.replace("|", "\\|")
        rows.append(f"| `{file}` {function} | `{shown}` | {why} |")
    return "\n".join(rows) + "\n"


def written(page: str) -> str:
    """The page with the list as it must be."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
