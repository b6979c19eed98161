"""The texts of most fields: written with the recommended delimiters, one repetition, nothing that a rule is needed for."""

from __future__ import annotations

ODD = "(odd)"  # compared by identity: a text that needs the whole rules of `wire.hl7_segment`


def part(field: str, component: int) -> str | None:
    """A component of a field without repetitions, None when it is empty or not there; ODD where that is not all to be said."""
    if "~" in field or "\\" in field or "&" in field or '"' in field:
        return ODD
    if component == 1:
        return field.partition("^")[0] or None
    parts = field.split("^", component)
    return (parts[component - 1] or None) if len(parts) >= component else None


def chosen(field: str, component: int, by: int, value: str) -> str | None:
    """The same of a field whose component `by` must equal `value`."""
    told = part(field, by)
    return part(field, component) if told == value else ODD if told is ODD else None
