"""The ledger: what was pulled, held, sent and answered. Append-only history, one writer, durable before acknowledged."""

from ptbridge.ledger.days import DayRow, Decision, Verdict
from ptbridge.ledger.ledger import Ledger
from ptbridge.ledger.visits import KnownVisit, StoredVisit

__all__ = ["DayRow", "Decision", "KnownVisit", "Ledger", "StoredVisit", "Verdict"]
