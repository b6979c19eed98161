"""Taking in what a source gave: payloads, visits, the days to judge and the cursor; and reading again what is stored."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

from ptbridge.errors import RecordError
from ptbridge.intake import is_stale
from ptbridge.jobs.addresses import address_of
from ptbridge.jobs.kit import configuration
from ptbridge.ledger import KnownVisit, Ledger, patient_key_of
from ptbridge.ledger.asked import EXCLUDED, PURGED
from ptbridge.model import SourceRecord
from ptbridge.pipeline import Kit, day_key, normalize
from ptbridge.plan import reference_of
from ptbridge.ports import Pulled
from ptbridge.specs.config import Config

log = logging.getLogger(__name__)


def take(ledger: Ledger, batch: Pulled, kit: Kit) -> None:
    """One batch: payloads, visits, days to judge and the cursor, in one durable transaction."""
    spec = kit.clinic
    with ledger.transaction():
        for record in batch.records:
            _take_record(ledger, record, kit)
        for record, reason in batch.unreadable:
            known = ledger.visits.find(record.clinic, record.source, record.record_key)
            _quarantine(ledger, record, reason, known)
        for record_key in batch.gone:
            day_id = ledger.visits.gone(spec.clinic, spec.source.connector, record_key)
            if day_id is not None:
                ledger.days.mark([day_id])
        if batch.cursor is not None:
            ledger.move_cursor(spec.clinic, spec.source.connector, batch.cursor, address_of(spec.source.base_url))


def read_again(ledger: Ledger, kit: Kit, now: str) -> None:
    """After an edit of mapping, payers or fees, or on a new civil day: what was held or quarantined gets a new chance.

    `now` is the fingerprint of what judges. Days that were sent are not touched: a new mapping never re-emits old charges by
    itself (contract D27).
    """
    clinic = kit.clinic.clinic
    if ledger.fingerprint(clinic) == now:
        return
    with ledger.transaction():
        for known, record, record_id in list(ledger.visits.to_read_again(clinic)):
            _read(ledger, record, known.record_sha256, record_id, known, kit)
        ledger.days.mark_held(clinic)
        ledger.set_fingerprint(clinic, now)


def take_up_asked(ledger: Ledger, kit: Kit, config: Config) -> None:
    """Read anew what a person asked for, where the configuration is still the one whose outcome that person was shown."""
    clinic = kit.clinic.clinic
    waiting = ledger.asked.waiting(clinic)
    if not waiting:
        return
    now = configuration(config)
    with ledger.transaction():
        lapsed = {day_id: _lapsed(ledger, day_id, named == now) for day_id, named in waiting}
        read_anew(ledger, kit, [day_id for day_id, why in lapsed.items() if why is None])
        for day_id, why in lapsed.items():
            ledger.asked.answered(clinic, day_id, why)


def _lapsed(ledger: Ledger, day_id: int, same: bool) -> str | None:
    """Why nothing comes of what was asked; what is on its way is judged when its answer is there."""
    in_the_way = ledger.asked.in_the_way(day_id)
    if in_the_way in (PURGED, EXCLUDED):
        return in_the_way
    return None if same else "another configuration"


def read_anew(ledger: Ledger, kit: Kit, day_ids: Iterable[int]) -> set[int]:
    """Read what is stored of whole days as it is read now, and ask for a judgement of them and of days that gain a visit.

    Call inside a transaction. Returns the row ids of all those days.
    """
    asked = list(day_ids)
    touched = set(asked)
    for source, visit_id, record_id in ledger.asked.visits_of(asked):
        known = ledger.visits.find(kit.clinic.clinic, source, visit_id)
        record = ledger.visits.latest(kit.clinic.clinic, source, visit_id)
        assert known is not None and record is not None, "a visit of a day that was not purged"
        _read(ledger, record, known.record_sha256, record_id, known, kit)
        now = ledger.visits.find(kit.clinic.clinic, source, visit_id)
        touched |= {now.day_id} if now and now.day_id is not None else set()
    ledger.days.mark(touched)
    return touched


def _take_record(ledger: Ledger, record: SourceRecord, kit: Kit) -> None:
    known = ledger.visits.find(record.clinic, record.source, record.record_key)
    digest = hashlib.sha256(record.payload).digest()
    if known and known.record_sha256 == digest and known.state != "gone":
        ledger.visits.seen_again(known)
        return
    record_id = ledger.visits.store(record, digest)
    newest = ledger.visits.latest(record.clinic, record.source, record.record_key) if known else None
    if known and newest is not None and is_stale(record, newest):
        ledger.visits.stale(known)
        return
    _read(ledger, record, digest, record_id, known, kit)


def _read(ledger: Ledger, record: SourceRecord, digest: bytes, record_id: int, known: KnownVisit | None, kit: Kit) -> None:
    """Normalize a stored record and ask for a judgement of the days that it touches."""
    try:
        visit = normalize(record, kit)
    except Exception as error:  # also a fault of ours: one record must not stop a clinic's night
        _set_aside(ledger, record, digest, record_id, _unreadable(error), known)
        return
    key = day_key(visit, kit)
    service_date = visit.service_date.isoformat() if visit.service_date else None
    day_id = ledger.days.ensure(
        record.clinic, key, reference_of(record.clinic, key), service_date, patient_key_of(record.clinic, key)
    )
    if ledger.visits.put(record, digest, record_id, visit, day_id, known):
        ledger.days.mark({day_id} | ({known.day_id} if known and known.day_id is not None else set()))


def _quarantine(ledger: Ledger, record: SourceRecord, reason: str, known: KnownVisit | None) -> None:
    digest = hashlib.sha256(record.payload).digest()
    if known and known.record_sha256 == digest:
        ledger.visits.seen_again(known)
        return
    record_id = ledger.visits.store(record, digest)
    _set_aside(ledger, record, digest, record_id, reason, known)


def _set_aside(
    ledger: Ledger, record: SourceRecord, digest: bytes, record_id: int, reason: str, known: KnownVisit | None
) -> None:
    """Quarantine a stored record; the day that its visit fed must be judged again."""
    ledger.visits.quarantine(record, digest, record_id, reason, known)
    if known and known.day_id is not None:
        ledger.days.mark([known.day_id])


def _unreadable(error: Exception) -> str:
    """Why a record cannot be read; only our own errors have words that are safe to keep."""
    if isinstance(error, RecordError):
        return str(error)
    log.error("a record could not be read", exc_info=error)
    return f"reading it stopped with {type(error).__name__}. Report it with the visit id."
