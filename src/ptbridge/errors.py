"""Exceptions are about the machinery; what is wrong with a charge is a Finding, not an exception.

PtbridgeError
├── ConfigError              a person must edit a file; raised before anything is pulled; carries file:line
├── RecordError              one record is unusable: quarantine it, go on
├── PeerError                the other system; ends this clinic's run, other clinics go on
│   ├── PeerUnavailable      connect failure, 408 425 429 5xx on a read: retried, then next schedule
│   ├── PeerRefused          401 403 and other final refusals: not retried; says which credential or request
│   └── OutcomeUnknown       sent, no clear answer: look it up by key; never resend blindly
└── LedgerError              stop everything: we may no longer know what was sent
    └── LedgerBusy           another process is the writer of this state folder: nothing was started

Messages: where, what (with the value), what to do. No patient data.
"""

from __future__ import annotations


class PtbridgeError(Exception):
    """The root; catch this at the outermost edge only."""


class ConfigError(PtbridgeError):
    """A person must edit a file. `where` is `file:line` (and the key) when it is known."""

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class RecordError(PtbridgeError):
    """One source record cannot be read at all. `where` is a path inside the record, never its content."""

    def __init__(self, message: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where
        self.fix = fix


class PeerError(PtbridgeError):
    """The other system's trouble."""


class PeerUnavailable(PeerError):
    """It did not answer, or said to come back later. `retry_after_seconds` is its own word, already clamped."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class PeerRefused(PeerError):
    """It answered and said no: a credential, a permission, or a request it will never take."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class OutcomeUnknown(PeerError):
    """The request left and no clear answer came back: it may have taken effect."""


class LedgerError(PtbridgeError):
    """The ledger cannot be trusted or written: stop taking work."""


class LedgerFull(LedgerError):
    """The disk is full: nothing of this transaction was stored, what was stored before stands."""


class LedgerBusy(LedgerError):
    """Another process holds the writer's lock on this state folder."""
