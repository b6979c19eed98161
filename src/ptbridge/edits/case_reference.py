"""Reference files as a case of a manual page states them: a few rows of the quarter's table, looked up as the real ones are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from ptbridge.policy.reference import AddOn, Mue, PairEdit, Period, Reference, reference_of

FACTS = {
    "pairs": (
        "none",
        "rows of the quarter's pair file: column 1/column 2, indicator, and perhaps effective and deletion date, such as"
        " 97150/97110 1 2020-10-01; several separated by commas",
    ),
    "add_ons": (
        "none",
        "rows of the quarter's add-on file: code/primaries, edit type, such as 97598/97597 1, 99292/99291+99290 3; 99292/- 2",
    ),
    "maximums": ("none", "rows of the quarter's unit maximums: code, units, adjudication indicator, such as 97112 4 3"),
}
_FIRST = date(1996, 1, 1)
_PERIOD = Period("as stated", _FIRST, date(2060, 12, 31))


def read_reference(stated: Mapping[str, str]) -> Reference | None:
    """The reference that a case states, None when it states none. Raises ValueError that quotes the row."""
    if FACTS.keys().isdisjoint(stated):
        return None
    pairs = [_pair(row) for row in _rows(stated, "pairs")] if "pairs" in stated else None
    maximums = [_maximum(row) for row in _rows(stated, "maximums")] if "maximums" in stated else None
    add_ons = [_add_on(row) for row in _rows(stated, "add_ons")] if "add_ons" in stated else None
    return reference_of(_PERIOD, pairs=pairs, maximums=maximums, add_ons=add_ons)


def _rows(stated: Mapping[str, str], fact: str) -> list[list[str]]:
    return [row.split() for row in stated[fact].split(",") if row.strip()]


def _pair(row: list[str]) -> PairEdit:
    try:
        codes, indicator, *days = row
        column1, column2 = codes.split("/")
        dates = [date.fromisoformat(day) for day in days]
        return PairEdit(
            column1=column1,
            column2=column2,
            indicator=int(indicator),
            effective=dates[0] if dates else _FIRST,
            deletion=dates[1] if len(dates) > 1 else None,
            period=_PERIOD.name,
            source="",
        )
    except ValueError:
        raise ValueError(f"{' '.join(row)!r} is not a pair; write it as 97150/97110 1 2020-10-01") from None


def _maximum(row: list[str]) -> Mue:
    try:
        code, units, indicator = row
        return Mue(code=code, value=int(units), mai=int(indicator), source="")
    except ValueError:
        raise ValueError(f"{' '.join(row)!r} is not a unit maximum; write it as 97112 4 3") from None


def _add_on(row: list[str]) -> AddOn:
    try:
        codes, kind = row
        code, primaries = codes.split("/")
        named = frozenset(primaries.split("+")) - {"-"}
        return AddOn(code=code, primaries=named, by_contractor=kind in ("2", "3"), source="")
    except ValueError:
        raise ValueError(f"{' '.join(row)!r} is not an add-on code; write it as 97598/97597 1") from None
