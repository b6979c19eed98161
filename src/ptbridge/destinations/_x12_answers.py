"""What TA1, 999, 277CA and 835 say, as answers: native codes word for word, each piece of news with a key of its content.

    TA1 R, IK5 R, M, W, X         turned away by its form: nothing of it exists at the payer
    277CA STC03 U                 turned away at the door of the clearinghouse (NM1*AY) or the payer (NM1*PR); as a duplicate
                                  (54, 78): they have it, so it counts as denied
    835                           decided: paid, denied, or taken back (CLP02 22), claim by claim and line by line

A line of an 835 counts as denied when nothing was paid for it for another reason than those of `_NO_DENIAL`. What is said of
one claim of a day in several is told of the day (`_x12_whole_day`). A claim is known by its patient control number, else by
the line control numbers in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

from ptbridge.destinations._x12_sent import Named, Sent, line_place
from ptbridge.destinations._x12_whole_day import Words, numbers_of_none, of_whole_day
from ptbridge.errors import RecordError
from ptbridge.model import Answer, NativeCode, Stage, Standing, dollars
from ptbridge.wire.x12 import Interchange, Segment, Transaction, interchanges
from ptbridge.wire.x12_acknowledgements import GroupAcknowledgement, TransactionVerdict, read_999, read_ta1
from ptbridge.wire.x12_claim_status import ClaimStatus, LineStatus, Status, read_277ca
from ptbridge.wire.x12_remittance import Adjustment, ClaimPayment, LinePayment, Remittance, read_835

# CARC that lower a payment and deny nothing: deductible, coinsurance, copay, another payer's payment, fee schedule,
# multiple-procedure reduction, sequestration (billing rules, 6.3).
_NO_DENIAL = frozenset({"1", "2", "3", "23", "45", "59", "253"})
_REFUSED = ("R", "M", "W", "X")
_REVERSED = "22"
_CAME_BEFORE = "025"  # TA105: an interchange of this number was received
_HAVE_IT = frozenset({"54", "78"})  # claim status codes: they have this claim already


def answers_in(raw: bytes, sent: Sent, words: Words) -> Iterator[Answer]:
    """Everything that one file says. Raises RecordError, before the first answer, for what is no whole X12 file.

    A transaction that cannot be read becomes an answer about nothing that names its place; the others count.
    """
    reader = _Reader(sent, words)
    for interchange in interchanges(raw):
        for segment in interchange.acknowledgements:
            yield from reader.ta1(segment, interchange)
        for transaction in interchange.transactions():
            yield from reader.transaction(transaction, interchange)


def unreadable(name: str, content: bytes, why: RecordError) -> Answer:
    """A file, or a part of one, that cannot be read: news about nothing that we sent, until a person has looked."""
    return Answer(
        key=_key("unreadable", hashlib.sha256(content).hexdigest(), str(why)),
        stage=Stage.RECEIVED,
        standing=Standing.PENDING,
        codes=(NativeCode(system="x12", code="unreadable"),),
        text=f"{name}: {why} {why.fix}".strip(),
    )


class _Reader:
    """The transactions of one file, each to its answers."""

    def __init__(self, sent: Sent, words: Words) -> None:
        self._sent, self._words = sent, words

    def ta1(self, segment: Segment, interchange: Interchange) -> list[Answer]:
        """The verdict on an interchange is that on every submission in it."""
        try:
            told = read_ta1(segment)
        except RecordError as problem:
            return [unreadable(f"interchange {interchange.control}", repr(segment.elements).encode(), problem)]
        standing = Standing.REJECTED if told.verdict == "R" else Standing.ACCEPTED
        if told.note == _CAME_BEFORE:  # numbers of ours never repeat, so it is the same file, which they have
            standing = Standing.PENDING
        codes = (NativeCode(system="TA1", code=f"{told.verdict}:{told.note}"),)
        return [
            Answer(
                key=_key("TA1", told.control, told.verdict, told.note, named.key),
                stage=Stage.RECEIVED,
                standing=standing,
                reference=named.reference,
                submission_key=named.key,
                payer_claim_number=numbers_of_none(named) if standing is Standing.REJECTED else None,
                codes=codes,
                said_at=interchange.said_at,
            )
            for named in self._sent.in_file(told.control)
        ]

    def transaction(self, transaction: Transaction, interchange: Interchange) -> list[Answer]:
        """One 999, 277CA or 835; every other kind is not ours to read."""
        try:
            match transaction.kind, transaction.version[:10]:
                case "999", _:
                    return list(self._syntax(read_999(transaction), interchange.said_at))
                case "277", "005010X214":
                    return [one for claim in read_277ca(transaction) for one in self._at_the_door(claim)]
                case "835", _:
                    return list(self._decided(read_835(transaction)))
        except RecordError as problem:
            content = transaction.separators.segment.join(transaction.texts).encode()
            return [unreadable(f"{transaction.kind} {transaction.control} of {interchange.control}", content, problem)]
        return []

    # ------------------------------------------------------------ 999

    def _syntax(self, told: GroupAcknowledgement, said_at: str) -> Iterator[Answer]:
        by_control = {int(one.control): one for one in told.transactions if one.control.isdecimal()}
        for at, named in enumerate(self._sent.in_file(told.control), start=1):
            one = by_control.get(at)
            if one is None and told.verdict == "P":
                continue  # partly accepted, and nothing is said of this one
            refused = told.verdict in _REFUSED or (one is not None and one.verdict in _REFUSED)
            codes = _syntax_codes(told, one)
            yield Answer(
                key=_key("999", told.control, str(at), *(f"{code.code} {code.text}" for code in codes), named.key),
                stage=Stage.SYNTAX,
                standing=Standing.REJECTED if refused else Standing.ACCEPTED,
                reference=named.reference,
                submission_key=named.key,
                payer_claim_number=numbers_of_none(named) if refused else None,
                codes=codes,
                said_at=said_at,
            )

    # ------------------------------------------------------------ 277CA

    def _at_the_door(self, claim: ClaimStatus) -> Iterator[Answer]:
        stage = Stage.PAYER if claim.by_payer else Stage.CLEARINGHOUSE
        statuses = [*claim.statuses, *(one for line in claim.lines for one in line.statuses)]
        refused = any(one.rejects for one in statuses)
        lines = [line.control for line in claim.lines]
        named = (
            self._sent.of_claim(claim.control, lines, batch=claim.batch) if claim.control else self._sent.of_batch(claim.batch)
        )
        if self._sent.is_anothers(claim.control, lines) or (not claim.control and (named is None or not refused)):
            return  # another clinic's, or a whole batch that was let in: its claims follow
        number = claim.payer_claim_number if claim.by_payer else ""
        whole_batch = named is not None and not claim.control
        yield from self._of_day(
            [
                Answer(
                    key=_key("277CA", stage, claim.control, claim.batch, claim.payer_claim_number, *map(_said, statuses)),
                    stage=stage,
                    standing=_door_standing(statuses),
                    reference=named.reference if named else None,
                    submission_key=named.key if named else None,
                    payer_claim_number=(numbers_of_none(named) if named and whole_batch else None) or number or None,
                    codes=_status_codes(claim.statuses or statuses),
                    said_at=max((one.said_at for one in statuses), default=""),
                    text=_texts(statuses, "" if named else claim.control),
                ),
                *(_lines_at_the_door(claim, stage, named) if named else ()),
            ],
            None if whole_batch else named,
        )

    # ------------------------------------------------------------ 835

    def _decided(self, remittance: Remittance) -> Iterator[Answer]:
        if remittance.difference_cents:
            yield _out_of_balance(remittance)
        for claim in remittance.claims:
            lines = [line.control for line in claim.lines]
            if not self._sent.is_anothers(claim.control, lines):
                named = self._sent.of_claim(claim.control, lines, frequency=claim.frequency)
                yield from self._payment(claim, named, remittance)

    def _payment(self, claim: ClaimPayment, named: Named | None, remittance: Remittance) -> Iterator[Answer]:
        adjustments = claim.all_adjustments
        key = ("835", remittance.payer, remittance.trace, claim.raw)
        told = [
            Answer(
                key=_key(*key),
                stage=Stage.REMITTANCE,
                standing=_claim_standing(claim),
                reference=named.reference if named else None,
                submission_key=named.key if named else None,
                payer_claim_number=claim.payer_claim_number or None,
                codes=_claim_codes(claim),
                charged_cents=claim.charged_cents,
                paid_cents=claim.paid_cents,
                adjusted_cents=sum(one.cents for one in adjustments),
                patient_cents=claim.patient_cents,
                said_at=remittance.said_at,
                text="" if named else f"patient control number {claim.control}",
            )
        ]
        if named and claim.status != _REVERSED:
            places = [(line, line_place(line.control, named)) for line in claim.lines]
            told += [
                _line_payment(line, at, named, remittance, _key(*key, line.control)) for line, at in places if at is not None
            ]
        yield from self._of_day(told, named)

    def _of_day(self, told: Sequence[Answer], named: Named | None) -> Iterator[Answer]:
        """News of one claim and its lines; of a day in several claims as the news of the day."""
        return iter(told) if named is None or named.claims == 1 else of_whole_day(told, named, self._words)


# ---------------------------------------------------------------- codes


def _key(*parts: str | None) -> str:
    """The same news again has the same key, in whatever file it comes."""
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()[:40]


def _syntax_codes(group: GroupAcknowledgement, one: TransactionVerdict | None) -> tuple[NativeCode, ...]:
    whole = NativeCode(system="999", code=":".join((f"AK9-{group.verdict}", *group.codes)))
    if one is None:
        return (whole,)
    verdict = NativeCode(system="999", code=":".join((f"IK5-{one.verdict}", *one.codes)))
    return (verdict, *(NativeCode(system="999", code=code, text=where) for code, where in one.errors))


def _door_standing(statuses: Sequence[Status]) -> Standing:
    """A duplicate is turned away because they have it: it exists there, and is no original again."""
    if not any(one.rejects for one in statuses):
        return Standing.ACCEPTED
    have = any(code.split(":")[1:2] and code.split(":")[1] in _HAVE_IT for one in statuses if one.rejects for code in one.codes)
    return Standing.DENIED if have else Standing.REJECTED


def _status_codes(statuses: Iterable[Status]) -> tuple[NativeCode, ...]:
    codes = dict.fromkeys(code for one in statuses for code in one.codes)
    return tuple(NativeCode(system="277CA", code=code) for code in codes)


def _said(status: Status) -> str:
    return f"{status.said_at} {status.action} {' '.join(status.codes)}"


def _texts(statuses: Iterable[Status], control: str) -> str:
    texts = [f"patient control number {control}"] if control else []
    return "; ".join([*texts, *dict.fromkeys(one.text for one in statuses if one.text)])


def _lines_at_the_door(claim: ClaimStatus, stage: Stage, named: Named) -> Iterator[Answer]:
    """The lines that were turned away."""
    for line in claim.lines:
        place = line_place(line.control, named)
        if place is not None and any(one.rejects for one in line.statuses):
            yield _line_at_the_door(line, place, stage, claim, named)


def _line_at_the_door(line: LineStatus, place: int, stage: Stage, claim: ClaimStatus, named: Named) -> Answer:
    return Answer(
        key=_key("277CA", stage, claim.control, claim.batch, str(place), *map(_said, line.statuses)),
        stage=stage,
        standing=_door_standing(line.statuses),
        reference=named.reference,
        submission_key=named.key,
        line=place,
        procedure=line.procedure or None,
        codes=_status_codes(line.statuses),
        said_at=max((one.said_at for one in line.statuses), default=""),
        text=_texts(line.statuses, ""),
    )


def _carc(adjustments: Iterable[Adjustment]) -> list[NativeCode]:
    codes = dict.fromkeys(f"{one.group}-{one.reason}" for one in adjustments)
    return [NativeCode(system="CARC", code=code) for code in codes]


def _rarc(remarks: Iterable[str]) -> list[NativeCode]:
    return [NativeCode(system="RARC", code=code) for code in dict.fromkeys(remarks)]


def _claim_codes(claim: ClaimPayment) -> tuple[NativeCode, ...]:
    remarks = (*claim.remarks, *(remark for line in claim.lines for remark in line.remarks))
    balance = [] if claim.balances else [NativeCode(system="835", code="claim-out-of-balance")]
    status = NativeCode(system="835", code=f"CLP02:{claim.status}")
    return (status, *_carc(claim.all_adjustments), *_rarc(remarks), *balance)


def _claim_standing(claim: ClaimPayment) -> Standing:
    if claim.status == _REVERSED:
        return Standing.PENDING
    if claim.status == "4" or _denied(claim.charged_cents, claim.paid_cents, claim.all_adjustments):
        return Standing.DENIED
    return Standing.PAID


def _denied(charged_cents: int, paid_cents: int, adjustments: Sequence[Adjustment]) -> bool:
    return charged_cents > 0 >= paid_cents and any(one.reason not in _NO_DENIAL for one in adjustments if one.cents > 0)


def _line_payment(line: LinePayment, place: int, named: Named, remittance: Remittance, key: str) -> Answer:
    denied = _denied(line.charged_cents, line.paid_cents, line.adjustments)
    balance = [] if line.balances else [NativeCode(system="835", code="line-out-of-balance")]
    return Answer(
        key=key,
        stage=Stage.REMITTANCE,
        standing=Standing.DENIED if denied else Standing.PAID,
        reference=named.reference,
        submission_key=named.key,
        line=place,
        procedure=line.procedure or None,
        codes=(*_carc(line.adjustments), *_rarc(line.remarks), *balance),
        charged_cents=line.charged_cents,
        paid_cents=line.paid_cents,
        adjusted_cents=sum(one.cents for one in line.adjustments),
        patient_cents=sum(one.cents for one in line.adjustments if one.group == "PR"),
        said_at=remittance.said_at,
    )


def _out_of_balance(remittance: Remittance) -> Answer:
    """A remittance whose sums contradict each other: its claims are told as they stand, and a person asks the payer."""
    cents = remittance.difference_cents
    return Answer(
        key=_key("835 balance", remittance.payer, remittance.trace, str(cents)),
        stage=Stage.REMITTANCE,
        standing=Standing.PENDING,
        codes=(NativeCode(system="835", code="out-of-balance"),),
        paid_cents=remittance.paid_cents,
        said_at=remittance.said_at,
        text=f"payment {remittance.trace}: its claims less its provider adjustments differ from BPR02 by {dollars(cents)}. "
        "Ask the payer for the remittance again.",
    )
