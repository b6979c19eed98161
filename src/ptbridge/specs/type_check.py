"""Every problem of a tree of texts against a msgspec type. msgspec itself stops at the first and knows no line."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

Key = tuple[str | int, ...]


class Problem(NamedTuple):
    """What is wrong at a key. `text` is the whole sentence, the key path included."""

    key: Key
    text: str


def problems(type_: Any, tree: Any) -> Iterator[Problem]:
    """All that keeps `tree` (dicts, lists, text) from being a `type_`: unknown and missing keys, unreadable values."""
    yield from _check(_type_info(type_), tree, ())


@lru_cache(maxsize=64)
def _type_info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


def _check(kind: inspect.Type, value: Any, key: Key) -> Iterator[Problem]:
    if isinstance(kind, inspect.UnionType):
        kind = _member(kind, value)
    if isinstance(kind, inspect.StructType):
        yield from _check_struct(kind, value, key)
    elif isinstance(kind, inspect.DictType):
        yield from _check_dict(kind, value, key)
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
        yield from _check_list(kind.item_type, value, key)
    elif not isinstance(value, str):
        yield _problem(key, f"must be {_wanted(kind)}, not a {'table' if isinstance(value, dict) else 'list'}.")
    elif not _readable(kind, value):
        yield _problem(key, f"{value!r} is not {_wanted(kind)}.")


def _member(union: inspect.UnionType, value: Any) -> inspect.Type:
    """The member of a union that fits the shape of the value; else one whose complaint will make sense."""
    tables = (inspect.StructType, inspect.DictType)
    lists = (inspect.VarTupleType, inspect.ListType)
    members = [member for member in union.types if not isinstance(member, inspect.NoneType)]
    for member in members:
        is_table, is_list = isinstance(member, tables), isinstance(member, lists)
        if (isinstance(value, dict) and is_table) or (isinstance(value, list) and is_list):
            return member
        if isinstance(value, str) and not is_table and not is_list:
            return member
    return members[0]


def _check_struct(kind: inspect.StructType, value: Any, key: Key) -> Iterator[Problem]:
    fields = {field.encode_name: field for field in kind.fields}
    known = ", ".join(fields)
    if not isinstance(value, dict):
        yield _problem(key, f"must be a table with the keys {known}.")
        return
    for word, child in value.items():
        if word in fields:
            yield from _check(fields[word].type, child, (*key, word))
        else:
            yield Problem((*key, word), f"{_path(key)}unknown key {word!r}. Known keys: {known}.")
    for word, field in fields.items():
        if field.required and word not in value:
            yield _problem(key, f"the key {word!r} is missing. Add it.")


def _check_dict(kind: inspect.DictType, value: Any, key: Key) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _problem(key, "must be a table of keys and values.")
        return
    for word, child in value.items():
        if not _readable(kind.key_type, word):
            yield _problem((*key, word), f"the key {word!r} is not {_wanted(kind.key_type)}.")
        yield from _check(kind.value_type, child, (*key, word))


def _check_list(item: inspect.Type, value: Any, key: Key) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _problem(key, "must be a list. Write it as [first, second].")
        return
    for index, child in enumerate(value):
        yield from _check(item, child, (*key, index))


def _readable(kind: inspect.Type, value: str) -> bool:
    """Can this text be that kind of value? Kinds without a rule here are left to msgspec."""
    if isinstance(kind, inspect.LiteralType):
        return value in kind.values
    if isinstance(kind, inspect.EnumType):
        return value in {member.value for member in kind.cls}
    if isinstance(kind, inspect.BoolType):
        return value in ("true", "false")
    wanted = {inspect.IntType: int, inspect.FloatType: float, inspect.DateType: datetime.date}.get(type(kind))
    if wanted is None:
        return True
    try:
        msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        return False
    return True


def _wanted(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, inspect.EnumType):
        return "one of " + ", ".join(str(member.value) for member in kind.cls)
    words = {
        inspect.BoolType: "true or false",
        inspect.IntType: "a whole number",
        inspect.FloatType: "a number",
        inspect.DateType: "a date such as 2026-01-31",
    }
    return words.get(type(kind), "text")


def _problem(key: Key, what: str) -> Problem:
    return Problem(key, f"{_path(key)}{what}")


def _path(key: Key) -> str:
    return f"{dotted(key)}: " if key else ""


def dotted(key: Key) -> str:
    """A key path as text: `settings.counting_rule[0].use`."""
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
