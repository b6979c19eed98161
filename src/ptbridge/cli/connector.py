"""`ptbridge connector`: which EMRs are known, and what a given server can and cannot do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptbridge.cli import screen
from ptbridge.cli.options import config_option, json_option
from ptbridge.errors import ConfigError

if TYPE_CHECKING:
    from ptbridge.specs.clinic import ClinicSpec
    from ptbridge.specs.config import Config


@click.group()
def connector() -> None:
    """List the connectors, or ask an EMR what it can do."""


@connector.command("list")
@json_option
def list_connectors(json_wanted: bool) -> None:
    """List the connectors: which EMR, which standard, how visits arrive."""
    from ptbridge import plugins

    found = [module.INFO for module in plugins.connectors().values()]
    if json_wanted:
        screen.put_json(found)
        return
    screen.say(screen.table([(info.name, info.standard, info.mapping, info.summary) for info in found]))
    screen.say("\nWhat one can be told in the clinic file: ptbridge connector options NAME")


@connector.command()
@click.argument("name", metavar="NAME")
@json_option
def options(name: str, json_wanted: bool) -> None:
    """List what a connector can be told under source.options in the clinic file."""
    from ptbridge import plugins

    info = plugins.connector(name).INFO
    if json_wanted:
        screen.put_json({"name": info.name, "options": info.parameters, "required": info.required})
        return
    rows = [(key, f"{text}{' (required)' if key in info.required else ''}") for key, text in info.parameters.items()]
    screen.say(screen.table(rows) if rows else "  It takes no options.")


@connector.command()
@click.argument("name", metavar="NAME")
@config_option
@json_option
def check(name: str, config_folder: Path, json_wanted: bool) -> None:
    """Ask an EMR what it can and cannot do, and say which way is taken instead.

    NAME is a clinic of the config folder, or a connector that one of its clinics uses. Reads the server's capability
    statement only, and sends nothing.
    """
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    clinics = [spec for spec in config.clinics.values() if name in (spec.clinic, spec.source.connector)]
    if not clinics:
        known = ", ".join(f"{spec.clinic} ({spec.source.connector})" for spec in config.clinics.values())
        raise ConfigError(f"no clinic {name!r}, and none that uses a connector {name!r}. Known: {known}.")
    answers = {spec.clinic: asyncio.run(_check(config, spec)) for spec in clinics}
    if json_wanted:
        screen.put_json(answers)
        return
    for clinic, sentences in answers.items():
        source = config.clinics[clinic].source
        screen.say(f"{clinic}: {source.base_url or source.connector}", bold=True)
        for sentence in sentences:
            screen.say(screen.wrapped(sentence, indent="  - ", then="    "))


async def _check(config: Config, spec: ClinicSpec) -> list[str]:
    from ptbridge import plugins
    from ptbridge.jobs.peers import open_source

    async with open_source(config, spec) as client:
        sentences: list[str] = await plugins.connector(spec.source.connector).check(client)
        return sentences
