"""Judging treatment days with what the ledger knows about them: the decision, what is live, the patient's history."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ptbridge.errors import LedgerError
from ptbridge.ledger import REFUSED, DayRow, Ledger, Verdict, Whose, side_by_side
from ptbridge.model import TreatmentDay
from ptbridge.pipeline import Kit, judge, unjudged
from ptbridge.policy import Policy
from ptbridge.policy.history import PatientHistory

log = logging.getLogger(__name__)

Progress = Callable[[str, int], None]  # what is going on (pulling, judging, sending), and how many so far

CHUNK = 200  # treatment days judged in one transaction


def judge_waiting(ledger: Ledger, kit: Kit, progress: Progress, stopped: Callable[[], bool]) -> None:
    """Judge every day that changed, until `stopped`; each chunk in one durable transaction."""
    count = 0
    while not stopped() and (rows := ledger.days.dirty(kit.clinic.clinic, limit=CHUNK)):
        with ledger.transaction():
            for some in side_by_side(rows, lambda row: row):  # a patient's next day counts what is written of this one
                ledger.days.record_many([(row, verdict_on(ledger, row, kit)) for row in some])
        count += len(rows)
        progress("judging", count)


def verdict_on(ledger: Ledger, row: DayRow, kit: Kit, *, seen_there: bool = False) -> Verdict:
    """What one day is judged to be now; nothing is written. Raises LedgerError.

    `seen_there`: a person has seen that the biller has exactly what it bills.
    """
    visits = ledger.visits.of_day(row.id)
    try:
        return judge(
            row,
            visits,
            kit,
            decision=ledger.days.decision(row.id),
            unreadable=ledger.visits.unreadable_of_day(row.id),
            live=ledger.days.live(row),
            history=partial(_history, ledger, row, kit),
            refused=ledger.standings.refusal(row.id) if row.standing in REFUSED else None,
            elsewhere=ledger.days.still_billed(row),
            seen_there=seen_there,
        )
    except LedgerError:
        raise
    except Exception as error:  # a fault of ours: this day waits for a person, the others go on (contract D16)
        log.error("a treatment day could not be judged", exc_info=error)
        return unjudged(row, visits, type(error).__name__)


def _history(ledger: Ledger, row: DayRow, kit: Kit, day: TreatmentDay, policy: Policy | None) -> PatientHistory | None:
    """What the ledger knows of the patient of this day, as its payer counts; None when it cannot be told whose it is."""
    if row.patient_key is None or day.service_date is None:
        return None
    limits = policy.terms(day.service_date).visit_limits if policy else ()
    whose = Whose(
        clinic=row.clinic,
        patient_key=row.patient_key,
        discipline=day.discipline.value if day.discipline else None,
        on=day.service_date,
        day_id=row.id,
        live=row.live_sha256 is not None,
        payer=policy.name if policy else None,
        pools={pool.name: pool.disciplines for pool in limits},
    )
    return ledger.patients.history(whose, kit.codes)
