"""The changes that `tests.mutate` makes: which ones, under which name, and that each is made once and alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import mutation_page
from tests.excepts import not_entered
from tests.mutants import Mutant, mutants_of, mutated

TEXT = '''
"""A docstring that stays."""
__all__ = ["share"]
LIMIT = 15


class Share:
    """Also stays."""

    def of(self, minutes: int, word: str = "none") -> str | None:
        """Stays."""
        if minutes >= LIMIT and not word:
            raise ValueError(f"{minutes} minutes")
        self.word = max(minutes, 0)
        return "some words that are prose"

    async def wait(self, seconds: float = 1) -> list[str]:
        """Stays."""
        async with self.gate:
            return self.lines[0]
'''


@pytest.fixture
def found(tmp_path: Path) -> list[Mutant]:
    path = tmp_path / "share.py"
    path.write_text(TEXT)
    return mutants_of(path, "share.py")


def test_every_kind_of_change_is_named_with_its_function(found: list[Mutant]) -> None:
    assert [one.name.removeprefix("share.py ") for one in found] == [
        "on import: LIMIT = 15 -> LIMIT = 16",
        "on import: LIMIT = 15 -> LIMIT = 14",
        "on import: self, minutes: int, word: str='none' -> self, minutes: int, word: str='not none'",
        "Share.of: if minutes >= LIMIT and (not word) -> if not (minutes >= LIMIT and (not word))",
        "Share.of: minutes >= LIMIT and (not word) -> minutes >= LIMIT or not word",
        "Share.of: minutes >= LIMIT and (not word) -> minutes > LIMIT and (not word)",
        "Share.of: minutes >= LIMIT and (not word) -> minutes < LIMIT and (not word)",
        "Share.of: minutes >= LIMIT and (not word) -> minutes >= LIMIT and word",
        "Share.of: raise ValueError(f'{minutes} minutes') -> pass",
        "Share.of: self.word = max(minutes, 0) -> pass",
        "Share.of: self.word = max(minutes, 0) -> self.word = min(minutes, 0)",
        "Share.of: max(minutes, 0) -> max(minutes, 1)",
        "Share.of: max(minutes, 0) -> max(minutes, -1)",
        "Share.of: return 'some words that are prose' -> return None",
        "on import: self, seconds: float=1 -> self, seconds: float=2",
        "on import: self, seconds: float=1 -> self, seconds: float=0",
        "Share.wait: return self.lines[0] -> return []",
        "Share.wait: self.lines[0] -> self.lines[1]",
        "Share.wait: self.lines[0] -> self.lines[-1]",
    ]


def test_each_change_is_made_alone_and_can_be_compiled(found: list[Mutant]) -> None:
    whole = ast.unparse(ast.parse(TEXT))
    changed = {ast.unparse(mutated(one)) for one in found}
    assert whole not in changed and len(changed) == len(found)
    for one in found:
        compile(mutated(one), "share.py", "exec")
        assert one.function in ("", "Share.of", "Share.wait") and one.line <= one.end_line


def test_a_file_that_has_changed_since_is_not_guessed_at(found: list[Mutant]) -> None:
    found[-1].path.write_text("LIMIT = 1\n")
    with pytest.raises(ValueError, match="the file has changed"):
        mutated(found[-1])


def test_the_page_of_survivors_is_what_the_reasons_would_write() -> None:
    page = mutation_page.PAGE.read_text(encoding="utf-8")
    assert mutation_page.written(page) == page, "run python -m tests.mutation_page and commit what it writes"


def test_an_except_that_no_test_entered_is_told_and_so_is_a_suppress() -> None:
    text = (
        "try:\n    a()\nexcept OSError:\n    b()\nexcept ValueError:\n    c()\nwith contextlib.suppress(KeyError):\n    d()\n"
    )
    assert [line for line, _ in not_entered(text, {1, 2, 3, 4, 7, 8})] == [5, 7]
    assert [line for line, _ in not_entered(text, {1, 2, 4, 6})] == [7]
