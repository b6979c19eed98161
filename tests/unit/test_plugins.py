"""Plugins are found by being there, refused when two share a name, and imported only when asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ptbridge import plugins
from ptbridge.errors import ConfigError

EDIT = '''"""{code}: what it finds."""

from ptbridge.ports import edit


@edit()
def check(priced, facts):
    return []
'''


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A folder on the path for modules of a pretend installed package; the cache of edits is empty."""
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.edits.cache_clear()
    yield tmp_path
    plugins.edits.cache_clear()
    plugins._installed.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, group: str, **points: str) -> None:
    """Pretend that a package with these entry points is installed."""
    plugins._installed.cache_clear()
    found = [EntryPoint(name=name, value=value, group=group) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [point for point in found if point.group == group])


def test_edits_come_in_the_order_of_their_codes_each_once() -> None:
    codes = [edit.code for edit in plugins.edits()]
    assert codes == sorted(set(codes))


def test_an_installed_package_adds_an_edit(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    (fresh / "clinic_edit_one.py").write_text(EDIT.format(code="ZZ01"))
    install(monkeypatch, "ptbridge.edits", ZZ01="clinic_edit_one")
    assert plugins.edits()[-1].code == "ZZ01"


def test_two_edits_of_one_code_are_refused_with_both_places(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    install(monkeypatch, "ptbridge.edits", UN01="clinic_edit_two")
    with pytest.raises(ConfigError, match=r"two edits are called UN01: ptbridge\.edits\.un01_\w+ and clinic_edit_two"):
        plugins.edits()


def test_an_edit_whose_docstring_says_another_code_is_refused(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    (fresh / "clinic_edit_three.py").write_text(EDIT.format(code="ZZ04"))
    install(monkeypatch, "ptbridge.edits", ZZ03="clinic_edit_three")
    with pytest.raises(ConfigError, match="the docstring says 'ZZ04', its name says 'ZZ03'"):
        plugins.edits()


def test_a_file_without_a_check_is_refused(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    (fresh / "clinic_edit_four.py").write_text('"""ZZ05: nothing."""\n')
    install(monkeypatch, "ptbridge.edits", ZZ05="clinic_edit_four")
    with pytest.raises(ConfigError, match="clinic_edit_four: an edit file declares a function `check`"):
        plugins.edits()


def test_a_new_connector_file_is_found_at_once() -> None:
    folder = Path(plugins.util.find_spec("ptbridge_connectors").submodule_search_locations[0])
    listed = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert listed <= set(plugins.connector_names())


def test_two_connectors_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "ptbridge.destinations")
    monkeypatch.setattr(plugins, "_listed", lambda package: ["fhir_r4"])
    install(monkeypatch, "ptbridge.connectors", fhir_r4="other.fhir_r4")
    with pytest.raises(
        ConfigError, match=r"two connectors are called 'fhir_r4': ptbridge_connectors\.fhir_r4 and other\.fhir_r4"
    ):
        plugins.connector_names()


def test_an_unknown_name_is_answered_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "_listed", lambda package: ["charge_api", "csv_drop"])
    with pytest.raises(ConfigError, match=r"there is no destination 'chargeapi'\. Known destinations: charge_api, csv_drop\."):
        plugins.destination("chargeapi")


def test_one_plugin_is_imported_by_name(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    (fresh / "clinic_emr.py").write_text('"""A connector."""\n')
    install(monkeypatch, "ptbridge.connectors", clinic_emr="clinic_emr")
    assert plugins.connector("clinic_emr").__doc__ == "A connector."


def test_listing_names_imports_no_plugin() -> None:
    program = (
        "import sys; from ptbridge import plugins; plugins.connector_names(); plugins.destination_names(); "
        "print([name for name in sys.modules if name.startswith(('ptbridge_connectors', 'ptbridge.destinations', 'httpx'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_installed_is_looked_up_once_for_each_path(monkeypatch: pytest.MonkeyPatch, fresh: Path) -> None:
    """A look opens a file of every installed package, and a run asks for its connector at every turn."""
    install(monkeypatch, "ptbridge.connectors")
    asked, look = [], plugins.entry_points
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [asked.append(group), *look(group=group)][1:])
    assert plugins.connector("fhir_r4") is plugins.connector("fhir_r4") and asked == ["ptbridge.connectors"]
    monkeypatch.syspath_prepend(str(fresh / "more"))
    plugins.connector("fhir_r4")
    assert asked == ["ptbridge.connectors"] * 2
