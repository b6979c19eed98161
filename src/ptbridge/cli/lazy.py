"""A click group whose commands are imported only when they run, so that `ptbridge --help` stays quick."""

from __future__ import annotations

import importlib

import click


class LazyGroup(click.Group):
    """A group that knows its commands by name, one line of help and `module:attribute`.

    `sections` maps a heading to `{name: (module:attribute, one line of help)}`, in the order of the help page. The line is
    written twice, here and as the first sentence of the command's docstring; a test holds them equal.
    """

    def __init__(self, *, name: str, sections: dict[str, dict[str, tuple[str, str]]], help: str) -> None:
        super().__init__(name=name, help=help)
        self.sections = sections
        self._known = {command: entry for section in sections.values() for command, entry in section.items()}

    def list_commands(self, context: click.Context) -> list[str]:
        """Every command's name, in the order of the help page."""
        return list(self._known)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the command; None when there is no such word."""
        if name not in self._known:
            return None
        module, _, attribute = self._known[name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the words name; one that is nearly right is named in the error."""
        if args and args[0] not in self._known and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self._known, n=2)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            context.fail(f"There is no command {args[0]!r}.{hint}")
        return super().resolve_command(context, args)

    def line_of_help(self, name: str) -> str:
        """The command's one line on the help page."""
        return self._known[name][1]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections of the help page without importing a command."""
        for heading, commands in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, line) for name, (_, line) in commands.items()])
