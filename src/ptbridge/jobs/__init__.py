"""What ptbridge does for a person or a scheduler: sync, status, held, release, exclude, retry, explain, answers, reconcile."""

from ptbridge.jobs.agreement import reconcile
from ptbridge.jobs.answers import ask
from ptbridge.jobs.authorizations import import_authorizations, list_authorizations
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
    "serve_answers",
    "status",
    "sync",
    "undo",
]
