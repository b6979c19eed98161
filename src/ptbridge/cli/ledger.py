"""`ptbridge ledger export`, `verify`, `backup`, `restore`, `encrypt`, `rotate-key`: the ledger from outside and at rest."""

from __future__ import annotations

import getpass
from collections import Counter
from pathlib import Path

import click

from ptbridge.cli import exit_codes, screen
from ptbridge.cli.options import clinic_option, config_option, json_option

_FILE = click.Path(path_type=Path, dir_okay=False)
_actor = click.option(
    "--by", "actor", metavar="WHO", default=getpass.getuser, show_default="your user name", help="Who does this."
)


@click.group()
def ledger() -> None:
    """Export the ledger line by line."""


@ledger.command()
@click.option("--jsonl", is_flag=True, required=True, help="One JSON object a line, the only form there is.")
@click.option("--phi", is_flag=True, help="With patient data; that you asked for it stays in the history.")
@_actor
@config_option
@clinic_option
def export(jsonl: bool, phi: bool, actor: str, config_folder: Path, clinic: str | None) -> int:
    """Write every documented line once, with what became of it.

    On standard output; the counts by state on standard error. A record that cannot be read is one row without a line.
    Units and cents stand once for each charge, at its first documented line.
    """
    from ptbridge.jobs import safekeeping
    from ptbridge.specs.config import load_config

    states: Counter[str] = Counter()
    for row in safekeeping.export(load_config(config_folder), clinic, phi=phi, actor=actor):
        states[row["state"]] += 1
        screen.put_json(row, lines=True)
    counted = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    click.echo(f"{screen.count(states.total(), 'line')}: {counted or 'nothing'}", err=True)
    return exit_codes.DONE


@click.command()
@click.option("--noted", metavar="SEQ:DIGEST", help="An end of the history that was written down elsewhere.")
@config_option
@json_option
def verify(noted: str | None, config_folder: Path, json_wanted: bool) -> int:
    """Check the whole ledger: file, schema, history, bytes, keys, sums.

    Reads every row, changes nothing, and may run beside a sync. The last line is the end of the history: written down
    elsewhere and given back with --noted, it shows that nothing before it was cut off. Exit code 8 when something is wrong.
    """
    from ptbridge.jobs import safekeeping
    from ptbridge.specs.config import load_config

    end = _noted(noted)
    answer = safekeeping.verify(load_config(config_folder), noted=end, told=None if json_wanted else _show)
    if json_wanted:
        screen.put_json(answer)
    else:
        seq, digest = answer["history"]
        screen.say(f"\n{'sound' if answer['sound'] else 'not sound: stop syncing and restore the last backup'}", bold=True)
        screen.say(f"the history ends with {seq}:{digest}")
    return exit_codes.DONE if answer["sound"] else exit_codes.LEDGER


def _noted(text: str | None) -> tuple[int, str] | None:
    if text is None:
        return None
    seq, _, digest = text.partition(":")
    if not seq.isascii() or not seq.isdecimal() or len(digest) < 16:
        raise click.BadParameter(f"{text!r} is not an end of the history. Write it as verify shows it.", param_hint="--noted")
    return int(seq), digest


def _show(checked: object) -> None:
    from ptbridge.ledger import Checked

    assert isinstance(checked, Checked)
    word, colour = ("fail", "red") if checked.problems else ("ok", "green")
    screen.say(f"  {word:<5}", fg=colour, nl=False)
    screen.say(f"{checked.check} ({checked.rows:,})")
    for problem in checked.problems:
        screen.say(screen.wrapped(problem, indent=" " * 7))


@click.command()
@click.argument("file", type=_FILE)
@config_option
@json_option
def backup(file: Path, config_folder: Path, json_wanted: bool) -> int:
    """Write ledger and inbox into one file, while they are in use.

    The file is complete or not there at all, mode 0600, and encrypted when the databases are. The master key is not in it.
    """
    from ptbridge.jobs import backup as job
    from ptbridge.specs.config import load_config

    manifest = job.backup(load_config(config_folder), file)
    if json_wanted:
        screen.put_json(job.as_data(manifest))
        return exit_codes.DONE
    total = sum(member.size for member in manifest.files.values())
    screen.say(f"{file}: {', '.join(manifest.files)} ({total / 1e6:,.1f} MB)")
    screen.say(f"the history in it ends with {manifest.history[0]}:{manifest.history[1]}")
    if not manifest.encrypted:
        screen.say("It holds patient data and is not encrypted: ptbridge encrypt.", fg="yellow")
    return exit_codes.DONE


_MESSAGES = (
    "Messages received since then are not in it, and no EMR sends them again by itself: have each HL7 v2 sender send again"
    " what it sent since. What is known already changes nothing."
)


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option("--replace", is_flag=True, help="Put the ledger that is there aside; it is kept in the state folder.")
@click.option("--key", "master", metavar="REFERENCE", help="The master key of the backup's time, when it was another.")
@click.option("--finish", is_flag=True, help="Go on with a restore or an encryption that was interrupted.")
@_actor
@config_option
@json_option
def restore(
    file: Path | None, replace: bool, master: str | None, finish: bool, actor: str, config_folder: Path, json_wanted: bool
) -> int:
    """Put a backup in the place of ledger and inbox.

    Nothing is sent afterwards before the biller was asked what it has: the next sync does that by itself. Where the biller
    cannot be asked, what may have been sent already is held for a person.
    """
    from ptbridge.jobs import backup as job
    from ptbridge.jobs import in_place
    from ptbridge.specs.config import load_config

    config = load_config(config_folder)
    if finish:
        with in_place.nobody_else(config.state):
            done = in_place.finish(config.state)
        screen.say("Finished." if done else "There was nothing to finish.")
        return exit_codes.DONE
    if file is None:
        raise click.UsageError("Missing argument 'FILE'.")
    restored = job.restore(config, file, replace=replace, master=master, actor=actor)
    if json_wanted:
        screen.put_json({**job.as_data(restored.manifest), "aside": str(restored.aside) if restored.aside else None})
        return exit_codes.DONE
    screen.say(f"Restored the state of {restored.manifest.made_at:%Y-%m-%d %H:%M} UTC.")
    if restored.aside:
        screen.say(f"What was there is in {restored.aside}; remove it when all is well.")
    screen.say("The next sync asks the biller what it has before it sends anything.")
    if "inbox.sqlite" in restored.manifest.files:
        screen.say(screen.wrapped(_MESSAGES), fg="yellow")
    return exit_codes.DONE


@click.command()
@click.option("--new-key", type=_FILE, metavar="FILE", help="Make a master key in this file first (mode 0600).")
@config_option
@json_option
def encrypt(new_key: Path | None, config_folder: Path, json_wanted: bool) -> int:
    """Encrypt ledger and inbox under the key that ptbridge.yaml names.

    Stop the listener first. Keep a copy of the key away from this machine: without it neither the ledger nor any backup can
    be read, by anybody.
    """
    from ptbridge.jobs import safekeeping
    from ptbridge.specs.config import load_config

    answer = safekeeping.encrypt(load_config(config_folder), new_key)
    if json_wanted:
        screen.put_json(answer)
    else:
        screen.say(f"Encrypted under key {answer['master']}: {', '.join(answer['files']) or 'what is written from now on'}.")
        screen.say("Keep a copy of the key away from this machine. Older backups are as plain as they were.")
    return exit_codes.DONE


@click.command("rotate-key")
@click.option("--from", "old", metavar="REFERENCE", help="The master key until now; ptbridge.yaml names the new one.")
@click.option("--data", is_flag=True, help="Also encrypt all data anew under a new data key; stop the listener first.")
@config_option
@json_option
def rotate_key(old: str | None, data: bool, config_folder: Path, json_wanted: bool) -> int:
    """Change the keys of an encrypted state folder.

    A new master key rewrites one small file, while everything runs. Backups made before need the key of their time.
    """
    from ptbridge.jobs import safekeeping
    from ptbridge.specs.config import load_config

    answer = safekeeping.rotate_key(load_config(config_folder), old=old, data=data)
    if json_wanted:
        screen.put_json(answer)
    else:
        screen.say(f"The data is under key {answer['master']} now.")
    return exit_codes.DONE
