"""The outermost edge: every exception becomes one clear line on standard error and an exit code."""

from __future__ import annotations

import io
import os
import resource
import sys
import traceback

import click

from ptbridge.cli import exit_codes
from ptbridge.cli.screen import clean
from ptbridge.errors import PtbridgeError


def prepare_streams() -> None:
    """Make a terminal that cannot show a character print `?` for it, not fail in the middle of a list."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def protect_process() -> None:
    """No core dump, which would hold patient data and keys; and what is made is the owner's alone, under any umask before."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


def report(error: BaseException) -> int:
    """Say what went wrong on standard error, without a traceback and without patient data; return the exit code."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        _say("stopped. The next run goes on from here.")
        return exit_codes.INTERRUPTED
    if isinstance(error, BrokenPipeError):  # the reader of our output went away (`ptbridge held | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the interpreter flushes once more at exit
        return exit_codes.DONE
    if isinstance(error, SystemExit):  # argparse's and shell completion's own way out
        return error.code if isinstance(error.code, int) else exit_codes.USAGE if error.code else exit_codes.DONE
    if isinstance(error, click.ClickException):
        return _usage(error)
    _traceback_if_wanted(error)
    _say(_words(error))
    return exit_codes.exit_code_for(error)


def _usage(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return exit_codes.USAGE
    context = getattr(error, "ctx", None)
    _say(error.format_message())
    if context is not None:
        click.echo(f"  Try: {context.command_path} --help", err=True)
    return exit_codes.USAGE


def _words(error: BaseException) -> str:
    """Our own errors speak for themselves; of any other only its class and place are safe to show."""
    if isinstance(error, PtbridgeError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    return (
        f"unexpected {type(error).__name__} at {_place(error)}. Its text is not shown because it could hold patient data. "
        "Run again with PTBRIDGE_TRACEBACK=1 and report the lines that it prints."
    )


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "an unknown place"  # noqa: PTH119


def _traceback_if_wanted(error: BaseException) -> None:
    """Frames and class only: neither local variables nor the message, either of which could hold patient data."""
    if os.environ.get("PTBRIDGE_TRACEBACK") != "1":
        return
    click.echo("".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__, err=True)


def _say(words: str) -> None:
    click.echo("ptbridge: " + "\n".join(clean(line) for line in words.splitlines()), err=True)
