"""`ptbridge purge`: take out of ledger and inbox what is settled and old; the accounting stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import screen
from ptbridge.cli.options import clinic_option, config_option, json_option
from ptbridge.cli.worklist import actor_option
from ptbridge.model import dollars

_PARTS = (
    ("records", "payload"),
    ("visit_versions", "visit content"),
    ("judgements", "judgement text"),
    ("submissions", "submission body"),
    ("answers", "answer text"),
    ("messages", "inbox message"),
    ("run_texts", "run summary"),
)


@click.command()
@click.option("--older-than", "days", type=int, required=True, metavar="DAYS", help="Settled for more than so many days.")
@click.option("--yes", is_flag=True, help="Do it. Without it, only show what would go.")
@actor_option
@config_option
@clinic_option
@json_option
def purge(days: int, yes: bool, actor: str, config_folder: Path, clinic: str | None, json_wanted: bool) -> None:
    """Remove payloads, bodies and texts of days settled long ago.

    Only days that nobody waits for and that no payer takes a claim for any more. Counts, units, cents, codes, keys,
    references and the history stay, and verify still passes. It cannot be taken back; older backups still have everything.
    """
    from ptbridge.jobs.purge import purge as job
    from ptbridge.specs.config import load_config

    answer = job(load_config(config_folder), clinic, older_than_days=days, really=yes, actor=actor)
    if json_wanted:
        screen.put_json(answer)
        return
    for name, found in answer.items():
        _show(name, found)
    if not yes:
        screen.say("Nothing was changed. With --yes it is done, and cannot be taken back.")


def _show(name: str, found: Mapping[str, Any]) -> None:
    verb = "purged" if found["purged"] else "would be purged"
    screen.say(f"{screen.clean(name)}: {screen.count(found['days'], 'treatment day')} {verb}", bold=True)
    for key, noun in _PARTS:
        if found[key]:
            screen.say(f"  {screen.count(found[key], noun)}")
    if found["days"]:
        screen.say(f"  kept: {screen.count(found['units'], 'unit')}, {dollars(found['amount_cents'])} live, keys, history")
    if found["may_still_be_filed"]:
        left = screen.count(found["may_still_be_filed"], "treatment day")
        screen.say(f"  {left} that old may still be filed with the payer, and stay as they are")
