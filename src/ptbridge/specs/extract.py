"""Mappings of extracts (`standard: extract`): paths are column names, and the `extract` section says how files are written.

cpt                              the cell of that column
cpt_prefix | cpt_modifier        the cells of these columns, in this order, those that hold something
note_finalized_date.exists()     "true" or "false": whether the column holds something, on every row of the visit
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from ptbridge.errors import ConfigError
from ptbridge.specs.mapping import ControlTotalsSpec, ExtractSpec, FieldSpec, Mapping, texts
from ptbridge.wire.extract_profile import ControlTotals, ExtractProfile
from ptbridge.wire.extract_rows import DATE_FORMATS

STANDARD = "extract"
EXISTS = ".exists()"
ITEMS = ("visit", "row")  # what `each` may name beside a column: the visit as a whole, or each of its rows


def is_extract(mapping: Mapping) -> bool:
    """True for a mapping whose paths are column names."""
    return mapping.spec.standard == STANDARD


def columns_of(path: str) -> tuple[str, ...]:
    """The columns that a path names."""
    return tuple(name for part in path.split("|") if (name := part.strip().removesuffix(EXISTS)))


def fields_of(mapping: Mapping) -> Iterator[tuple[str, str, FieldSpec]]:
    """(section, key, field) of every field that somebody wrote."""
    for section in mapping.spec.__struct_fields__:
        group = getattr(mapping.spec, section)
        for name in getattr(group, "__struct_fields__", ()):
            written = getattr(group, name)
            if isinstance(written, FieldSpec):
                yield section, name, written


def profile_of(mapping: Mapping) -> ExtractProfile:
    """What a connector must know of the files. Raises ConfigError, with file and line, for what cannot work."""
    spec = mapping.spec.extract
    if spec is None:
        raise ConfigError("there is no section `extract`, so nothing says how the files are written.", where=mapping.file)
    _check(mapping, spec)
    return ExtractProfile(
        visit_column=_column(mapping, "visit", "visit_id"),
        charge_column=_column(mapping, "interventions", "line_key"),
        date_column=_column(mapping, "visit", "service_date"),
        columns=tuple(_groups(mapping, spec)),
        optional=frozenset(spec.optional),
        delimiter=spec.delimiter,
        charset=spec.charset,
        sheet=spec.sheet,
        dates=spec.dates,
        empty=spec.empty,
        holds=spec.holds,
        absent=spec.absent,
        totals=_totals(spec.control_totals),
    )


def _groups(mapping: Mapping, spec: ExtractSpec) -> Iterator[tuple[str, ...]]:
    """Columns that a file must have, as groups of alternatives; the parts of a joined path are each needed."""
    seen: set[tuple[str, ...]] = set()
    for _, _, written in fields_of(mapping):
        paths = [columns_of(path) for path in texts(written.take)]
        groups = [(column,) for column in paths[0]] if len(paths) == 1 else [tuple(column for path in paths for column in path)]
        for group in groups:
            if group and group not in seen and not set(group) & set(spec.optional):
                seen.add(group)
                yield group


def _column(mapping: Mapping, section: str, name: str) -> str:
    written = getattr(getattr(mapping.spec, section), name)
    columns = [column for path in texts(written.take) for column in columns_of(path)] if written else []
    if len(columns) != 1:
        raise ConfigError(
            f"{section}.{name}: takes {len(columns)} columns; an extract needs exactly one here.",
            where=mapping.where(section, name),
        )
    return columns[0]


def _check(mapping: Mapping, spec: ExtractSpec) -> None:
    known = ", ".join(DATE_FORMATS)
    found = [("dates", f"{name!r} is not known. Known: {known}.") for name in spec.dates if name not in DATE_FORMATS]
    try:
        if "a,\n".encode(spec.charset) != b"a,\n" or codecs.lookup(spec.charset).name == "utf-7":
            found.append(("charset", f"{spec.charset!r} is not one that contains ASCII. Export as utf-8 or cp1252."))
    except LookupError:
        found.append(("charset", f"{spec.charset!r} is not known. Write utf-8 or cp1252."))
    if spec.absent != "kept" and spec.holds != "all":
        found.append(("absent", f"{spec.absent!r} needs `holds: all`: a file of changes says nothing of what it leaves out."))
    if spec.absent != "kept" and spec.control_totals is None:
        found.append(("absent", f"{spec.absent!r} needs `control_totals`: a file that was cut off would void what it lacks."))
    totals = spec.control_totals
    if totals and totals.rows is None and totals.visits is None and not totals.sums:
        found.append(("control_totals", "checks nothing. Name rows, visits or sums."))
    if found:
        lines = [f"{mapping.where('extract', key)}: extract.{key}: {text}" for key, text in found]
        raise ConfigError("\n".join(lines))


def _totals(spec: ControlTotalsSpec | None) -> ControlTotals | None:
    if spec is None:
        return None
    return ControlTotals(
        place=spec.place, ending=spec.ending, mark=spec.mark, rows=spec.rows, visits=spec.visits, sums=dict(spec.sums)
    )
