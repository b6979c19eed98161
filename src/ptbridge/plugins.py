"""Finds edits, connectors and destinations: by listing their folders, and by the entry points of installed packages.

A new file is found because it is there; nothing registers it. Listing names imports nothing; a plugin is imported when it
is asked for by name. Two plugins of one name or code are refused with both places named: which one wins must never
depend on the order of a folder.

Entry point groups: `ptbridge.edits` (name = the edit's code, value = its module), `ptbridge.connectors` and
`ptbridge.destinations` (name = the plugin's name, value = its module).
"""

from __future__ import annotations

import pkgutil
import re
import sys
from functools import cache
from importlib import import_module, util
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from ptbridge.errors import ConfigError
from ptbridge.ports import Edit

_EDIT_FILE = re.compile(r"(?P<code>[a-z]{2}[0-9]{2})_[a-z0-9_]+")
_EDIT_CODE = re.compile(r"[A-Z]{2}[0-9]{2}")


def _listed(package: str) -> list[str]:
    """Module names in a package's folder, without importing any of them; those that start with `_` are its own."""
    spec = util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return sorted(module.name for module in pkgutil.iter_modules(folders or ()) if not module.name.startswith("_"))


@cache
def _installed(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """What the installed packages of this `sys.path` offer. Asked once: each look opens a file of every package there is."""
    return tuple(entry_points(group=group))


def _places(kind: str, package: str, group: str) -> dict[str, str]:
    """Plugin name -> module to import, from the folder and the entry points. Raises ConfigError on a name taken twice."""
    places = {name: f"{package}.{name}" for name in _listed(package)}
    for point in _installed(group, tuple(sys.path)):
        known = places.setdefault(point.name, point.module)
        if known != point.module:
            raise ConfigError(f"two {kind}s are called {point.name!r}: {known} and {point.module}. Rename or uninstall one.")
    return places


def _module(kind: str, name: str, places: dict[str, str]) -> ModuleType:
    """Import one plugin by its name. Raises ConfigError when there is none, naming those that there are."""
    if name not in places:
        known = ", ".join(sorted(places)) or "none"
        raise ConfigError(f"there is no {kind} {name!r}. Known {kind}s: {known}.")
    return import_module(places[name])


# ---------------------------------------------------------------- edits


def _edit_places() -> dict[str, str]:
    """Edit code -> module. Raises ConfigError when two claim one code."""
    places: dict[str, str] = {}
    found = [
        (match["code"].upper(), f"ptbridge.edits.{name}")
        for name in _listed("ptbridge.edits")
        if (match := _EDIT_FILE.fullmatch(name))
    ]
    for code, module in [*found, *((point.name, point.module) for point in _installed("ptbridge.edits", tuple(sys.path)))]:
        if places.setdefault(code, module) != module:
            raise ConfigError(f"two edits are called {code}: {places[code]} and {module}. Give one of them a free code.")
    return places


def _load_edit(code: str, module: str) -> Edit:
    """The `check` of an edit file, held to what its file name or entry point says. Raises ConfigError."""
    declared = getattr(import_module(module), "check", None)
    if not isinstance(declared, Edit):
        raise ConfigError(f"{module}: an edit file declares a function `check` under `@edit()`; this one does not.")
    if declared.code != code or not _EDIT_CODE.fullmatch(code):
        raise ConfigError(
            f"{module}: the docstring says {declared.code!r}, its name says {code!r}. "
            "Both must be the same two letters and two digits."
        )
    return declared


@cache
def edits() -> tuple[Edit, ...]:
    """Every edit, in the order of the codes. Raises ConfigError when a file breaks the form or two share a code."""
    return tuple(_load_edit(code, module) for code, module in sorted(_edit_places().items()))


# ---------------------------------------------------------------- connectors and destinations


def connector_names() -> tuple[str, ...]:
    """The names of all connectors; imports none of them."""
    return tuple(sorted(_places("connector", "ptbridge_connectors", "ptbridge.connectors")))


def connector(name: str) -> ModuleType:
    """One connector's module (see `ports.Connector`). Raises ConfigError when there is none of that name."""
    return _module("connector", name, _places("connector", "ptbridge_connectors", "ptbridge.connectors"))


def connectors() -> dict[str, ModuleType]:
    """Every connector's module by name; imports all of them."""
    return {name: connector(name) for name in connector_names()}


def destination_names() -> tuple[str, ...]:
    """The names of all destinations; imports none of them."""
    return tuple(sorted(_places("destination", "ptbridge.destinations", "ptbridge.destinations")))


def destination(name: str) -> ModuleType:
    """One destination's module (see `ptbridge.destinations`). Raises ConfigError when there is none of that name."""
    return _module("destination", name, _places("destination", "ptbridge.destinations", "ptbridge.destinations"))


def destinations() -> dict[str, ModuleType]:
    """Every destination's module by name; imports all of them."""
    return {name: destination(name) for name in destination_names()}
