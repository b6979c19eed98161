"""Which charge lines stand, after every message of the visit: charges add, credits take away, repetitions change nothing.

A line is known by its transaction id (FT1-2) where that is one: unique inside each message, and no mere line number. Then
the same id with other content is a correction. Elsewhere a line is known by its content, so a message that is sent again
adds nothing, and a second message with another content for the same code holds the visit: nobody can tell a correction
from an addition (MP32).

A credit (FT1-6 as the mapping's table says, or a negative quantity) takes away the charge with its FT1-2, or with the
FT1-2 that its FT1-31 names, or else the newest one with the same content. A credit that finds none holds the visit (MP30).
HL7 v2.8.2 ch. 6.5.1 (FT1), table 0017.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter

from ptbridge.errors import RecordError
from ptbridge.intake.fields import Reading
from ptbridge.intake.hl7 import plausible, values
from ptbridge.intake.hl7.fields import Field, remember
from ptbridge.intake.hl7.record import LineScope, Seen, VisitRecord
from ptbridge.wire.hl7v2 import Group, Segment

CHARGE, CREDIT, NO_CHARGE = "charge", "credit", "not-a-charge"
KINDS = (CHARGE, CREDIT, NO_CHARGE)
Content = tuple[str, ...]


@dataclass(slots=True, eq=False)
class Transaction:
    """One FT1: `id` is FT1-2 where that is a key, `content` what it charges without its sign."""

    scope: LineScope
    seen: Seen
    kind: str
    id: str
    content: Content
    service: Content  # day, code and modifiers: the content without the quantity

    @property
    def group(self) -> Group:
        """The FT1 and what belongs to it."""
        return self.scope.group


@dataclass(frozen=True, slots=True)
class Standing:
    """The charges that stand, oldest first. `taken_back`: there were charges, and credits took back every one of them."""

    lines: list[Transaction]
    taken_back: bool


def charge_lines(record: VisitRecord, kind: Field, line_key: Field, reading: Reading) -> Standing:
    """What stands after every message. Raises RecordError when no charge message of the visit can be read."""
    batches = _readable(record, kind, line_key, reading)
    if not _ids_are_keys([batch for _, batch in batches]):
        for _, batch in batches:
            for transaction in batch:
                transaction.id = ""
    credited = any(one.kind == CREDIT for _, batch in batches for one in batch)
    if len(batches) == 1 and not credited:
        standing, undecided = batches[0][1], False  # nothing that one could add to or take away
    else:
        standing, undecided = _settled(batches, reading)
    if any(seen.use == "early" for seen, _ in batches):
        reading.report("MP34", "the charges came before the visit's ADT message, which this sender always sends", where="FT1")
    return Standing(standing, credited and not standing and not undecided)


def _settled(batches: Sequence[tuple[Seen, list[Transaction]]], reading: Reading) -> tuple[list[Transaction], bool]:
    """(what stands after several messages or credits, whether a credit found no charge)."""
    book = _Book()
    for seen, batch in batches:
        book = _Book() if seen.use == "snapshot" else book  # a snapshot holds all charges so far
        book.apply(batch)
    book.report(reading)
    return book.standing, bool(book.open_credits)


def _readable(record: VisitRecord, kind: Field, line_key: Field, reading: Reading) -> list[tuple[Seen, list[Transaction]]]:
    """The transactions of each charge message. One that is shifted is left out only if a readable one came after it."""
    found: list[tuple[Seen, list[Transaction]]] = []
    refused: RecordError | None = None
    for seen in record.messages:
        groups = seen.message.groups("FT1") if seen.charges else ()
        if not groups:
            continue
        try:
            charged = _charged([LineScope(group, record) for group in groups])
        except RecordError as error:
            refused = error
            continue
        if refused is not None:
            reading.report("MP33", f"an earlier charge message of this visit could not be read: {refused}", where=refused.where)
            refused = None
        if record.only_day:
            charged = [(scope, what) for scope, what in charged if what[0][0] == record.only_day]
        found.append((seen, _batch(seen, charged, kind, line_key, reading)))
    if refused is not None:
        raise refused
    return found


_WHAT = itemgetter(0, *plausible.FIELDS, 26)
_Charged = tuple[Content, Content, bool]
_seen: dict[tuple[str, ...], _Charged] = {}


def _charged(scopes: Sequence[LineScope]) -> list[tuple[LineScope, _Charged]]:
    """With each FT1 its content, its service and whether the quantity is negative, remembered by its text.

    Raises RecordError for a message with fields that cannot be what they should.
    """
    keys = [_WHAT(scope.row) for scope in scopes]
    found = [_seen.get(key) for key in keys]
    if None in found:
        plausible.check([scope.group.head for scope in scopes])
        found = [_content(scope.group.head) for scope in scopes]
        for key, content in zip(keys, found, strict=True):
            remember(_seen, key, content)
    return list(zip(scopes, found, strict=True))  # type: ignore[arg-type]  # none of them is None here


def _content(head: Segment) -> _Charged:
    quantity = (head.value(10) or "").strip()
    service = (values.day(head.value(4) or "").isoformat(), head.value(25) or head.value(7) or "", head.field(26))
    return (*service, _whole(quantity.removeprefix("-"))), service, quantity.startswith("-")


def _batch(
    seen: Seen, charged: Sequence[tuple[LineScope, _Charged]], kind: Field, line_key: Field, reading: Reading
) -> list[Transaction]:
    """The transactions of one message, without what is no charge. An unknown kind is reported, its line stays in sight."""
    scopes = [scope for scope, _ in charged]
    meanings = kind.each_of(scopes, reading)
    found = []
    for (scope, (content, service, negative)), meaning, key in zip(charged, meanings, line_key.texts(scopes), strict=True):
        if meaning != NO_CHARGE:
            what = CREDIT if negative else meaning or CHARGE
            found.append(Transaction(scope, seen, what, key, content, service))
    return found


def _whole(quantity: str) -> str:
    """`2.00` and `02` are 2, so that a credit finds its charge."""
    whole, _, fraction = quantity.lstrip("0+").partition(".")
    return f"{whole}.{fraction.rstrip('0')}".rstrip(".")


def _ids_are_keys(batches: Sequence[list[Transaction]]) -> bool:
    """FT1-2 is a key when every charge has one, none stands twice in a message, and it is not just a line number."""
    for batch in batches:
        charges = [one for one in batch if one.kind == CHARGE]
        ids = {one.id for one in charges}
        if "" in ids or len(ids) < len(charges):
            return False
        if any(map(str.isdecimal, ids)) and any(_is_line_number(one.group.head, one.id) for one in charges):
            return False
    return True


def _is_line_number(head: Segment, id_: str) -> bool:
    if not (id_.isdecimal() and len(id_) <= 4):
        return False
    set_id = head.value(1) or ""
    return set_id.isdecimal() and int(set_id) == int(id_)


class _Book:
    """The lines that stand so far, and the credits that found no charge. Each step is one look-up, however long the visit."""

    def __init__(self) -> None:
        self._lines: dict[int, Transaction] = {}  # by a running number, in order
        self._ids: dict[str, int] = {}
        self._contents: dict[Content, list[int]] = {}
        self._services: Counter[Content] = Counter()
        self._next = 0
        self.open_credits: list[Transaction] = []
        self._doubtful: list[Transaction] = []

    @property
    def standing(self) -> list[Transaction]:
        """The lines that stand, oldest first."""
        return list(self._lines.values())

    def apply(self, batch: Sequence[Transaction]) -> None:
        """One message's transactions, in their order."""
        met, added, of_service = Counter[Content](), Counter[Content](), Counter[Content]()
        for one in batch:
            if one.kind == CREDIT:
                self._credit(one)
            elif one.id:
                self._by_id(one)
            else:
                met[one.content] += 1
                alike = len(self._contents.get(one.content, ())) - added[one.content]  # from messages before this one
                if met[one.content] > alike:  # what was sent before adds nothing
                    if self._services[one.service] - of_service[one.service] > alike:
                        self._doubtful.append(one)
                    self._add(one)
                    added[one.content] += 1
                    of_service[one.service] += 1

    def report(self, reading: Reading) -> None:
        """Say what cannot be decided."""
        for credit in self.open_credits:
            what = f"{credit.content[1] or 'no code'} on {credit.content[0]}"
            reading.report("MP30", f"a credit for {what} takes back no known charge", where="FT1-6")
        for one in self._doubtful:
            what = f"{one.content[1]} on {one.content[0]}"
            reading.report(
                "MP32", f"a later message charges {what} otherwise; FT1-2 does not say if it corrects", where="FT1-2"
            )

    def _add(self, one: Transaction) -> None:
        number = self._next = self._next + 1
        self._lines[number] = one
        if one.id:
            self._ids[one.id] = number
        self._contents.setdefault(one.content, []).append(number)
        self._services[one.service] += 1

    def _remove(self, number: int) -> None:
        one = self._lines.pop(number)
        self._ids.pop(one.id, None)
        self._contents[one.content].remove(number)
        self._services[one.service] -= 1

    def _by_id(self, one: Transaction) -> None:
        known = self._ids.get(one.id)
        if known is not None:  # a correction keeps its place
            old = self._lines[known]
            self._contents[old.content].remove(known)
            self._services[old.service] -= 1
            self._lines[known] = one
            self._contents.setdefault(one.content, []).append(known)
            self._services[one.service] += 1
            return
        for credit in self.open_credits:
            if credit.id == one.id and credit.content == one.content and credit.seen is not one.seen:
                self.open_credits.remove(credit)  # the credit came before its charge: neither stands
                return
        self._add(one)

    def _credit(self, credit: Transaction) -> None:
        for id_ in (credit.id, credit.group.head.value(31) or ""):
            known = self._ids.get(id_) if id_ else None
            if known is not None and self._takes_back(credit, self._lines[known]):
                self._remove(known)
                return
        same = self._contents.get(credit.content)
        if same:
            self._remove(same[-1])
        else:
            self.open_credits.append(credit)

    @staticmethod
    def _takes_back(credit: Transaction, charge: Transaction) -> bool:
        """The credit names the charge's id: it must also be of its service, and of all its units if it says how many."""
        return charge.service == credit.service and credit.content[3] in ("", charge.content[3])
