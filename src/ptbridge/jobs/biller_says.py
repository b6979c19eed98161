"""What the biller says of one treatment day when it is asked, and whether a person's word goes against that."""

from __future__ import annotations

from dataclasses import dataclass

from ptbridge.errors import PeerError
from ptbridge.ledger import DayRow, Ledger, Made
from ptbridge.model import Acknowledgement, Disposition, dollars
from ptbridge.ports import Destination

_CLEAR = (Disposition.ACCEPTED, Disposition.REJECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillerSays:
    """The biller's own word on a day.

    `lists`: it can list what it has; `listed` is that, units and cents, None for nothing. `looked_up`: the submission that was
    looked up by its key; `answer` None: it surely has none. `own_receipts`: what it lists left here, and is no word of its own.
    `lag_seconds`: how long after taking something it may say that it is not there.
    """

    lists: bool = False
    listed: tuple[int, int] | None = None
    looked_up: Made | None = None
    answer: Acknowledgement | None = None
    own_receipts: bool = False
    lag_seconds: float = 0

    def __str__(self) -> str:
        if self.own_receipts:
            return f"the receipts here list {_worth(self.listed)}; what the biller did with it, they do not tell"
        words = [f"it lists {_worth(self.listed)}"] if self.lists else []
        if self.looked_up is not None:
            words.append(f"of submission {self.looked_up.revision} {_said(self.answer)}")
        if words and self.lag_seconds:
            words.append(f"it may tell of something new up to {self.lag_seconds:.0f} s late")
        return "; ".join(words) or "it cannot be asked"

    def against(self, revision: int | None, counted: tuple[int, int] | None) -> str:
        """Why it cannot be that the biller has just this: submission `revision`, or something else (None) of these units and
        cents, or nothing (`counted` None). Empty where nothing speaks against it."""
        if self.own_receipts:
            return ""
        if (self.lists and self.listed != counted) or self._looked_up_otherwise(revision, counted):
            return f"the biller says otherwise: {self}"
        return ""

    def _looked_up_otherwise(self, revision: int | None, counted: tuple[int, int] | None) -> bool:
        """It has what was looked up and the word is another; or it has none, cannot list what it has, and that is the word."""
        one, answer = self.looked_up, self.answer
        if one is None or (answer is not None and answer.disposition not in _CLEAR):
            return False
        about_it = revision == one.revision
        if answer is not None and answer.disposition is Disposition.ACCEPTED:
            return not about_it and (counted is not None or one.makes_live)
        return about_it and not self.lists


async def ask(ledger: Ledger, destination: Destination, day: DayRow, given_up: Made | None, platform: str) -> BillerSays:
    """Have the biller list the day, and look up what delivery gave up of it.

    Raises PeerError when it should be able to tell, and can now be asked in no way.
    """
    can = destination.capabilities
    looked_up, answer, trouble = (given_up if can.find else None), None, None
    if looked_up is not None:
        try:
            answer = await destination.find(ledger.outbox(day.clinic, platform).item(looked_up.id).submission)
        except PeerError as error:
            looked_up, trouble = None, error
    lists, listed = await _listed(ledger, destination, day)
    if trouble is not None and not lists:
        raise trouble
    return BillerSays(
        lists=lists,
        listed=listed,
        looked_up=looked_up,
        answer=answer,
        own_receipts=can.own_receipts,
        lag_seconds=can.find_lag_seconds,
    )


async def _listed(ledger: Ledger, destination: Destination, day: DayRow) -> tuple[bool, tuple[int, int] | None]:
    """Whether it lists what it has, and what it lists under any name of this day."""
    theirs = await destination.list_references((day.service_date, day.service_date)) if day.service_date else None
    if theirs is None:
        return False, None
    whole = ledger.names.all_whole(day.clinic, theirs)
    found = [whole[name] for name in ledger.said.references(day) if name in whole]
    return True, (sum(units for units, _ in found), sum(cents for _, cents in found)) if found else None


def _worth(counted: tuple[int, int] | None) -> str:
    return "nothing of this day" if counted is None else f"{counted[0]} units, {dollars(counted[1])}"


def _said(answer: Acknowledgement | None) -> str:
    """The code is the other side's word; its text may name a patient and stays out."""
    if answer is None:
        return "it has none under its key"
    return {
        Disposition.ACCEPTED: "it says that it has it",
        Disposition.REJECTED: f"it says that it does not stand ({answer.native_code})",
    }.get(answer.disposition, f"it cannot tell ({answer.native_code})")
