"""What most contract tests stand on: a clinic with its EMR and its biller, running, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hl7_clinic import Hl7World, lakeside
from tests.world import World, running


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """The sandbox's clinic, whose EMR speaks FHIR."""
    with running(tmp_path / "config") as one:
        yield one


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Hl7World]:
    """The clinic whose EMR sends HL7 v2 messages."""
    with lakeside(tmp_path / "config") as one:
        yield one
