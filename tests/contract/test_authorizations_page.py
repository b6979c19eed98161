"""What docs/authorizations.md shows is taken as it stands; a file that gives nothing says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptbridge import jobs
from ptbridge.cli import main
from tests.world import World

PAGE = Path(__file__).parents[2] / "docs" / "authorizations.md"


def test_the_table_of_the_page_is_imported_and_counted(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    file = world.folder.parent / "letters.csv"
    file.write_text(PAGE.read_text("utf-8").partition("```csv\n")[2].partition("```")[0], "utf-8")
    world.sync()
    assert main(["authorizations", "import", str(file), "--config", str(world.folder)]) == 0
    assert capsys.readouterr().out.startswith("Imported 2 authorizations. Held visits")
    rows = {row.number: (row.allowed, row.left, row.counts) for row in jobs.list_authorizations(world.config)}
    assert rows == {"…234": (12, 12, "visits"), "…300": (24, 24, "units")}  # the visits name other numbers


def test_a_file_without_an_authorization_says_that_nothing_came(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    file = world.folder.parent / "claim.json"
    file.write_text(json.dumps({"resourceType": "ClaimResponse", "id": "r1", "use": "claim", "status": "active"}), "utf-8")
    assert main(["authorizations", "import", str(file), "--config", str(world.folder)]) == 0
    assert capsys.readouterr().out.startswith("Nothing was imported")
