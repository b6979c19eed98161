"""Which bookings the inbox tells of: every appointment of some days, with all its messages whatever day they name.

An appointment is named by the filler's id (SCH-2), else by the placer's (SCH-1), and by SCH-3 where a series shares one id.
The two ids are one appointment's where a message has both. What its messages mean is decided in `intake/hl7/booking.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import NamedTuple

from ptbridge.model import SourceRecord
from ptbridge.ports import Inbox, InboxEntry
from ptbridge.wire.hl7_options import Hl7Options
from ptbridge.wire.hl7_record import Part, join_parts
from ptbridge.wire.hl7_visits import Key, VisitBook
from ptbridge.wire.hl7v2 import Message
from ptbridge.wire.source_client import SourceClient


class Appointment(NamedTuple):
    """One booking: its name, its messages in order of arrival, and they and the patient's merges as a record."""

    name: str
    entries: tuple[InboxEntry, ...]
    record: SourceRecord


def tells_of_bookings(inbox: Inbox) -> bool:
    """Whether this sender books at all: without a single SIU its schedule is not known."""
    return any(label.startswith("taken SIU") for label in inbox.counts())


class BookedDays:
    """The appointments that a clinic's inbox knows."""

    def __init__(self, client: SourceClient, inbox: Inbox) -> None:
        self._inbox = inbox
        self._book = VisitBook(client, inbox, Hl7Options.of(client.options))
        self._placed: dict[str, list[InboxEntry]] = {}

    def between(self, first: date, last: date) -> Iterator[Appointment]:
        """Each appointment that any message puts on a day from `first` to `last`, both included; once."""
        seen = set[str]()
        for offset in range((last - first).days + 1):
            for entry in self._inbox.about("due", (first + timedelta(days=offset)).isoformat()):
                if _books(entry) and (name := self._name(entry)) not in seen:
                    seen.add(name)
                    yield self._appointment(name, entry)

    def keys(self, appointment: Appointment, day: str) -> list[Key]:
        """The visits that it may stand for: by the number that a message of it gives, newest first, else by its own id."""
        numbers = [number for entry in appointment.entries if (number := self._book.number(entry)) is not None]
        found = [Key("visit", number, day if self._book.by_day else "") for number in reversed(numbers)]
        own = [value for entry in appointment.entries for path in ("SCH-2", "SCH-1") for value in entry.values(path)]
        return list(dict.fromkeys(found + [Key("appointment", value) for value in own]))

    def is_charged(self, key: Key) -> bool:
        """Whether the inbox has charges of that visit, judged or not."""
        charges = [entry for entry in self._book.entries(key) if self._book.charges(entry)]
        return any(not key.day or key.day in entry.values("FT1-4") for entry in charges)

    def took_place(self, key: Key) -> bool:
        """Whether anything but a booking puts the visit of that number on its day."""
        return any(key.day in self._book.days(one) for one in self._book.entries(key) if not _books(one))

    def _appointment(self, name: str, entry: InboxEntry) -> Appointment:
        found = {entry.seq: entry}
        for filler in self._fillers(entry):
            found |= {one.seq: one for one in self._inbox.about("SCH-2", filler)}
        for placer in {value for one in found.values() for value in one.values("SCH-1")}:
            found |= {one.seq: one for one in self._of_placer(placer) if not one.values("SCH-2")}
        mine = tuple(one for _, one in sorted(found.items()) if _books(one) and self._name(one) == name)
        merges = self._book.merges(dict.fromkeys(patient for one in mine for patient in one.values("PID-3")))
        uses = {one.seq: "merge" for one in merges} | {one.seq: "facts" for one in mine}
        charset = self._book.options.charset
        payload = join_parts([Part(seq, use, charset, self._inbox.raw(seq)) for seq, use in sorted(uses.items())])
        return Appointment(name, mine, self._book.record_of(f"appointment-{name}", payload, mine[-1].received_at))

    def _name(self, entry: InboxEntry) -> str:
        """`7`, or `7/2` for the second of a series; without any id it is the message's own."""
        found = [*self._fillers(entry), *entry.values("SCH-1"), f"message-{entry.seq}"][0]
        message = Message.parse(self._inbox.raw(entry.seq), self._book.options.charset)
        occurrence = message.get("SCH-3.1")
        return f"{found}/{occurrence}" if occurrence else found

    def _fillers(self, entry: InboxEntry) -> list[str]:
        """The filler's id; of a message with the placer's alone, the one that another message of that placer's id gives."""
        own = entry.values("SCH-2")
        if own:
            return own[:1]
        others = {value for placer in entry.values("SCH-1") for one in self._of_placer(placer) for value in one.values("SCH-2")}
        return list(others) if len(others) == 1 else []

    def _of_placer(self, placer: str) -> list[InboxEntry]:
        if placer not in self._placed:
            self._placed[placer] = [one for one in self._inbox.about("SCH-1", placer) if _books(one)]
        return self._placed[placer]


def _books(entry: InboxEntry) -> bool:
    return entry.state == "taken" and entry.kind.startswith("SIU")
