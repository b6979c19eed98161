"""A payer's coverage list as a file beside its policy: which diagnoses it covers which code for.

    covered_diagnoses:
      - {use: "file lists/a57067.csv", from: 2026-01-01, source: "local coverage article A57067, revision of 2026-01-01"}

The CSV has the columns `procedure` and `diagnosis`; a diagnosis covers every code that begins with it, with or without dots.
Dates are the setting's: a new revision of the list is a new file and a new entry. Other columns are refused, so that no
description (which may be somebody's text) comes along.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from ptbridge.errors import ConfigError

COLUMNS = ["procedure", "diagnosis"]
CoverageList = Mapping[str, tuple[str, ...]]  # procedure -> beginnings of covered diagnoses, as written
_MARK = "file "
_PROCEDURE = re.compile(r"[0-9A-Z]{5}")
_DIAGNOSIS = re.compile(r"[A-Z][0-9][0-9A-Z](\.?[0-9A-Z]{1,4})?")


def named_file(use: str) -> str | None:
    """The file that a setting names, relative to the policy's; None when the list stands in the setting itself."""
    return use.removeprefix(_MARK).strip() if use.startswith(_MARK) else None


def read_list(path: Path) -> CoverageList:
    """Read a list. Raises ConfigError with file:line for what is not a procedure with a diagnosis, and for an empty list."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError(f"cannot be read ({type(problem).__name__}); name an existing CSV file", where=str(path)) from None
    rows = csv.DictReader(lines)
    if rows.fieldnames is None or list(rows.fieldnames) != COLUMNS:
        raise ConfigError(f"the first line must be {','.join(COLUMNS)}", where=f"{path}:1")
    found: dict[str, list[str]] = {}
    for row in rows:
        procedure, diagnosis = _cells(row, f"{path}:{rows.line_num}")
        found.setdefault(procedure, []).append(diagnosis)
    if not found:
        raise ConfigError("no row in it; an empty list would cover nothing", where=str(path))
    return {procedure: tuple(dict.fromkeys(diagnoses)) for procedure, diagnoses in found.items()}


def _cells(row: dict[str, str], where: str) -> tuple[str, str]:
    if None in row or None in row.values():
        raise ConfigError("not two columns; write a procedure and a diagnosis", where=where)
    procedure, diagnosis = (row[name].strip().upper() for name in COLUMNS)
    if not _PROCEDURE.fullmatch(procedure):
        raise ConfigError(f"{procedure!r} is not a procedure code of five letters and digits", where=where)
    if not _DIAGNOSIS.fullmatch(diagnosis):
        raise ConfigError(f"{diagnosis!r} is not a diagnosis code or its beginning, such as M17 or M25.561", where=where)
    return procedure, diagnosis
