"""The platform that docs/destinations.md writes whole is installed as a plugin, and keeps what every destination promises."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType

import pytest

from ptbridge import plugins
from tests import rigs
from tests.contract import test_destinations
from tests.rigs import Rig
from tests.rigs.folders import rig_in

NAME = "json_drop"
PAGE = (Path(__file__).parents[2] / "docs/destinations.md").read_text("utf-8")
(SOURCE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PROMISES = {
    name: check
    for name, check in vars(test_destinations).items()
    if name.startswith("test_") and "name" in inspect.signature(check).parameters
}


def rig(folder: Path) -> AbstractAsyncContextManager[Rig]:
    destination = rigs.build(NAME, folder=folder)
    return rig_in(destination.files.folder, destination)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's file in an installed package, with its entry point; its rig among the others."""
    package = tmp_path / "installed"
    info = package / "own_platform-1.0.dist-info"
    info.mkdir(parents=True)
    (package / "own_platform.py").write_text(SOURCE, "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-platform\nVersion: 1.0\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[ptbridge.destinations]\n{NAME} = own_platform\n", "utf-8")
    monkeypatch.syspath_prepend(str(package))
    monkeypatch.delitem(sys.modules, "own_platform", raising=False)
    beside = ModuleType(f"tests.rigs.{NAME}")
    vars(beside)["rig"] = rig
    monkeypatch.setitem(sys.modules, beside.__name__, beside)


@pytest.mark.parametrize("promise", PROMISES)
def test_it_keeps(promise: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    assert NAME in plugins.destination_names()
    check: Callable[..., None] = PROMISES[promise]
    wanted = inspect.signature(check).parameters
    given = {name: request.getfixturevalue(name) for name in wanted if name not in ("name", "fault", "tmp_path")}
    for fault in ("needs", "option") if "fault" in wanted else ("",):
        more = {"fault": fault} if fault else {}
        place = {"tmp_path": tmp_path / "work"} if "tmp_path" in wanted else {}
        check(name=NAME, **given, **more, **place)


def test_every_promise_is_asked() -> None:
    assert len(PROMISES) >= 9
