"""`ptbridge doctor`: the whole set-up, one line for each check, and what to do about each that is not right."""

from __future__ import annotations

from pathlib import Path

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@config_option
@clinic_option
@click.option("--offline", is_flag=True, help="Leave the EMR and the biller alone.")
@json_option
def doctor(config_folder: Path, clinic: str | None, offline: bool, json_wanted: bool) -> int:
    """Check the whole set-up and say what to do.

    Config, permissions, secrets, mapping, payers, prices, ledger; then the EMR and the biller themselves, unless --offline.
    Reads only. Exit code 6 if something in the set-up fails, 5 if only the EMR or the biller does.
    """
    from ptbridge.cli.checks import Check, all_checks

    found: list[Check] = []
    subject = ""
    for check in all_checks(config_folder, clinic, offline=offline):
        found.append(check)
        if json_wanted:
            continue
        if check.subject != subject:
            subject = check.subject
            screen.say(("\n" if len(found) > 1 else "") + screen.clean(subject), bold=True)
        _show(check)
    failed = [check for check in found if check.status == "fail"]
    if json_wanted:
        screen.put_json({"ok": not failed, "checks": found})
    else:
        warned = sum(check.status == "warn" for check in found)
        screen.say(f"\n{screen.count(len(found), 'check')}: {len(failed)} failed, {screen.count(warned, 'warning')}.")
    if not failed:
        return exit_codes.DONE
    return exit_codes.PEER if all(check.peer for check in failed) else exit_codes.CONFIG


def _show(check: object) -> None:
    from ptbridge.cli.checks import Check

    assert isinstance(check, Check)
    screen.say(f"  {check.status:<5}", fg=_COLOURS[check.status], nl=False)
    advice = f" — {check.do}" if check.do else ""
    lines = f"{check.what}{advice}".splitlines() or [""]
    screen.say(screen.wrapped(lines[0], then=" " * 7))
    for line in lines[1:]:
        screen.say(screen.wrapped(line, indent=" " * 7))
