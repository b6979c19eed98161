"""What ptbridge does for a person or a scheduler: sync, status, held, release, exclude, retry, explain, answers, reconcile.

Each is imported when it is first used: a listener needs none of them, and is ready in half the time without.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptbridge.jobs.agreement import reconcile
    from ptbridge.jobs.answers import ask, see
    from ptbridge.jobs.authorizations import import_authorizations, list_authorizations
    from ptbridge.jobs.biller_has import biller_has
    from ptbridge.jobs.changes import changes
    from ptbridge.jobs.dead_letters import dead_letters
    from ptbridge.jobs.denials import denials
    from ptbridge.jobs.rejudge import Scope, rejudge
    from ptbridge.jobs.report_data import RunReport
    from ptbridge.jobs.run import retry, sync
    from ptbridge.jobs.serve_answers import serve_answers
    from ptbridge.jobs.standing import explain, held, status
    from ptbridge.jobs.worklist import confirm, done, exclude, release, undo

__all__ = [
    "RunReport",
    "Scope",
    "ask",
    "biller_has",
    "changes",
    "confirm",
    "dead_letters",
    "denials",
    "done",
    "exclude",
    "explain",
    "held",
    "import_authorizations",
    "list_authorizations",
    "reconcile",
    "rejudge",
    "release",
    "retry",
    "see",
    "serve_answers",
    "status",
    "sync",
    "undo",
]

_HOMES = {  # verb -> the module here that has it
    "RunReport": "report_data",
    "Scope": "rejudge",
    "ask": "answers",
    "biller_has": "biller_has",
    "changes": "changes",
    "confirm": "worklist",
    "dead_letters": "dead_letters",
    "denials": "denials",
    "done": "worklist",
    "exclude": "worklist",
    "explain": "standing",
    "held": "standing",
    "import_authorizations": "authorizations",
    "list_authorizations": "authorizations",
    "reconcile": "agreement",
    "rejudge": "rejudge",
    "release": "worklist",
    "retry": "run",
    "see": "answers",
    "serve_answers": "serve_answers",
    "status": "standing",
    "sync": "run",
    "undo": "worklist",
}


class _Jobs(ModuleType):
    """A few verbs are named as their modules: the name means the verb, whichever of the two is imported first."""

    def __getattr__(self, name: str) -> Any:
        """A verb, imported now. Raises AttributeError for any other name."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Jobs
