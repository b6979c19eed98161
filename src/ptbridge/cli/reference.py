"""`ptbridge reference`: CMS's own files (code pairs, unit maximums, diagnosis codes ...), loaded, listed, watched."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import config_option, date_of, json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ptbridge.policy.reference import Coverage, Entry


@click.group()
def reference() -> None:
    """Load and watch CMS's own files: code pairs, unit maximums, diagnosis codes."""


@reference.command()
@config_option
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--period", metavar="PERIOD", help="What the files are for when their names do not say: 2026Q4, 2026 or FY2026.")
@click.option("--parts", type=click.IntRange(1, 99), default=4, show_default=True, help="How many files a pair table comes in.")
@json_option
def load(config_folder: Path, files: tuple[Path, ...], period: str | None, parts: int, json_wanted: bool) -> None:
    """Load official files, zip or text, all of them or nothing.

    Name what you downloaded from cms.gov: the four zips of a quarter's pair edits in one command, a unit maximum table, the
    add-on code edits, a relative value zip, the therapy code list, an ICD-10-CM order file; or a table of thresholds.
    """
    from ptbridge.policy.reference import load as load_files

    with screen.Progress(quiet=json_wanted) as progress:
        report = load_files(files, _folder(config_folder, must_exist=True), period=period, parts=parts, told=progress)
    if json_wanted:
        screen.put_json({"loaded": [_row(entry) for entry in report.loaded], "ignored": report.ignored})
        return
    _say_editions(report.loaded)
    if report.ignored:
        screen.say(screen.wrapped(f"Left alone: {', '.join(report.ignored)}."))


@reference.command("list")
@config_option
@json_option
def list_editions(config_folder: Path, json_wanted: bool) -> None:
    """List what is loaded: which file, for which service dates, since when."""
    from ptbridge.policy.reference.index import read_index

    entries = read_index(_folder(config_folder))
    if json_wanted:
        screen.put_json([_row(entry) for entry in entries])
    elif entries:
        _say_editions(entries)
    else:
        screen.say("Nothing is loaded. The small tables that ptbridge ships are used; see ptbridge reference check.")


@reference.command()
@config_option
@click.option("--on", metavar="DATE", callback=date_of, help="As if today were this day.")
@json_option
def check(config_folder: Path, on: date | None, json_wanted: bool) -> int:
    """Say which file covers today's service dates, what is missing and what runs out within 30 days.

    Exit code 3 when a file is missing for today or about to run out. Every look-up file is read and its checksum compared.
    """
    from ptbridge.policy.reference import Reference, coverage, damaged

    folder = _folder(config_folder)
    today = on or date.today()  # noqa: DTZ011  the civil day here is meant
    rows = coverage(Reference.open(folder), today)
    broken = damaged(folder)
    if json_wanted:
        screen.put_json({"on": today, "files": rows, "damaged": broken})
    else:
        _say_coverage(rows, broken, today)
    if broken:
        return exit_codes.CONFIG
    return exit_codes.HELD if any(row.asks_for_a_person for row in rows) else exit_codes.DONE


def _folder(config_folder: Path, *, must_exist: bool = False) -> Path:
    from ptbridge.errors import ConfigError

    if must_exist and not config_folder.is_dir():
        raise ConfigError(
            "there is no such config folder. Run ptbridge init, or name another with --config.", where=str(config_folder)
        )
    return config_folder / "reference"


def _row(entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = screen.plain(entry)
    return row | {"period": entry.period.name, "first": entry.period.first.isoformat(), "last": entry.period.last.isoformat()}


def _say_editions(entries: Sequence[Entry]) -> None:
    from ptbridge.policy.reference import KINDS

    rows = [
        (
            entry.kind,
            entry.period.name,
            f"{entry.bytes / 1000:,.1f} kB",
            _counted(entry),
            entry.loaded_at[:19],
            KINDS[entry.kind].title,
        )
        for entry in entries
    ]
    screen.say(screen.table(rows, headings=("kind", "period", "size", "rows", "loaded at", "what"), right=(2, 3)))


def _counted(entry: Entry) -> str:
    return f"{entry.counts.get('pairs_kept', entry.counts.get('rows', 0)):,}"


_WORDS = {"covered": "ok", "runs_out": "soon", "missing": "MISSING", "not_loaded": "-"}


def _say_coverage(rows: Sequence[Coverage], broken: Sequence[str], today: date) -> None:
    table = [(_WORDS[row.state], row.kind, row.until or "", ", ".join(row.periods) or "none", row.source) for row in rows]
    screen.say(f"Service dates of {today}:")
    screen.say(screen.table(table, headings=("", "kind", "until", "periods", "what answers")))
    for name in broken:
        screen.say(screen.wrapped(f"{name}: the file was changed since it was loaded. Load the official file again."))
    for row in rows:
        for first, last in row.gaps:
            screen.say(screen.wrapped(f"{row.kind}: service dates {first} to {last} are not covered."))
        if row.asks_for_a_person:
            screen.say(screen.wrapped(f"{row.kind}: {row.what_to_do}"))
