"""What ptbridge does for a person or a scheduler: sync, status, held, release, exclude, retry, explain, reconcile."""

from ptbridge.jobs.agreement import reconcile
from ptbridge.jobs.authorizations import import_authorizations, list_authorizations
from ptbridge.jobs.report_data import RunReport
from ptbridge.jobs.run import retry, sync
from ptbridge.jobs.standing import explain, held, status
from ptbridge.jobs.worklist import exclude, release

__all__ = [
    "RunReport",
    "exclude",
    "explain",
    "held",
    "import_authorizations",
    "list_authorizations",
    "reconcile",
    "release",
    "retry",
    "status",
    "sync",
]
