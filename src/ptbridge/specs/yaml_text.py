"""YAML where every value is text, every key knows its line, and nothing runs.

YAML's own guessing damages this field: `02` becomes 2, `8:30` becomes 510, `NO` becomes false. So a file is read as events
and built into dicts, lists and text only. Refused: duplicate keys, anchors and aliases (also `<<` merges), tags, several
documents, empty values, files that are too large or too deep. Then `convert` fits the tree to a msgspec type and names
every problem of the file at once, each as `file:line: key.path: what is wrong. What to do.`
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from ptbridge.errors import ConfigError
from ptbridge.specs.type_check import Key, Problem, dotted, problems

T = TypeVar("T")

MAX_BYTES = 4 * 1024 * 1024  # the largest file that we ship is under 100 KB
MAX_DEPTH = 24

_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as dicts, lists and text. `lines` gives the 1-based line of each key or list item by its path."""

    name: str
    data: Any
    lines: dict[Key, int] = field(repr=False)

    def line(self, *key: str | int) -> int:
        """The line where this key is written; of its nearest known parent if the key itself is absent."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def where(self, *key: str | int) -> str:
        """`file:line` of a key, as the first part of a message."""
        return f"{self.name}:{self.line(*key)}"

    def refuse(self, found: list[Problem]) -> ConfigError:
        """One ConfigError that names every problem of the file, in the order of its lines."""
        ordered = sorted(found, key=lambda problem: self.line(*problem.key))
        texts = [(self.where(*problem.key), problem.text) for problem in ordered]
        first_where, first_text = texts[0]
        return ConfigError("\n".join([first_text, *(f"{where}: {text}" for where, text in texts[1:])]), where=first_where)


def load(path: Path | str) -> Document:
    """Read a YAML file as text. Raises ConfigError with `file:line` for anything that could be read in two ways."""
    path = Path(path)
    name = display_name(path)
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror}). Check the path and its permissions.", where=name) from None
    if size > MAX_BYTES:
        raise ConfigError(f"has {size} bytes; at most {MAX_BYTES} are read.", where=name)
    return parse(content, name=name)


def parse(content: bytes | str, *, name: str = "<text>") -> Document:
    """As `load`, from bytes or text; `name` stands for the file in messages."""
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(f"byte {error.start} is not UTF-8. Save the file as UTF-8.", where=name) from None
    builder = _Builder(name)
    try:
        data = builder.document(iter(yaml.parse(content, Loader=_PARSER)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "is not YAML"
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(f"not readable as YAML: {what}.", where=where) from None
    document = Document(name, data, builder.lines)
    if builder.found:
        raise document.refuse(builder.found)
    return document


def convert(document: Document, type_: type[T], *, data: Any = None) -> T:
    """Fit the document (or `data`, a tree of the same shape) to a msgspec type; texts become dates and numbers there.

    Raises one ConfigError with every unknown key, missing key and unreadable value of the file.
    """
    tree = document.data if data is None else data
    found = list(problems(type_, tree))
    if found:
        raise document.refuse(found)
    try:
        return msgspec.convert(tree, type_, strict=False)
    except msgspec.ValidationError as error:  # a rule of the type itself, such as a pattern
        raise ConfigError(f"{error}.", where=document.name) from None


def display_name(path: Path) -> str:
    """The path as a person would type it: relative to the working directory where it lies inside it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


class _Builder:
    """Builds the tree from YAML events and collects what it refuses."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines: dict[Key, int] = {}
        self.found: list[Problem] = []

    def document(self, events: Iterator[Event]) -> Any:
        """The only document of the stream; an empty file is an empty table."""
        data: Any = {}
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line = _line(event)
                    raise ConfigError("a second document starts here. Keep one per file.", where=f"{self.name}:{line}")
                event = next(events)
                if not (isinstance(event, ScalarEvent) and not event.value):
                    data = self.value(event, events, ())
        return data

    def value(self, event: Event, events: Iterator[Event], key: Key) -> Any:
        """A dict, list or text from this event and those that belong to it."""
        line = _line(event)
        self.lines.setdefault(key, line)
        if len(key) > MAX_DEPTH:
            raise ConfigError(f"nested deeper than {MAX_DEPTH} levels.", where=f"{self.name}:{line}")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self.refuse(key, "anchors and aliases (& and *) are not read. Write the value out, or use `extends`.")
        tag = getattr(event, "tag", None)
        if tag:
            self.refuse(key, f"the tag {tag!r} is not read. Every value is text; remove the tag.")
        if isinstance(event, MappingStartEvent):
            return self.mapping(events, key)
        if isinstance(event, SequenceStartEvent):
            return self.sequence(events, key)
        if not isinstance(event, ScalarEvent):
            return ""
        if not event.value and not event.style:  # a quoted empty text has a style
            self.refuse(key, "has no value. Write one, or remove the key; '' is an empty text.")
        return event.value

    def mapping(self, events: Iterator[Event], key: Key) -> dict[str, Any]:
        """A table; the line of each key is where the key itself stands."""
        table: dict[str, Any] = {}
        for event in events:
            if isinstance(event, MappingEndEvent):
                break
            if not isinstance(event, ScalarEvent):
                raise ConfigError("a key must be text.", where=f"{self.name}:{_line(event)}")
            word = event.value
            child = (*key, word)
            line = _line(event)
            value_event = next(events)
            if word in table:
                first = self.lines[child]
                self.found.append(Problem(key, f"{dotted(child)}: written twice, in lines {first} and {line}. Keep one."))
                self.value(value_event, events, (*key, f"{word} (second)"))
                continue
            if event.anchor or event.tag or word == "<<":
                self.refuse(child, "anchors, tags and merges (<<) are not read. Write the keys out, or use `extends`.")
            self.lines[child] = line
            table[word] = self.value(value_event, events, child)
        return table

    def sequence(self, events: Iterator[Event], key: Key) -> list[Any]:
        """A list; items are numbered from 0 in `lines`."""
        items: list[Any] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                break
            items.append(self.value(event, events, (*key, len(items))))
        return items

    def refuse(self, key: Key, what: str) -> None:
        """Keep a problem for the end, so that a person sees all of them."""
        self.found.append(Problem(key, f"{dotted(key)}: {what}" if key else what))


def _line(event: Event) -> int:
    """The 1-based line where an event starts."""
    mark = event.start_mark
    return mark.line + 1 if mark else 1
