"""`ptbridge destination`: which ways charges can go to a biller, and what each needs and can be told."""

from __future__ import annotations

import click

from ptbridge.cli import screen
from ptbridge.cli.options import json_option


@click.group()
def destination() -> None:
    """List the ways to a biller, or what one needs and can be told."""


@destination.command("list")
@json_option
def list_destinations(json_wanted: bool) -> None:
    """List the destinations: which platform, and how charges go there."""
    from ptbridge import plugins

    found = [module.INFO for module in plugins.destinations().values()]
    if json_wanted:
        screen.put_json(found)
        return
    screen.say(screen.table([(info.name, info.summary) for info in found]))
    screen.say("\nWhat one needs and can be told in the clinic file: ptbridge destination options NAME")


@destination.command()
@click.argument("name", metavar="NAME")
@json_option
def options(name: str, json_wanted: bool) -> None:
    """List what a destination can be told under destination.options, and what its claims state."""
    from ptbridge import plugins

    info = plugins.destination(name).INFO
    if json_wanted:
        screen.put_json(info)
        return
    rows = [(key, f"{text}{' (required)' if key in info.required else ''}") for key, text in info.options.items()]
    screen.say(screen.table(rows) if rows else "  It takes no options.")
    if info.states:
        screen.say("\nKeys of the clinic file that each claim states; without one every day is held (SB03):")
        screen.say(screen.wrapped(", ".join(info.states), indent="  "))
