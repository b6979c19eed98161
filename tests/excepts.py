"""Which `except` did the tests not enter? `python -m tests.excepts`, after a run under coverage (docs/testing.md).

A `suppress` is told too: it has no line of its own that only runs when something was raised. Exit code 1 for any.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterator
from pathlib import Path

from coverage import Coverage


def not_entered(text: str, ran: Container[int]) -> Iterator[tuple[int, str]]:
    """Line and what is wrong there: each `except` of which no line ran, and each `suppress`, of which nobody can tell."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and node.body[0].lineno not in ran:
            yield node.lineno, "never entered"
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
            yield node.lineno, "suppress: coverage cannot tell whether it ever did"


def main() -> int:
    """Look through every measured file; the exit code."""
    coverage = Coverage(config_file=False)
    coverage.load()
    data = coverage.get_data()
    clauses = found = 0
    for name in sorted(data.measured_files()):
        text = Path(name).read_text(encoding="utf-8")
        clauses += sum(isinstance(node, ast.ExceptHandler) for node in ast.walk(ast.parse(text)))
        for line, words in not_entered(text, set(data.lines(name) or ())):
            found += 1
            print(f"{name}:{line}: {words}")
    print(f"{clauses} except clauses in {len(data.measured_files())} files; {found} to look at")
    return 1 if found or not clauses else 0


if __name__ == "__main__":
    sys.exit(main())
