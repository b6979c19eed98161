"""Loads a mapping and the files that it extends, joins them, and refuses what cannot work before anything is pulled."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from ptbridge.errors import ConfigError
from ptbridge.specs.mapping import FieldSpec, LookupEntry, Mapping, MappingSpec, texts
from ptbridge.specs.type_check import Problem
from ptbridge.specs.yaml_text import Document, convert, load

MAX_CHAIN = 8

# Sections of which each key is replaced as a whole, and sections of which the values are joined.
_JOINED_SECTIONS = ("code_systems",)
_MINUTE_FIELDS = frozenset(
    {"minutes", "therapist_minutes", "assistant_minutes", "timed_minutes_total", "treatment_minutes_total"}
)


def load_mapping(name: str | Path, *, folder: Path | None = None) -> Mapping:
    """Load a mapping, joined with what it extends: a file in `folder` (the clinic's), or a shipped name (`emrs/fhir_r4`).

    Raises ConfigError with every problem of a file, or the chain's own (a circle, a name that is not there).
    """
    path = _find(str(name), folder)
    chain = list(_chain(path))
    for document in chain:
        _check_file(document)
    tree: dict[str, Any] = {}
    origins: dict[tuple[str, ...], str] = {}
    for document in reversed(chain):  # the standard first, the clinic last
        _join(tree, document, origins)
    leaf = chain[0]
    spec = convert(Document(leaf.name, tree, {}), MappingSpec)
    mapping = Mapping(leaf.name, spec, origins, shipped=path.is_relative_to(_shipped_folder()))
    _check_joined(mapping)
    return mapping


def shipped_mappings() -> list[str]:
    """The names of the mappings that ship with ptbridge: standards/… and emrs/…."""
    root = _shipped_folder()
    return sorted(f"{kind}/{path.stem}" for kind in ("standards", "emrs") for path in (root / kind).glob("*.yaml"))


# ---------------------------------------------------------------- finding files


def _shipped_folder() -> Path:
    return Path(str(resources.files("ptbridge_mappings")))


def _find(name: str, folder: Path | None) -> Path:
    """A file beside the clinic file if there is one, else a shipped mapping. Never outside those two folders."""
    pure = PurePosixPath(name)
    if folder is None and name.endswith((".yaml", ".yml")):
        return Path(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ConfigError(f"the mapping {name!r} leaves its folder. Name a file beside this one, or a shipped mapping.")
    if folder is not None:
        for candidate in (folder / name, folder / f"{name}.yaml"):
            if candidate.is_file():
                return candidate
    shipped = _shipped_folder() / f"{name.removesuffix('.yaml')}.yaml"
    if shipped.is_file():
        return shipped
    raise ConfigError(f"there is no mapping {name!r}. Shipped: {', '.join(shipped_mappings())}.")


def _chain(path: Path) -> Iterator[Document]:
    """The document and all that it extends, nearest first."""
    seen: list[Path] = []
    while True:
        document = load(path)
        seen.append(path.resolve())
        yield document
        parent = document.data.get("extends") if isinstance(document.data, dict) else None
        if not isinstance(parent, str):
            return
        try:
            path = _find(parent, path.parent)
        except ConfigError as error:
            raise ConfigError(f"extends: {error}", where=document.where("extends")) from None
        if path.resolve() in seen or len(seen) >= MAX_CHAIN:
            raise ConfigError(f"extends: {parent!r} leads back in a circle. Remove one.", where=document.where("extends"))


# ---------------------------------------------------------------- joining


def _join(tree: dict[str, Any], document: Document, origins: dict[tuple[str, ...], str]) -> None:
    """Write `document` over `tree`: keys of a section replace, look-up tables and code systems grow."""
    for section, written in document.data.items():
        origins[(section,)] = document.where(section)
        if not isinstance(written, dict):
            tree[section] = written
            continue
        target = tree.setdefault(section, {})
        for key, value in written.items():
            origins[(section, key)] = document.where(section, key)
            if section == "lookups":
                target.setdefault(key, {}).update(value)
                origins.update({(section, key, word): document.where(section, key, word) for word in value})
            elif section in _JOINED_SECTIONS:
                target[key] = [*value, *(old for old in target.get(key, ()) if old not in value)]
            else:
                target[key] = value


# ---------------------------------------------------------------- checking


def _check_file(document: Document) -> None:
    """The file by itself: keys and values, and rules of a single field."""
    spec = convert(document, MappingSpec)
    found = [
        Problem(key, f"{key[0]}.{key[1]}: {text}")
        for key, written in _fields(spec)
        for text in _field_problems(key[1], written)
    ]
    for table, words in spec.lookups.items():
        for word, value in words.items():
            found += [Problem(("lookups", table, word), f"lookups.{table}.{word}: {text}") for text in _entry_problems(value)]
    if found:
        raise document.refuse(found)


def _fields(spec: MappingSpec) -> Iterator[tuple[tuple[str, str], FieldSpec]]:
    for section in spec.__struct_fields__:
        group = getattr(spec, section)
        for name in getattr(group, "__struct_fields__", ()):
            written = getattr(group, name)
            if isinstance(written, FieldSpec):
                yield (section, name), written


def _field_problems(name: str, written: FieldSpec) -> Iterator[str]:
    if written.fixed is not None and (written.take or written.lookup):
        yield "`fixed` stands alone: it would hide what `take` finds. Remove one of them."
    if written.fixed is None and not written.take:
        yield "says neither `take` nor `fixed`. Write one."
    if written.unit and name not in _MINUTE_FIELDS:
        yield "`unit` is for minutes only. Remove it."
    if name in _MINUTE_FIELDS and not written.unit and written.fixed is None:
        yield "a number of minutes needs `unit`: min, s, h or auto (auto reads the unit that the record states)."
    if name in _MINUTE_FIELDS and written.fixed is not None:
        yield "minutes are never fixed: they are documented or absent. Use `take`."


def _entry_problems(value: str | LookupEntry | tuple[LookupEntry, ...]) -> Iterator[str]:
    entries = value if isinstance(value, tuple) else (value,)
    for entry in entries:
        if isinstance(entry, str):
            if not entry:
                yield "is empty. Write a code, not-billable or hold."
            continue
        outcomes = (entry.code is not None) + entry.not_billable + (entry.hold is not None)
        if outcomes != 1:
            yield "needs exactly one of `code`, `not_billable: true`, `hold: [candidates]`."
        if entry.modifiers and entry.code is None:
            yield "`modifiers` belong to a `code`."


def _check_joined(mapping: Mapping) -> None:
    """The whole: every look-up that a field names exists."""
    tables = mapping.spec.lookups
    lines = [
        f"{mapping.where(*key, 'lookup')}: {key[0]}.{key[1]}: there is no look-up table {written.lookup!r}. "
        f"Known tables: {', '.join(sorted(tables)) or 'none'}."
        for key, written in _fields(mapping.spec)
        if written.lookup is not None and written.lookup not in tables
    ]
    if lines:
        raise ConfigError("\n".join(lines))


def take_paths(written: FieldSpec | None) -> tuple[str, ...]:
    """The paths of a field, none for a field that nobody wrote."""
    return texts(written.take) if written is not None else ()
