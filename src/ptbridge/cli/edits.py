"""`ptbridge edits`: the checks that every charge must pass."""

from __future__ import annotations

import click

from ptbridge.cli import screen
from ptbridge.cli.options import json_option
from ptbridge.ports import Edit


@click.group()
def edits() -> None:
    """List the edits that every charge must pass."""


@edits.command("list")
@json_option
def list_edits(json_wanted: bool) -> None:
    """List every edit: its code, whether it holds the charge, and what it finds."""
    from ptbridge import plugins

    found = plugins.edits()
    if json_wanted:
        screen.put_json([{"code": edit.code, "severity": edit.severity, "title": edit.title} for edit in found])
        return
    screen.say(screen.table([(edit.code, _holds(edit), edit.title) for edit in found]))
    screen.say(
        f"\n{screen.count(len(found), 'edit')}. The manual page of one: ptbridge explain {found[0].code if found else 'UN01'}"
    )


def _holds(edit: Edit) -> str:
    return "holds" if edit.severity.value == "error" else edit.severity.value
