"""`ptbridge listen`: receive HL7 v2 messages over MLLP and from drop folders."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option

if TYPE_CHECKING:
    from ptbridge.jobs.listen import Heard, Listening


@click.command()
@config_option
@clinic_option
@click.option("--port", type=click.IntRange(0, 65535), help="Another port than the clinic file's; 0: any free one.")
@click.option("--folder", metavar="DIR", help="Another drop folder than the clinic file's.")
@click.option("--health", type=click.IntRange(0, 65535), metavar="PORT", help="Answer /healthz on this loopback port; 0: any.")
@json_option
def listen(
    config_folder: Path, clinic: str | None, port: int | None, folder: str | None, health: int | None, json_wanted: bool
) -> int:
    """Receive HL7 v2 messages, each stored before it is acknowledged.

    Runs until it is stopped: as a service, beside the scheduled sync. Address, TLS files, who may send and how it is
    answered stand in the clinic file under source.options (ptbridge connector options hl7v2). SIGTERM ends it in order,
    within ten seconds.
    """
    from ptbridge.jobs.listen import listen as run
    from ptbridge.specs.config import load_config

    heard = run(load_config(config_folder), clinic, port=port, folder=folder, health=health, ready=partial(_ready, json_wanted))
    _goodbye(heard, json_wanted)
    return exit_codes.DONE


def _ready(json_wanted: bool, listening: Sequence[Listening]) -> None:
    """One line for each clinic, or one line of JSON for all: whoever started us waits for it."""
    if json_wanted:
        _put(listening)
    for one in () if json_wanted else listening:
        places = [f"{one.address} ({one.secured})" if one.address else "", f"folder {one.folder}" if one.folder else ""]
        what = f"{one.clinic}, its biller's answers," if one.answers else one.clinic
        screen.say(f"ready: {what} on {' and '.join(place for place in places if place)}")
    if listening and listening[0].health and not json_wanted:
        screen.say(f"health: http://{listening[0].health}/healthz")
    sys.stdout.flush()


def _goodbye(heard: Heard, json_wanted: bool) -> None:
    if json_wanted:
        _put(heard)
        return
    counted = ", ".join(f"{clinic} {count}" for clinic, count in sorted(heard.received.items()) if count)
    screen.say(f"stopped; messages received: {counted or 'none'}")
    for code, count in sorted(heard.problems.items()):
        if count:
            screen.say(f"{count} {code}")


def _put(answer: object) -> None:
    """JSON on one line: a service's output is read line by line."""
    screen.say(json.dumps(screen.plain(answer), ensure_ascii=False))
