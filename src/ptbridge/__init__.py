"""ptbridge: the bridge between a physical-therapy clinic's EMR and its outsourced biller.

The verbs of the command line, as functions. Each is imported when it is first used; the answers are dataclasses, dicts and
lists that hold no patient data beyond the EMR's own visit ids, except what `explain` is asked for.

    import ptbridge

    config = ptbridge.load_config("ptbridge")
    for report in ptbridge.sync(config):
        print(report.clinic, report.visits, report.exit_code)
    for row in ptbridge.held(config):
        print(row["visits"], row["reasons"])

    load_config(folder) -> Config                              read a config folder; ConfigError names file and line
    sync(config, clinic=None, since=None, dry_run=False, progress=None) -> list[RunReport]
    status(config, clinic=None) -> dict                        what was sent, what waits, what is held
    held(config, clinic=None) -> list[dict]                    what waits for a person, with reasons and fixes
    release(config, name, reason, actor=None) -> dict          send a held day as it is
    exclude(config, name, reason, actor=None) -> dict          never bill a held day
    retry(config, clinic=None, name=None, reason="") -> list[RunReport]   deliver what waits, without pulling
    explain(config, name) -> dict                              why a visit or a treatment day is as it is
    reconcile(config, clinic=None, since=None, until=None, schedule=True) -> dict   from the schedule to the claim, to the cent
    ask(config, clinic=None) -> dict                           ask the biller what became of what was sent
    denials(config, clinic=None, by="reason") -> dict          what was rejected or denied, grouped, with what is at stake
    units(policy, lines, discipline, on) -> dict               units of one treatment day, with reasons
    payer_policies(folders) -> dict[str, Policy]               payer policies of these folders, for `units`
    shipped_policies() -> dict[str, Policy]                    those that ship with ptbridge
    PtbridgeError and its kinds                                see ptbridge.errors
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# Name -> module and attribute. Looked up, not imported: `import ptbridge` alone must stay cheap, and the lower layers
# read `__version__` from here without drawing the upper ones in.
_VERBS = {
    "load_config": "ptbridge.specs.config:load_config",
    "sync": "ptbridge.jobs:sync",
    "status": "ptbridge.jobs:status",
    "held": "ptbridge.jobs:held",
    "release": "ptbridge.jobs:release",
    "exclude": "ptbridge.jobs:exclude",
    "retry": "ptbridge.jobs:retry",
    "explain": "ptbridge.jobs:explain",
    "reconcile": "ptbridge.jobs:reconcile",
    "ask": "ptbridge.jobs:ask",
    "denials": "ptbridge.jobs:denials",
    "units": "ptbridge.coding:units_answer",
    "payer_policies": "ptbridge.policy:load_payers",
    "shipped_policies": "ptbridge.policy:shipped_payers",
    "PtbridgeError": "ptbridge.errors:PtbridgeError",
    "ConfigError": "ptbridge.errors:ConfigError",
    "PeerError": "ptbridge.errors:PeerError",
    "LedgerError": "ptbridge.errors:LedgerError",
    "LedgerBusy": "ptbridge.errors:LedgerBusy",
}


def __getattr__(name: str) -> Any:
    """A verb, imported now. Raises AttributeError for any other name."""
    if name not in _VERBS:
        raise AttributeError(f"module 'ptbridge' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = _VERBS[name].partition(":")
    found = globals()[name] = getattr(import_module(module), attribute)
    return found


def __dir__() -> list[str]:
    """The verbs and what is loaded already."""
    return sorted({*globals(), *_VERBS})
