"""The words that a person types. Only click is imported at the start; each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

import ptbridge
from ptbridge.cli.lazy import LazyGroup

_COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Set up": {
        "init": ("ptbridge.cli.init:init", "Write a config folder for a clinic."),
        "doctor": ("ptbridge.cli.doctor:doctor", "Check the whole set-up and say what to do."),
        "reference": (
            "ptbridge.cli.reference:reference",
            "Load and watch CMS's own files: code pairs, unit maximums, diagnosis codes.",
        ),
        "demo": ("ptbridge.cli.demo:demo", "Show a clinic's day from a sandbox EMR to a sandbox biller."),
    },
    "Every day": {
        "sync": ("ptbridge.cli.run:sync", "Pull new visits, code and check them, send the charges."),
        "listen": ("ptbridge.cli.listen:listen", "Receive HL7 v2 messages, each stored before it is acknowledged."),
        "status": ("ptbridge.cli.run:status", "Show what was sent, what waits and what is held."),
        "held": ("ptbridge.cli.worklist:held", "List the visits that wait for a person, with the reason and the fix."),
        "release": ("ptbridge.cli.worklist:release", "Send a held visit as it is, with a reason."),
        "exclude": ("ptbridge.cli.worklist:exclude", "Never bill a held visit, with a reason."),
        "changes": ("ptbridge.cli.changes:changes", "Show what changed after it was sent, and what happens to it."),
        "undo": ("ptbridge.cli.changes:undo", "Take back what waits to be sent, with a reason."),
        "rejudge": ("ptbridge.cli.rejudge:rejudge", "Judge earlier days by the files of now: first shown, then done if asked."),
        "retry": ("ptbridge.cli.run:retry", "Try again now what still waits for the biller."),
        "settle": ("ptbridge.cli.settle:settle", "Say what the biller has of a visit, when you have looked there."),
        "answers": ("ptbridge.cli.answers:answers", "Ask the biller what became of what was sent."),
        "denials": ("ptbridge.cli.denials:denials", "Group what was rejected or denied, with the dollars at stake."),
        "reconcile": ("ptbridge.cli.reconcile:reconcile", "Compare the ledger with what the biller has."),
        "authorizations": ("ptbridge.cli.authorizations:authorizations", "Show which authorizations run out, and when."),
    },
    "Keep": {
        "ledger": ("ptbridge.cli.ledger:ledger", "Export the ledger line by line."),
        "verify": ("ptbridge.cli.ledger:verify", "Check the whole ledger: file, schema, history, bytes, keys, sums."),
        "backup": ("ptbridge.cli.ledger:backup", "Write ledger and inbox into one file, while they are in use."),
        "restore": ("ptbridge.cli.ledger:restore", "Put a backup in the place of ledger and inbox."),
        "encrypt": ("ptbridge.cli.ledger:encrypt", "Encrypt ledger and inbox under the key that ptbridge.yaml names."),
        "purge": ("ptbridge.cli.purge:purge", "Remove payloads, bodies and texts of days settled long ago."),
        "rotate-key": ("ptbridge.cli.ledger:rotate_key", "Change the keys of an encrypted state folder."),
    },
    "Ask": {
        "explain": ("ptbridge.cli.explain:explain", "Explain a visit, a line or an edit code."),
        "units": ("ptbridge.cli.units:units", "Count the units of one treatment day, with the reasons."),
        "edits": ("ptbridge.cli.edits:edits", "List the edits that every charge must pass."),
        "payer": ("ptbridge.cli.payer:payer", "List the payers' rules, show one, or show what this clinic changed."),
        "mapping": ("ptbridge.cli.mapping:mapping", "Check a mapping file, or try it on a record."),
        "hl7": ("ptbridge.cli.hl7:hl7", "Show an HL7 v2 message, or check what a sample lacks for billing."),
        "connector": ("ptbridge.cli.connector:connector", "List the connectors, or ask an EMR what it can do."),
        "destination": (
            "ptbridge.cli.destination:destination",
            "List the ways to a biller, or what one needs and can be told.",
        ),
        "exit-codes": ("ptbridge.cli.exit_code_page:exit_code_page", "List the exit codes and what a scheduler should do."),
    },
}

root = LazyGroup(
    name="ptbridge",
    sections=_COMMANDS,
    help="The bridge between a therapy clinic's EMR and its biller: nothing lost, nothing doubled, nothing invented.",
)
root.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
root.epilog = "The config folder is ./ptbridge, or --config DIR, or PTBRIDGE_CONFIG."
click.version_option(ptbridge.__version__, prog_name="ptbridge", message="%(prog)s %(version)s")(root)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (`ptbridge exit-codes` lists them). Prints no traceback."""
    from ptbridge.cli import outermost

    outermost.protect_process()
    outermost.prepare_streams()
    try:
        if "_PTBRIDGE_COMPLETE" in os.environ:  # the shell asks for completions; click answers and exits
            root.main(prog_name="ptbridge")
        with root.make_context("ptbridge", list(sys.argv[1:] if arguments is None else arguments)) as context:
            outcome = root.invoke(context)
        sys.stdout.flush()
    except BaseException as error:  # the outermost edge: nothing passes it but an exit code
        return outermost.report(error)
    return outcome if isinstance(outcome, int) else 0
