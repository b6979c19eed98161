"""`ptbridge exit-codes`: the page that a scheduler's author needs."""

from __future__ import annotations

import click

from ptbridge.cli import screen
from ptbridge.cli.exit_codes import MEANING
from ptbridge.cli.options import json_option


@click.command("exit-codes")
@json_option
def exit_code_page(json_wanted: bool) -> None:
    """List the exit codes and what a scheduler should do."""
    if json_wanted:
        screen.put_json([{"exit_code": code, "means": means, "do": advice} for code, (means, advice) in MEANING.items()])
        return
    screen.say(screen.table([(code, means, advice) for code, (means, advice) in MEANING.items()], right=(0,)))
