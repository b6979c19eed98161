"""What the sandbox biller tells later about a charge, and the payers behind it that decide.

Nothing is said by itself but `received` and `claim-made` (with `automatic`); a test or a demo lets the payers decide with
`adjudicate`, or says anything with `say`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from .biller_books import VOID, Refusal, Standing

Document = dict[str, Any]
Which = float | Callable[[Document], bool]  # a share of the charges, or a predicate over the charge as it was sent


def which(wanted: float | list[str]) -> Which:
    """A share, or the charges of these references, as another process asks for them."""
    return float(wanted) if not isinstance(wanted, list) else lambda document: document["reference"] in wanted


@dataclass(slots=True, kw_only=True)
class News:
    """The feed. `keep` is how many answers it still has; an older place in it is refused with 410."""

    automatic: bool = True
    keep: int = 1_000_000
    seed: int = 1
    feed: list[Document] = field(default_factory=list)
    _waiting: dict[str, tuple[Standing, Document]] = field(default_factory=dict)
    _random: Random = field(init=False, repr=False)
    _clock: datetime = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)

    # ------------------------------------------------------------ saying

    def taken(self, frequency: str, standing: Standing, document: Document) -> None:
        """A charge was taken or taken back: it is received, a claim is made of it, and the payers may decide."""
        self._waiting.pop(standing.reference, None)
        if frequency != VOID:
            self._waiting[standing.reference] = (standing, document)
        if self.automatic:
            self.say(standing, "received", "accepted")
            if frequency != VOID:
                self.say(standing, "claim-made", "accepted")

    def say(self, charge: Standing, stage: str, standing: str, **more: Any) -> Document:
        """Put one answer into the feed, one second after the last."""
        self._clock += timedelta(seconds=1)
        answer = {
            "id": f"N{len(self.feed) + 1:08d}",
            "reference": charge.reference,
            "charge_id": charge.id,
            "idempotency_key": charge.idempotency_key,
            "stage": stage,
            "standing": standing,
            "said_at": self._clock.isoformat(),
            **more,
        }
        self.feed.append(answer)
        return answer

    def adjudicate(self, *, reject: Which = 0.0, deny: Which = 0.0) -> dict[str, int]:
        """Let clearinghouse and payers decide about every charge that waits: how many were rejected, denied and paid.

        A rejected one is turned away by the clearinghouse; the others reach the payer, get its claim number, and are denied
        (first line: no authorization) or paid at four fifths.
        """
        counts = {"rejected": 0, "denied": 0, "paid": 0}
        for charge, document in list(self._waiting.values()):
            what = "rejected" if self._is(reject, document) else "denied" if self._is(deny, document) else "paid"
            counts[what] += 1
            {"rejected": self._reject, "denied": self._deny, "paid": self._pay}[what](charge, document)
        self._waiting.clear()
        return counts

    def _is(self, which: Which, document: Document) -> bool:
        return which(document) if callable(which) else which > 0 and self._random.random() < which

    def _reject(self, charge: Standing, document: Document) -> None:
        code = {"system": "277CA", "code": "A7:562:85", "text": "sandbox: billing provider id"}
        self.say(charge, "clearinghouse", "rejected", codes=[code], charged_cents=charge.amount_cents)

    def _reach(self, charge: Standing) -> str:
        """Through the clearinghouse to the payer; its claim number."""
        self.say(charge, "clearinghouse", "accepted", codes=[{"system": "277CA", "code": "A2:20"}])
        number = f"ICN{charge.id}"
        self.say(charge, "payer", "accepted", codes=[{"system": "277CA", "code": "A2:20:PR"}], payer_claim_number=number)
        return number

    def _deny(self, charge: Standing, document: Document) -> None:
        number, first = self._reach(charge), document["lines"][0]
        codes = [{"system": "CARC", "code": "CO-197"}, {"system": "RARC", "code": "N54"}]
        money = {"charged_cents": charge.amount_cents, "paid_cents": 0, "adjusted_cents": charge.amount_cents}
        self.say(charge, "remittance", "denied", codes=codes[:1], payer_claim_number=number, **money)
        line = {"charged_cents": first["amount_cents"], "paid_cents": 0, "adjusted_cents": first["amount_cents"]}
        self.say(charge, "remittance", "denied", codes=codes, line=1, procedure=first["procedure"], **line)

    def _pay(self, charge: Standing, document: Document) -> None:
        number, paid = self._reach(charge), charge.amount_cents * 4 // 5
        money = {"charged_cents": charge.amount_cents, "paid_cents": paid, "adjusted_cents": charge.amount_cents - paid}
        codes = [{"system": "CARC", "code": "CO-45"}]
        self.say(charge, "remittance", "paid", codes=codes, payer_claim_number=number, **money)

    # ------------------------------------------------------------ telling

    def page(self, after: str, limit: int) -> Document:
        """Answers after a place, oldest first. Raises Refusal for a place that is no place, or no longer kept."""
        start = max(0, len(self.feed) - self.keep)
        place = start
        if after:
            if not after.isascii() or not after.isdecimal() or int(after) > len(self.feed):
                raise Refusal(400, "bad-parameter", "after must be a place that this feed gave.")
            place = int(after)
        if place < start:
            raise Refusal(410, "cursor-too-old", "Answers after this place are no longer kept.")
        end = min(place + limit, len(self.feed))
        return {"answers": self.feed[place:end], "next_after": str(end), "more": end < len(self.feed)}

    def about(self, reference: str) -> Document:
        """Everything that was ever said about one charge."""
        return {"answers": [answer for answer in self.feed if answer["reference"] == reference]}
