"""`ptbridge demo`: the whole way on this machine, with a sandbox EMR and a sandbox biller."""

from __future__ import annotations

import click


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def demo(arguments: tuple[str, ...]) -> int:
    """Show a clinic's day from a sandbox EMR to a sandbox biller."""
    from importlib import import_module

    # The sandbox stands outside src/ and above nothing: it is found at run time, like a plugin.
    return int(import_module("ptbridge_sandbox.demo").main(list(arguments)))
