"""What every connector file promises by its shape; how each behaves on a server is in `connectors/test_pull.py`."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from ptbridge.plugins import connector
from ptbridge.ports import ConnectorInfo

FOLDER = Path(__file__).parents[2] / "connectors"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def test_the_folder_has_connectors():
    assert {"fhir_r4", "medplum", "openemr"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_info_is_complete_and_names_the_file(name):
    info = connector(name).INFO
    assert isinstance(info, ConnectorInfo)
    assert info.name == name
    assert info.standard
    assert info.summary.endswith(".")
    assert info.mapping
    assert set(info.required) <= set(info.parameters)
    assert all(help_text for help_text in info.parameters.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_first_sentence_says_which_emr_which_standard_how_visits_arrive(name):
    module = connector(name)
    first = (module.__doc__ or "").split(".\n")[0].replace("\n", " ")
    assert module.INFO.standard in first
    assert "visits arrive" in first
    assert ":" in first


@pytest.mark.parametrize("name", NAMES)
def test_pull_and_check_have_the_shape_that_jobs_calls(name):
    module = connector(name)
    assert list(inspect.signature(module.pull).parameters) == ["client", "cursor"]
    assert inspect.iscoroutinefunction(module.check)


@pytest.mark.parametrize("name", NAMES)
def test_of_ours_a_connector_imports_the_sdk_only(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module for module in modules if module.startswith("ptbridge")} == {"ptbridge.sdk"}


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_quirk_has_a_witness(name):
    """A line of a Plan's quirks stands under a comment with its month, or under another line of the same witness."""
    source = (FOLDER / f"{name}.py").read_text()
    plan = source.partition("PLAN = Plan(")[2].partition("\n)\n")[0]
    if plan.startswith(")"):
        return
    assert plan.count("# 2026-") >= plan.count('",\n') // 2
