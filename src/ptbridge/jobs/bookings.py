"""What an HL7 v2 sender booked (SIU), against the visits that the ledger knows: the list of visits that should bill.

A booking is a visit's by its visit number, else one of the patient's visits of that day is its visit. A visit of which nothing
but the booking was ever told (it stands on the worklist once its day is over) is none: nobody said that it took place.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from ptbridge.intake.hl7 import Hl7Mapping
from ptbridge.intake.hl7.booking import Booking, read_booking
from ptbridge.jobs.kit import mapping_of
from ptbridge.ledger import Ledger, patient_key
from ptbridge.ledger.columns import VisitFacts
from ptbridge.model import VisitStatus
from ptbridge.sdk import SourceClient
from ptbridge.specs.clinic import ClinicSpec
from ptbridge.specs.config import Config
from ptbridge.wire.hl7_schedule import Appointment, BookedDays, tells_of_bookings
from ptbridge.wire.hl7_visits import Key

_CALLED_OFF = frozenset({VisitStatus.CANCELLED, VisitStatus.NO_SHOW, VisitStatus.ENTERED_IN_ERROR})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """An appointment without a visit: why, who must act, and what to do. `names`: its id, and what explain knows it by.

    `day_id` and `reference` are of the treatment day under which the ledger lists the booking itself, None where it does not.
    """

    names: tuple[str, ...]
    service_date: str
    code: str
    reason: str
    owner: str
    do: str
    day_id: int | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedButCharged:
    """A no-show on whose day the patient has more charged visits than bookings that took place."""

    appointment: str
    service_date: str
    visits: tuple[str, ...]
    owner: str = "clinic"
    why: str = "the appointment is a no-show, and the patient has a charge of that day that no other booking explains"
    do: str = "Correct the appointment, or take the charge back in the EMR; an appointment that was missed must not be billed."


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What the schedule and the visits do not agree about."""

    unseen: tuple[Unseen, ...] = ()
    missed_but_charged: tuple[MissedButCharged, ...] = ()


@dataclass(frozen=True, slots=True)
class _Booked:
    """An appointment of one patient and day. `key` is the visit that its messages number, None when they number none.

    `own` is what the ledger has of it, under that number or under its own id; `records` are all names it may have there.
    """

    name: str
    day: str
    status: VisitStatus
    key: Key | None
    own: VisitFacts | None
    records: frozenset[str]


def booked_by_message(
    config: Config, ledger: Ledger, spec: ClinicSpec, client: SourceClient, days: tuple[str, str]
) -> Schedule | None:
    """The bookings of those days (ISO 8601, both included). None when this sender never booked anything here."""
    mapping = mapping_of(config, spec)
    if client.inbox is None or not tells_of_bookings(client.inbox) or not isinstance(mapping, Hl7Mapping):
        return None
    booked = BookedDays(client, client.inbox)
    by_day: defaultdict[tuple[str, str], list[_Booked]] = defaultdict(list)
    for appointment in booked.between(date.fromisoformat(days[0]), date.fromisoformat(days[1])):
        due = {entry.seq: day for entry in appointment.entries for day in entry.values("due")}
        said = read_booking(appointment.record, mapping, config.time_zone(spec), due)
        day = said.day.isoformat() if said.day else ""
        if said.patient_id is not None and days[0] <= day <= days[1]:
            by_day[patient_key(spec.clinic, said.patient_id), day].append(
                _known(ledger, client, booked, appointment, said, day)
            )
    found = [_Day(ledger, spec, booked, several, *whose) for whose, several in by_day.items()]
    return Schedule(
        unseen=tuple(one for day in found for one in day.unseen()),
        missed_but_charged=tuple(one for day in found for one in day.missed_but_charged()),
    )


def _known(
    ledger: Ledger, client: SourceClient, booked: BookedDays, appointment: Appointment, said: Booking, day: str
) -> _Booked:
    keys = booked.keys(appointment, day)
    numbered = keys[0] if keys and keys[0].kind == "visit" else None
    found = [(key, ledger.columns.visit(client.clinic, client.source, key.record_key)) for key in keys]
    # a booking leaves the list when it is charged by another key, and then says nothing any more
    own = [facts for key, facts in found if facts is not None and (key.kind == "visit" or facts.state != "gone")]
    records = frozenset(key.record_key for key in keys)
    return _Booked(appointment.name, day, said.status, numbered, own[0] if own else None, records)


@dataclass(slots=True)
class _Day:
    """One patient's bookings and visits of one day."""

    ledger: Ledger
    spec: ClinicSpec
    booked: BookedDays
    bookings: list[_Booked]
    patient: str
    day: str
    visits: list[VisitFacts] = field(init=False)

    def __post_init__(self) -> None:
        self.visits = self.ledger.columns.of_patient(self.patient, self.spec.clinic, self.day)

    def unseen(self) -> Iterator[Unseen]:
        """Bookings that should have taken place, and that no visit is left for."""
        expected = [one for one in self.bookings if one.status not in _CALLED_OFF]
        open_ = [one for one in expected if one.own is None or self._only_listed(one, one.own)]
        booked = {record for one in self.bookings for record in one.records}
        free = sum(1 for one in self.visits if one.visit_id not in booked and not self._only_booked(one))
        for one in sorted(open_, key=lambda one: one.key is not None)[free:]:  # a visit without a booking is that of any
            yield self._unseen(one)

    def missed_but_charged(self) -> Iterator[MissedButCharged]:
        """No-shows, as many as there are charged visits more than bookings that took place."""
        charged = [one for one in self.visits if one.lines and not one.out]
        expected = sum(1 for one in self.bookings if one.status not in _CALLED_OFF)
        missed = [one for one in self.bookings if one.status is VisitStatus.NO_SHOW]
        for one in missed[: max(len(charged) - expected, 0)]:
            yield MissedButCharged(
                appointment=one.name, service_date=self.day, visits=tuple(visit.visit_id for visit in charged)
            )

    def _only_booked(self, facts: VisitFacts) -> bool:
        """Whether nothing but a booking was told of the visit: it documents nothing and was never registered."""
        if facts.day_id is None or facts.lines or facts.out or facts.state != "read":
            return False
        stored = [one.visit for one in self.ledger.visits.of_day(facts.day_id) if one.visit.visit_id == facts.visit_id]
        return any(visit.status is VisitStatus.PLANNED for visit in stored)

    def _only_listed(self, one: _Booked, own: VisitFacts) -> bool:
        """The same, where a number is many days: each day has all messages of the number, and few of them are about it."""
        if one.key is None or not one.key.day or own.lines or own.out:
            return self._only_booked(own)
        return not self.booked.took_place(one.key)

    def _unseen(self, one: _Booked) -> Unseen:
        listed = one.own
        if one.key is not None and one.own is None and self.booked.is_charged(one.key):
            code, reason = "not-read", "its charges are here and were never judged"
            owner, do = "ptbridge", "Run ptbridge sync."
        else:
            code, reason = "no-charge", "scheduled, no charge: its day is over, and nobody said that it took place"
            owner, do = "clinic", "Chart and charge the visit, or mark the appointment as missed or cancelled in the EMR."
        return Unseen(
            names=(one.name, *([one.key.value] if one.key else [listed.visit_id] if listed else [])),
            service_date=one.day,
            code=code,
            reason=reason,
            owner=owner,
            do=do,
            day_id=listed.day_id if listed else None,
            reference=listed.reference if listed else None,
        )
