"""The verbs of `ptbridge.jobs`: imported when used, whatever was imported before, and not at all by a listener."""

from __future__ import annotations

import subprocess
import sys
from types import FunctionType

import pytest

from ptbridge import jobs


def loaded_by(line: str) -> set[str]:
    """The modules of a fresh Python that ran this line."""
    code = f"{line}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_a_listener_loads_nothing_of_what_judges_and_sends():
    loaded = loaded_by("import ptbridge.jobs.listen")
    assert "ptbridge.inbox" in loaded
    assert not loaded & {"ptbridge.pipeline", "ptbridge.coding", "ptbridge.edits", "ptbridge.ledger", "ptbridge.delivery"}


def test_a_verb_is_itself_also_when_the_module_of_its_name_came_first():
    same = sorted(name for name, home in jobs._HOMES.items() if name == home)
    assert "changes" in same
    check = [f"import ptbridge.jobs.{name}\nfrom ptbridge import jobs\nassert callable(jobs.{name}), '{name}'" for name in same]
    assert "ptbridge.jobs.changes" in loaded_by("\n".join(check))


def test_the_verbs_are_those_that_the_package_names():
    assert set(jobs._HOMES) == set(jobs.__all__)
    assert all(isinstance(getattr(jobs, name), FunctionType | type) for name in jobs.__all__)


def test_another_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match=r"module 'ptbridge\.jobs' has no attribute 'synchronise'"):
        _ = jobs.synchronise
