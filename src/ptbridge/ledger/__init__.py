"""The ledger: what was pulled, held, sent and answered. Append-only history, one writer, durable before acknowledged."""

from ptbridge.ledger.answers import Answers, Recorded
from ptbridge.ledger.authorizations import COUNTS, Opening, Use, shares
from ptbridge.ledger.database import patient_key, patient_key_of
from ptbridge.ledger.day_rows import LETS_PASS, BilledLine, DayRow, Decision, LiveCharge, Verdict, shown_lines
from ptbridge.ledger.days import UNDONE
from ptbridge.ledger.judging import side_by_side
from ptbridge.ledger.ledger import Ledger
from ptbridge.ledger.news import REFUSED
from ptbridge.ledger.patients import OtherDay, Whose
from ptbridge.ledger.said import Made
from ptbridge.ledger.standings import Refusal, RefusedDay, RefusedPart
from ptbridge.ledger.verify import Checked
from ptbridge.ledger.visits import KnownVisit, StoredVisit

__all__ = [
    "COUNTS",
    "LETS_PASS",
    "REFUSED",
    "UNDONE",
    "Answers",
    "BilledLine",
    "Checked",
    "DayRow",
    "Decision",
    "KnownVisit",
    "Ledger",
    "LiveCharge",
    "Made",
    "Opening",
    "OtherDay",
    "Recorded",
    "Refusal",
    "RefusedDay",
    "RefusedPart",
    "StoredVisit",
    "Use",
    "Verdict",
    "Whose",
    "patient_key",
    "patient_key_of",
    "shares",
    "shown_lines",
    "side_by_side",
]
