"""`ptbridge payer`: the payers' rules as a run sees them, each with its dates and its source."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ptbridge.cli import screen
from ptbridge.cli.options import config_option, json_option
from ptbridge.cli.payer_policies import policies_for

if TYPE_CHECKING:
    from ptbridge.policy import Policy
    from ptbridge.specs.payer import PayerSpec, SettingEntry


@click.group()
def payer() -> None:
    """List the payers' rules, show one, or show what this clinic changed."""


@payer.command("list")
@config_option
@json_option
def list_payers(config_folder: Path, json_wanted: bool) -> None:
    """List every payer policy: its name, whether it is complete, and what it is."""
    from ptbridge.policy import shipped_payers

    shipped = shipped_payers()
    rows = [
        {"payer": name, "standing": one.standing, "title": one.title, "from": _origin(one, shipped)}
        for name, one in sorted(policies_for(config_folder).items())
    ]
    if json_wanted:
        screen.put_json(rows)
        return
    screen.say(screen.table([tuple(row.values()) for row in rows], headings=("payer", "standing", "title", "from")))
    screen.say("\nA starting_point is assumed: check every line against the contract. Its rules: ptbridge payer show NAME")


@payer.command("show")
@click.argument("name")
@config_option
@json_option
def show(name: str, config_folder: Path, json_wanted: bool) -> None:
    """Show every setting of a payer with its dates and its source, and which are unset."""
    from ptbridge.specs.payer import SETTINGS

    policy = _named(policies_for(config_folder), name)
    unset = [setting for setting in SETTINGS if setting not in policy.settings]
    if json_wanted:
        settings = {setting: _plain(entries) for setting, entries in policy.settings.items()}
        document = {"payer": name, "title": policy.title, "standing": policy.standing, "settings": settings, "unset": unset}
        screen.put_json(document)
        return
    screen.say(f"{screen.clean(policy.title)} ({screen.clean(policy.standing)})", bold=True)
    for setting, entries in policy.settings.items():
        for entry in entries:
            _say_entry(setting, entry)
    if unset:
        screen.say(
            "\nUnset: nothing is assumed. A day that cannot be counted or marked without one holds, with the question to ask."
        )
        screen.say(screen.table([(setting, SETTINGS[setting]) for setting in unset]))


@payer.command("diff")
@click.argument("name", required=False)
@config_option
@json_option
def diff(name: str | None, config_folder: Path, json_wanted: bool) -> None:
    """Show what the config folder's own file changes in a payer: values, dates and sources.

    Without NAME: in every payer that has a file there.
    """
    policies = policies_for(config_folder)
    if name is not None:
        _named(policies, name)
    found = [_difference(config_folder, policies, one) for one in ([name] if name is not None else _own(config_folder))]
    if json_wanted:
        screen.put_json(found[0] if name is not None else found)
        return
    if not found:
        screen.say("Every payer is as shipped: the config folder has no file of its own in payers/.")
    for difference in found:
        _say_difference(**difference)


def _difference(config_folder: Path, policies: dict[str, Policy], name: str) -> dict[str, Any]:
    from ptbridge.policy import shipped_payers

    policy, base_name = policies[name], _base(config_folder, name)
    base = shipped_payers().get(base_name) or policies.get(base_name)
    changed = _changed(base.settings if base and base is not policy else {}, policy.settings)
    return {"payer": name, "against": base_name, "changed": changed}


def _say_difference(payer: str, against: str, changed: list[dict[str, Any]]) -> None:
    if not changed:
        screen.say(f"{screen.clean(payer)} is as shipped.")
        return
    screen.say(f"{screen.clean(payer)} against {screen.clean(against)}", bold=True)
    for row in changed:
        screen.say(f"{screen.clean(row['setting'])}:")
        for sign, side in (("-", "base"), ("+", "own")):
            for entry in row[side]:
                screen.say(screen.wrapped(f"{_dated(entry)}  ({entry['source']})", indent=f"  {sign} ", then="      "))


def _named(policies: dict[str, Policy], name: str) -> Policy:
    if name not in policies:
        raise click.BadParameter(f"{name!r} is not a payer. Known: {', '.join(sorted(policies))}.", param_hint="NAME")
    return policies[name]


def _origin(policy: Policy, shipped: dict[str, Policy]) -> str:
    if policy.name not in shipped:
        return "config folder"
    same = shipped[policy.name].settings == policy.settings
    return "shipped" if same else "shipped, changed by the config folder"


def _specs(config_folder: Path) -> dict[str, PayerSpec]:
    """The config folder's own payer files, by the payer's name."""
    from ptbridge.specs.files import load_payer

    found = (load_payer(path) for path in sorted((config_folder / "payers").glob("*.yaml")))
    return {spec.payer: spec for spec in found}


def _own(config_folder: Path) -> list[str]:
    return sorted(_specs(config_folder))


def _base(config_folder: Path, name: str) -> str:
    """What the config folder's file of that payer extends, else the shipped policy of the same name."""
    spec = _specs(config_folder).get(name)
    return spec.extends or name if spec is not None else name


def _changed(base: Any, own: Any) -> list[dict[str, Any]]:
    names = dict.fromkeys((*base, *own))
    return [
        {"setting": name, "base": _plain(base.get(name, ())), "own": _plain(own.get(name, ()))}
        for name in names
        if base.get(name, ()) != own.get(name, ())
    ]


def _plain(entries: Iterable[SettingEntry]) -> list[dict[str, str | None]]:
    return [
        {
            "use": entry.use,
            "from": entry.from_.isoformat(),
            "to": entry.to.isoformat() if entry.to else None,
            "source": entry.source,
        }
        for entry in entries
    ]


def _say_entry(setting: str, entry: SettingEntry) -> None:
    (plain,) = _plain([entry])
    screen.say(screen.wrapped(f"{setting}: {_dated(plain)}", indent="  ", then="      "))
    screen.say(screen.wrapped(entry.source, indent="      "))


def _dated(entry: dict[str, str | None]) -> str:
    until = f" to {entry['to']}" if entry["to"] else ""
    return f"{entry['use']}, from {entry['from']}{until}"
