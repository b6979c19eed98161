"""The built wheel, unpacked elsewhere, runs the demo: connectors, mappings, edits and sandbox ship in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    kept = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "docs", "ptbridge-demo*")
    shutil.copytree(ROOT, source, ignore=kept)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (built,) = folder.glob("*.whl")
    return built


def test_everything_that_runs_ships(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder, package in (
        ("connectors", "ptbridge_connectors"),
        ("mappings", "ptbridge_mappings"),
        ("sandbox", "ptbridge_sandbox"),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert f"{package}/{path.relative_to(ROOT / folder)}" in names, path
    for path in (ROOT / "src" / "ptbridge").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert f"ptbridge/{path.relative_to(ROOT / 'src' / 'ptbridge')}" in names, path
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_alone_gives_the_demo(wheel: Path, tmp_path: Path) -> None:
    """In a folder of its own, with nothing of this checkout on the path; third-party packages come from this environment."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    packages = sysconfig.get_path("purelib")
    code = f"import sys; sys.path[:0] = [{str(tmp_path / 'site')!r}]; import site; sys.path.append({packages!r})\n"
    code += "import ptbridge; assert 'site' in ptbridge.__file__, ptbridge.__file__\n"
    code += "from ptbridge.cli import main; sys.exit(main(['demo', '--json', '--folder', 'work']))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), packages])}
    command = [sys.executable, "-S", "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["visits"] >= 60 and outcome["biller"]["charges"] == 56 and outcome["biller"]["violations"] == []
    second = outcome["second_clinic"]["biller"]
    assert {name: second[name] for name in ("charges", "units", "amount_cents", "events", "violations")} == {
        name: outcome["biller"][name] for name in ("charges", "units", "amount_cents", "events", "violations")
    }, "the same day over HL7 v2"
    assert list((tmp_path / "work" / "config" / "state" / "reports").glob("*.html"))
