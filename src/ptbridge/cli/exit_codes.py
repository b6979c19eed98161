"""What ptbridge's exit code tells a scheduler. One number, one meaning; numbers are never reused.

The worst that happened decides: a run that both held a visit and lost the biller ends with the biller's number, because
the job must run again, and the held visits stay on the list anyway.
"""

from __future__ import annotations

from ptbridge.errors import ConfigError, LedgerBusy, LedgerError, OutcomeUnknown, PeerError

DONE = 0
UNEXPECTED = 1
USAGE = 2
HELD = 3
WAITING = 4
PEER = 5
CONFIG = 6
BUSY = 7
LEDGER = 8
DIFFERENCE = 9
ALARM = 10
INTERRUPTED = 130

MEANING: dict[int, tuple[str, str]] = {
    DONE: ("done", "nothing to do"),
    UNEXPECTED: ("an error that ptbridge did not expect", "run again with PTBRIDGE_TRACEBACK=1 and report it"),
    USAGE: ("the command line was not understood", "see --help"),
    HELD: (
        "done; something is held or quarantined and needs a person, or an answer could not be read",
        "ptbridge held; ptbridge reconcile names such answers",
    ),
    WAITING: ("done; something still waits for the biller, queued or in doubt", "run sync or retry again later"),
    PEER: ("the EMR or the biller is unavailable or refused us", "run again later; ptbridge doctor if it stays"),
    CONFIG: ("a configuration file, a secret or a permission is wrong", "ptbridge doctor"),
    BUSY: ("another ptbridge is running on this state folder; nothing was started", "wait for it to end"),
    LEDGER: ("the ledger cannot be trusted or written; nothing more was done", "ptbridge doctor, then restore a backup"),
    DIFFERENCE: ("the ledger, or what a person says, differs from what the biller says", "ptbridge reconcile shows each one"),
    ALARM: ("status raises an alarm: a silent source, an item that is too old, a difference", "ptbridge status says which"),
    INTERRUPTED: ("stopped by a signal; the next run goes on where this one stopped", "run again"),
}

# The first class that fits decides: a subclass stands before its parent.
_BY_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, CONFIG),
    (OutcomeUnknown, WAITING),
    (PeerError, PEER),
    (LedgerBusy, BUSY),
    (LedgerError, LEDGER),
)


def exit_code_for(error: BaseException) -> int:
    """The exit code of an exception that reached the outermost edge."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), UNEXPECTED)
