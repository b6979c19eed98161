"""`ptbridge demo`: the whole way on this machine, with a sandbox EMR and a sandbox biller."""

from __future__ import annotations

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")
def demo(arguments: tuple[str, ...]) -> int:
    """Show a clinic's day from a sandbox EMR to a sandbox biller."""
    from ptbridge_sandbox.demo import main

    return int(main(list(arguments)) or 0)
