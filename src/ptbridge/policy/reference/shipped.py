"""The small tables that ptbridge ships, for when no official file is loaded. Every answer says that it is one of them."""

from __future__ import annotations

import json
import zlib
from datetime import date
from functools import cache
from importlib.resources import files

from ptbridge.policy.codes import load_codes
from ptbridge.policy.reference.kinds import Period
from ptbridge.policy.reference.values import AddOn, Mue, PairEdit

SHIPPED = "shipped table, not the quarter's file"
# CMS NCCI practitioner pair edits, 2026 Q3 and Q4, as read in an extract: one PT evaluation level a day. Column 1 first.
_LEVELS = frozenset({("97162", "97161"), ("97163", "97161"), ("97163", "97162")})
_LEVELS_FROM = date(2017, 1, 1)  # the codes exist since then; the edits' own effective dates were not read


def shipped_pair(column1: str, column2: str, on: date) -> PairEdit | None:
    """An active pair of the shipped table in this direction."""
    if (column1, column2) not in _LEVELS or on < _LEVELS_FROM:
        return None
    return PairEdit(
        column1=column1, column2=column2, indicator=0, effective=None, deletion=None, period="shipped", source=SHIPPED
    )


def shipped_mue(code: str, on: date) -> Mue | None:
    """The unit maximum of the code table; None when it is not known."""
    row = load_codes().get(code)
    if row is None or row.daily_max is None or not row.valid_on(on):
        return None
    return Mue(code=code, value=row.daily_max, mai=row.mai, source=SHIPPED)


def shipped_add_on(code: str, on: date) -> AddOn | None:
    """The first code of a chain of the code table."""
    row = load_codes().get(code)
    if row is None or row.add_on_of is None or not row.valid_on(on):
        return None
    return AddOn(code=code, primaries=frozenset({row.add_on_of}), by_contractor=False, source=SHIPPED)


@cache
def shipped_icd10() -> tuple[str, Period]:
    """Name and dates of the diagnosis code list that ptbridge ships (`edits/icd10.py` reads the codes)."""
    packed = (files("ptbridge_mappings") / "codes" / "icd10cm_2026.z").read_bytes()
    head = zlib.decompressobj().decompress(packed, 2048).split(b"\n", 1)[0]
    about = json.loads(head)
    first, last = date.fromisoformat(about["valid_from"]), date.fromisoformat(about["valid_to"])
    return about["release"], Period(f"FY{last.year}", first, last)
