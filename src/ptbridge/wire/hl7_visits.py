"""From the inbox to visits: which messages tell of which visit, one record for each, whole again whenever one more arrives.

A record is rebuilt from everything that the inbox has about the visit, so the order of arrival decides nothing and a
message that came twice changes nothing. What a message means is not decided here but in `intake/hl7`.

Keys: the visit number, as the option `visit_number` names it; with `visit_by: visit-day`, the number and the service date.
Charges that name no visit are kept by patient and service date (`day-…`, a digest), bookings by appointment.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from ptbridge.errors import ConfigError
from ptbridge.model import SourceRecord
from ptbridge.ports import Inbox, InboxEntry, Pulled
from ptbridge.wire.hl7_options import Hl7Options
from ptbridge.wire.hl7_record import MEDIA_TYPE, Part, join_parts
from ptbridge.wire.source_client import SourceClient

BATCH = 200  # messages looked at for one batch of records
_DUE_DAYS = 60  # how far back a first run looks for booked visits without charges
MERGES = frozenset(f"ADT^A{number}" for number in (18, 30, 34, 36, 40, 47))  # one patient's record into another's
MOVES = frozenset(f"ADT^A{number}" for number in (35, 41, 42, 43, 45, 50))  # a visit or account to another
REVOKES = frozenset({"ADT^A29", "ADT^A37"})  # a person's record deleted; two linked ones taken apart
_CANCELS = frozenset({"ADT^A11", "ADT^A23", "ADT^A27", "ADT^A38", "SIU^S15", "SIU^S16", "SIU^S17", "SIU^S26"})
_OLD_NUMBER = {"PV1-19": "MRG-5", "PV1-50": "MRG-5", "PID-18": "MRG-3"}


class Key(NamedTuple):
    """Which visit: by its number, by patient and day, by appointment, or a message that names none of them."""

    kind: str  # visit, patient-day, appointment, message
    value: str
    day: str = ""

    @property
    def record_key(self) -> str:
        """The visit's identity for the ledger. No slash: that stands between a visit and its lines."""
        if self.kind == "visit":
            number = self.value.replace("%", "%25").replace("/", "%2F")
            return f"{number}@{self.day}" if self.day else number
        if self.kind == "patient-day":
            return "day-" + hashlib.sha256(f"{self.value}\n{self.day}".encode()).hexdigest()[:16]
        return f"{self.kind}-{self.value}".replace("/", "%2F")


async def walk_messages(client: SourceClient, cursor: Mapping[str, str]) -> AsyncIterator[Pulled]:
    """Yield the visits that messages after the cursor tell of, oldest first, then the booked ones whose day is over.

    The cursor is the number of the last message, and the last civil day that was looked at for bookings. Raises ConfigError.
    """
    options, inbox = Hl7Options.of(client.options), client.inbox
    if inbox is None:
        if not options.address and not options.drop_folder:
            raise ConfigError("names neither address nor drop_folder, so nothing can arrive. Add one.", where="source.options")
        return
    book = VisitBook(client, inbox, options)
    after, upto, done = int(cursor.get("message", "0")), inbox.last(), set[Key]()
    while entries := inbox.arrived(after=after, upto=upto, limit=BATCH):
        wanted = dict.fromkeys(key for entry in entries for key in book.keys(entry) if key not in done)
        done.update(wanted)
        after = entries[-1].seq
        yield Pulled(
            records=tuple(record for key in wanted if (record := book.record(key)) is not None),
            gone=tuple(
                dict.fromkeys(
                    [
                        Key("visit", key.value).record_key for key in wanted if key.kind == "visit" and key.day
                    ]  # its days stand now
                    + [key.record_key for entry in entries for key in book.explained(entry)]
                )
            ),
            unreadable=tuple((book.damaged(entry), entry.reason) for entry in entries if entry.state == "damaged"),
            cursor=_moved(cursor, message=str(after)),
        )
    if options.expects_adt:
        late, waited = book.waited_long_enough(int(cursor.get("waited", "0")), upto)
        in_vain = tuple(record for key in late if key not in done and (record := book.record(key)) is not None)
        done.update(late)
        if str(waited) != cursor.get("waited"):
            yield Pulled(records=in_vain, cursor=_moved(cursor, message=str(max(after, upto)), waited=str(waited)))
            cursor = _moved(cursor, waited=str(waited))
    today = book.today
    start = (
        date.fromisoformat(cursor["day"])
        if "day" in cursor
        else max(today - timedelta(days=_DUE_DAYS), client.since or date.min)
    )
    records = tuple(record for key in book.due(start, today) if key not in done and (record := book.record(key)) is not None)
    if records or cursor.get("day") != today.isoformat():
        yield Pulled(records=records, cursor=_moved(cursor, message=str(max(after, upto)), day=today.isoformat()))


def _replaced(book: VisitBook, wanted: Iterable[Key], entries: Iterable[InboxEntry]) -> Iterator[Key]:
    """Records that stood for what others stand for now: a number's single days, a booking's charged visit."""
    yield from (Key("visit", key.value) for key in wanted if key.kind == "visit" and key.day)
    yield from (key for entry in entries for key in book.explained(entry))


def _moved(cursor: Mapping[str, str], **to: str) -> dict[str, str]:
    return {**cursor, **to}


async def describe_messages(client: SourceClient) -> list[str]:
    """Plain sentences: what is in the inbox, what was left out and why, and how visits are told apart."""
    options = Hl7Options.of(client.options)
    said = [f"Visits are told apart by {' else '.join(options.visit_number)}; each service date is a visit of its own."]
    if options.visit_by == "visit":
        said = [f"Visits are told apart by {' else '.join(options.visit_number)}."]
    billing = ", ".join(["DFT", *sorted(options.charges_from)])
    said.append(f"FT1 segments bill in {billing} only; each message holds {_WHOLE[options.charges]}.")
    if client.inbox is None:
        return [*said, "There is no inbox yet: nothing was received. Start `ptbridge listen`, or name a drop_folder."]
    counts = client.inbox.counts()
    said.append(f"The inbox has {sum(counts.values())} messages.")
    said += [f"{count} {label}" for label, count in counts.items()]
    return said


_WHOLE = {"delta": "new charges", "snapshot": "all charges of the visit so far"}


class VisitBook:
    """Finds the messages of a visit, and the visits of a message."""

    def __init__(self, client: SourceClient, inbox: Inbox, options: Hl7Options) -> None:
        self.client, self.inbox, self.options = client, inbox, options
        self.by_day = options.visit_by == "visit-day"
        self.today = client.now().astimezone(client.time_zone).date()
        self.waited_since = client.now() - timedelta(hours=options.adt_wait_hours)
        self._booked: dict[str, dict[str, list[Key]]] = {}  # bookings without a number: day -> patient -> keys

    # ------------------------------------------------------------ from a message to its visits

    def keys(self, entry: InboxEntry) -> list[Key]:
        """The visits whose record this message changes."""
        if entry.state != "taken":
            return []
        if entry.kind in MERGES:
            return self._visits_of_merged(entry)
        if entry.kind in REVOKES:
            return self._visits_of_patients(entry.values("revoked"), None)
        found = self._own_keys(entry)
        if entry.kind in MOVES:
            found += [
                key
                for path in self.options.visit_number
                for old in entry.values(_OLD_NUMBER[path])
                for key in self._of_number(old)
            ]
        if not found and entry.values("person"):
            since = self.client.now() - timedelta(days=self.options.person_days)
            found = self._visits_of_patients(entry.values("person"), since)
        return found

    def _own_keys(self, entry: InboxEntry) -> list[Key]:
        number, days = self.number(entry), entry.values("FT1-4") if self.charges(entry) else []
        if number is not None:
            if not self.by_day:
                return [Key("visit", number)]
            return [Key("visit", number, day) for day in days] or self._of_number(number)
        if self.charges(entry):
            patients = entry.values("PID-3")
            if patients and days:
                return [Key("patient-day", patients[0], day) for day in dict.fromkeys(days)]
            return [Key("message", str(entry.seq))]
        appointment = _appointment(entry)
        if appointment is None:
            return []
        numbers = {number for one in self._of_appointment(appointment) if (number := self.number(one)) is not None}
        return self._of_number(numbers.pop()) if len(numbers) == 1 else [Key("appointment", appointment)]

    def explained(self, entry: InboxEntry) -> Iterator[Key]:
        """Bookings without a number that this message shows to be a visit that goes by another key."""
        if entry.state != "taken":
            return
        if self.charges(entry):
            for day in entry.values("FT1-4"):
                booked = self._booked_on(day)
                yield from (key for patient in entry.values("PID-3") for key in booked.get(patient, ()))
        elif self.number(entry) is not None and (appointment := _appointment(entry)):
            yield Key("appointment", appointment)

    def _booked_on(self, day: str) -> dict[str, list[Key]]:
        if day not in self._booked:
            found = self._booked[day] = dict[str, list[Key]]()
            for entry in self.inbox.about("due", day):
                if entry.state == "taken" and (appointment := _appointment(entry)) and self.number(entry) is None:
                    for patient in entry.values("PID-3"):
                        found.setdefault(patient, []).append(Key("appointment", appointment))
        return self._booked[day]

    def _of_number(self, number: str) -> list[Key]:
        """The records of a visit number: one, or one for each service date so far."""
        if not self.by_day:
            return [Key("visit", number)]
        days = sorted({day for entry in self._of_visit(number) for day in self.days(entry)})
        return [Key("visit", number, day) for day in days]

    def days(self, entry: InboxEntry) -> list[str]:
        """The civil days of its charges, or the one that it books or registers a visit for."""
        return entry.values("FT1-4") if self.charges(entry) else entry.values("due")

    def _visits_of_merged(self, entry: InboxEntry) -> list[Key]:
        """Visits of the record that went away, and of those that had gone into it before."""
        gone, open_ = set[str](), [*entry.values("MRG-1")]
        while open_:
            patient = open_.pop()
            if patient not in gone:
                gone.add(patient)
                open_ += [old for merge in self.inbox.about("survivor", patient) for old in merge.values("MRG-1")]
        return self._visits_of_patients(sorted(gone), None)

    def _visits_of_patients(self, patients: Iterable[str], since: datetime | None) -> list[Key]:
        found: dict[Key, None] = {}
        for patient in patients:
            for entry in self.inbox.about("PID-3", patient):
                if (
                    entry.state == "taken"
                    and entry.kind not in MERGES | REVOKES
                    and (since is None or entry.received_at >= since)
                ):
                    found.update(dict.fromkeys(self._own_keys(entry)))
        return list(found)

    def due(self, start: date, today: date) -> Iterator[Key]:
        """Visits that were booked or registered for a day from `start` on that is over now."""
        day = start
        while day < today:
            for entry in self.inbox.about("due", day.isoformat()):
                if entry.state == "taken":
                    yield from self._own_keys(entry)
            day += timedelta(days=1)

    # ------------------------------------------------------------ from a visit to its messages

    def record(self, key: Key) -> SourceRecord | None:
        """The visit's record as it is now; None while there is nothing to bill or to cancel and its day is not over."""
        own = self.entries(key)
        if not own or not self._is_time(own) or self._waits_for_adt(own):
            return None
        uses = {entry.seq: (entry, self._use(entry, own)) for entry in own}
        patients = dict.fromkeys(patient for entry in own for patient in entry.values("PID-3"))
        newest = own[-1].received_at
        for entry in self._person(patients, newest):
            uses.setdefault(entry.seq, (entry, "person"))
        sent_at = self.client.known.sent_at(key.record_key) if self.client.known else None
        for entry in self.merges(patients):
            late = sent_at is not None and sent_at < entry.received_at
            uses[entry.seq] = (entry, "late-merge" if late else "merge")
        for entry in self._revokes(patients, after=max(uses)):
            uses[entry.seq] = (entry, "revoked")
        ordered = [uses[seq] for seq in sorted(uses)]
        charset = self.options.charset
        parts = [Part(entry.seq, use, charset, self.inbox.raw(entry.seq)) for entry, use in ordered]
        return self.record_of(key.record_key, join_parts(parts, key.day if key.kind == "visit" else ""), newest)

    def damaged(self, entry: InboxEntry) -> SourceRecord:
        """A message that could not be read, as a record of its own for the quarantine."""
        payload = join_parts([Part(entry.seq, "facts", self.options.charset, self.inbox.raw(entry.seq))])
        return self.record_of(f"message-{entry.seq}", payload, entry.received_at)

    def record_of(self, record_key: str, payload: bytes, received_at: datetime) -> SourceRecord:
        """These joined messages as a record of this clinic."""
        return SourceRecord(
            clinic=self.client.clinic,
            source=self.client.source,
            record_key=record_key,
            media_type=MEDIA_TYPE,
            payload=payload,
            received_at=received_at,
        )

    def entries(self, key: Key) -> list[InboxEntry]:
        """The messages about that visit, in order of arrival."""
        if key.kind == "visit":
            return self._of_visit(key.value)
        if key.kind == "patient-day":
            found = [entry for entry in self.inbox.about("PID-3", key.value) if key in self._own_keys(entry)]
            return [entry for entry in found if entry.state == "taken"]
        if key.kind == "appointment":
            return [entry for entry in self._of_appointment(key.value) if key in self._own_keys(entry)]
        return self.inbox.arrived(after=int(key.value) - 1, upto=int(key.value), limit=1)

    def _of_appointment(self, appointment: str) -> list[InboxEntry]:
        both = [*self.inbox.about("SCH-2", appointment), *self.inbox.about("SCH-1", appointment)]
        return _in_order(entry for entry in both if entry.state == "taken" and _appointment(entry) == appointment)

    def _of_visit(self, number: str) -> list[InboxEntry]:
        found = [entry for path in self.options.visit_number for entry in self.inbox.about(path, number)]
        mine = [entry for entry in found if self.number(entry) == number and entry.kind not in MERGES | REVOKES]
        moved = [entry for path in self.options.visit_number for entry in self.inbox.about(_OLD_NUMBER[path], number)]
        mine += [entry for entry in moved if entry.kind in MOVES]
        booked = {appointment for entry in mine if (appointment := _appointment(entry)) is not None}
        mine += [one for appointment in booked for one in self._of_appointment(appointment) if self.number(one) is None]
        return _in_order(entry for entry in mine if entry.state == "taken")

    def _is_time(self, own: list[InboxEntry]) -> bool:
        """True when something was charged or cancelled, or when the day of a booked visit is over."""
        if any(self.charges(entry) or entry.kind in _CANCELS or entry.kind.startswith("MDM") for entry in own):
            return True
        days = [day for entry in own for day in entry.values("due")]
        # the last of all days: a booking that was moved is not late, in whatever order its messages came
        return bool(days) and max(days) < self.today.isoformat() and not self._charged_otherwise(own, max(days))

    def _waits_for_adt(self, own: list[InboxEntry]) -> bool:
        """Charges of a sender that always sends an ADT wait for it, but not for ever."""
        if not self.options.expects_adt or any(entry.kind.startswith("ADT") for entry in own):
            return False
        charged = [entry.received_at for entry in own if self.charges(entry)]
        return bool(charged) and max(charged) > self.waited_since

    def waited_long_enough(self, after: int, upto: int) -> tuple[list[Key], int]:
        """Visits whose charges, numbered above `after`, waited in vain for their ADT; and how far the waiting is over."""
        found: dict[Key, None] = {}
        while entries := self.inbox.arrived(after=after, upto=upto, limit=BATCH):
            for entry in entries:
                if entry.received_at > self.waited_since:
                    return list(found), after
                after = entry.seq
                if entry.state == "taken" and self.charges(entry):
                    found.update((key, None) for key in self._own_keys(entry) if not self._has_adt(key))
        return list(found), after

    def _has_adt(self, key: Key) -> bool:
        return any(entry.kind.startswith("ADT") for entry in self.entries(key))

    def _charged_otherwise(self, own: list[InboxEntry], day: str) -> bool:
        """True when the patient has charges of that day under another key: the booking named no visit number."""
        if any(self.number(entry) is not None for entry in own):
            return False
        patients = {patient for entry in own for patient in entry.values("PID-3")}
        charged = (entry for patient in patients for entry in self.inbox.about("PID-3", patient) if self.charges(entry))
        return any(day in entry.values("FT1-4") for entry in charged)

    def _person(self, patients: Iterable[str], newest: datetime) -> Iterator[InboxEntry]:
        until = newest + timedelta(days=self.options.person_days)
        for patient in patients:
            for entry in self.inbox.about("person", patient):
                if entry.state == "taken" and entry.received_at <= until:
                    yield entry

    def merges(self, patients: Iterable[str]) -> list[InboxEntry]:
        """The merges that took this patient's record away, and those that took away the record that was left."""
        found: dict[int, InboxEntry] = {}
        seen, open_ = set[str](), [*patients]
        while open_:
            patient = open_.pop()
            if patient in seen:
                continue
            seen.add(patient)
            for merge in self.inbox.about("MRG-1", patient):
                if merge.state == "taken" and merge.kind in MERGES:
                    found[merge.seq] = merge
                    open_ += merge.values("survivor")
        return list(found.values())

    def _revokes(self, patients: Iterable[str], after: int) -> list[InboxEntry]:
        """Messages after all others that say that this patient's record is none any more; what comes later is newer word."""
        found = (entry for patient in patients for entry in self.inbox.about("revoked", patient))
        return _in_order(entry for entry in found if entry.state == "taken" and entry.seq > after)

    # ------------------------------------------------------------ one message

    def number(self, entry: InboxEntry) -> str | None:
        """The visit's number in that message; None when it has none."""
        return next((value for path in self.options.visit_number for value in entry.values(path)), None)

    def charges(self, entry: InboxEntry) -> bool:
        """Whether its FT1 segments bill."""
        code = entry.kind[:3]
        return code == "DFT" or (code in self.options.charges_from and bool(entry.values("FT1-4")))

    def _use(self, entry: InboxEntry, own: list[InboxEntry]) -> str:
        if entry.kind in MOVES:
            return "moved"
        if not self.charges(entry):
            return "facts"
        if self.options.expects_adt and not any(one.kind.startswith("ADT") for one in own):
            return "early"
        return "snapshot" if self.options.charges == "snapshot" else "charges"


def _appointment(entry: InboxEntry) -> str | None:
    if not entry.kind.startswith("SIU"):
        return None
    return next((value for path in ("SCH-2", "SCH-1") for value in entry.values(path)), None)


def _in_order(entries: Iterable[InboxEntry]) -> list[InboxEntry]:
    return list({entry.seq: entry for entry in sorted(entries, key=lambda entry: entry.seq)}.values())
