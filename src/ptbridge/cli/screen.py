"""How answers look: tables and lines for a person, one JSON document for a program. Data can never steer the terminal."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import click

# C0 and C1 control characters (an escape sequence starts with one) and the marks that reorder text on the screen.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]+")
_PLURALS = {"day": "days"}
_LEAST_ROOM = 24  # columns in which text can still be read


def clean(value: object) -> str:
    """Any value as one line of text that cannot move the cursor, colour the screen or reorder its neighbours."""
    return _STEERING.sub(" ", str(value)).rstrip() if value is not None else ""


def say(line: str = "", *, nl: bool = True, **style: Any) -> None:
    """One line of ours. Colour only on a terminal and never with NO_COLOR; the words alone always suffice."""
    click.echo(click.style(line, **style) if style else line, nl=nl, color=False if os.environ.get("NO_COLOR") else None)


def count(number: int, noun: str) -> str:
    """`1 visit`, `1,204 visits`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {_PLURALS.get(noun, noun + 's')}"


def width() -> int:
    """Columns to wrap at; 0 for no wrapping, when the output is not a terminal."""
    return min(shutil.get_terminal_size((100, 24)).columns, 120) if sys.stdout.isatty() else 0


def wrapped(text: object, *, indent: str = "", then: str | None = None) -> str:
    """Text after `indent`, wrapped on a terminal with `then` before its later lines; one line elsewhere."""
    words = clean(text)
    columns = width()
    if not columns:
        return indent + words
    later = indent if then is None else then
    return textwrap.fill(words, columns, initial_indent=indent, subsequent_indent=later, break_long_words=False) or indent


def table(
    rows: Sequence[Sequence[object]], *, headings: Sequence[str] = (), right: Sequence[int] = (), indent: str = "  "
) -> str:
    """Columns aligned by content, the ones in `right` to the right; on a terminal the last column wraps.

    Where a terminal leaves it no room, the last column goes below each row behind its heading, and the first one above its row
    where the others alone are too wide.
    """
    cells = [[clean(cell) for cell in row] for row in ([list(headings)] if headings else []) + [list(row) for row in rows]]
    if not cells:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    room, start = width(), len(indent) + sum(size + 2 for size in widths[:-1])
    if room and start + widths[-1] > room and room - start < _LEAST_ROOM:
        return "\n".join(_stacked(cells, widths, right, indent, cells[0][-1] if headings else None))
    return "\n".join(_row(row, widths, right, indent) for row in cells)


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> list[str]:
    cells = enumerate(zip(row, widths, strict=True))
    return [cell.rjust(size) if at in right else cell.ljust(size) for at, (cell, size) in cells]


def _stacked(
    cells: Sequence[Sequence[str]], widths: Sequence[int], right: Sequence[int], indent: str, heading: str | None
) -> Iterator[str]:
    """Each row without its last cell, which is below it, and without its first, which is above it, if that is too wide."""
    below = f"{indent}    " + (f"{heading}: " if heading else "")
    for number, row in enumerate(cells):
        padded = _padded(row, widths, right)[:-1]
        line = (indent + "  ".join(padded)).rstrip()
        if len(indent) + sum(size + 2 for size in widths[:-1]) - 2 <= width():
            yield line
        else:
            yield wrapped(row[0], indent=indent, then=f"{indent}  ")
            yield (f"{indent}  " + "  ".join(padded[1:])).rstrip()
        if row[-1] and (heading is None or number):
            yield wrapped(row[-1], indent=below, then=f"{indent}      ")


def _row(row: Sequence[str], widths: Sequence[int], right: Sequence[int], indent: str) -> str:
    padded = _padded(row, widths, right)
    start = indent + "  ".join([*padded[:-1], ""])
    room = width()
    if not room or len(row[-1]) <= room - len(start):
        return (start + padded[-1]).rstrip()
    lines = textwrap.wrap(row[-1], room - len(start), break_long_words=False)
    return ("\n" + " " * len(start)).join(lines).join([start, ""])


def as_json(value: object, *, lines: bool = False) -> str:
    """The value as JSON: indented for one document, on one line for JSON Lines. Dataclasses and enums are understood."""
    import msgspec

    encoded = msgspec.json.encode(value)
    text = (encoded if lines else msgspec.json.format(encoded, indent=2)).decode()
    # JSON leaves DEL and C1 characters as they are, and some terminals obey them; they stand inside strings only.
    return re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", text)


def put_json(value: object, *, lines: bool = False) -> None:
    """Print the value as JSON on standard output."""
    click.echo(as_json(value, lines=lines))


def plain(value: object) -> Any:
    """Dataclasses, enums and dates as dicts, lists, text and numbers: what JSON would show."""
    import msgspec

    return msgspec.to_builtins(value, str_keys=True)


class Progress:
    """A callable `(stage, done, total)`: one rewritten line on a terminal, one plain line for each stage elsewhere.

    It writes to standard error, so that standard output is the answer alone.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._stage = ""
        self._last = ""

    def __call__(self, stage: str, done: int = 0, total: int | None = None) -> None:
        """Show that `done` of `total` (None when unknown) of this stage are finished."""
        if self._quiet:
            return
        changed, self._stage = stage != self._stage, stage
        if self._live:
            self._show(_bar(clean(stage), done, total))
        elif changed:
            click.echo(clean(stage), err=True)

    def close(self) -> None:
        """Leave no half line behind."""
        if self._last:
            self._show("")
            self._last = ""

    def _show(self, line: str) -> None:
        if line != self._last:
            click.echo("\r" + line.ljust(len(self._last)) + ("\r" if not line else ""), err=True, nl=False)
            self._last = line

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _bar(stage: str, done: int, total: int | None) -> str:
    if not total:
        return f"{stage} {done:,}" if done else stage
    filled = round(24 * min(done, total) / total)
    return f"{stage} [{'#' * filled}{'.' * (24 - filled)}] {done:,} of {total:,}"
