"""The options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

DEFAULT_FOLDER = Path("ptbridge")


def config_option(command: _Command) -> _Command:
    """`--config DIR` as `config_folder`: the config folder, which need not exist yet."""
    return click.option(
        "--config",
        "config_folder",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="PTBRIDGE_CONFIG",
        default=DEFAULT_FOLDER,
        show_default=True,
        metavar="DIR",
        help="The config folder (or PTBRIDGE_CONFIG).",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json` as `as_json`: the answer as JSON on standard output."""
    return click.option("--json", "json_wanted", is_flag=True, help="Print the answer as JSON.")(command)


def clinic_option(command: _Command) -> _Command:
    """`--clinic NAME` as `clinic`: one clinic only."""
    return click.option("--clinic", metavar="NAME", help="One clinic only; all of the config folder otherwise.")(command)


def date_of(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    """The callback of an option that takes a civil date."""
    try:
        return None if value is None else date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date. Write it as 2026-01-31.", context, parameter) from None
