"""After a restore: ask the biller what it has, and settle what the ledger forgot, before anything is sent (contract D25)."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

from ptbridge.errors import PeerUnavailable
from ptbridge.ledger import Ledger
from ptbridge.ledger.restored import Mark, Suspect
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import CorrectingDestination, Destination, Outcome


async def settle_restored(
    ledger: Ledger, destination: Destination, clinic: str, platform: str, today: date, *, source_tells_again: bool
) -> int:
    """Compare with the biller where a restore asks for it. Returns how many treatment days changed by it.

    `source_tells_again`: the EMR was read anew, so what is judged now is the newest there is. Messages are not: those since the
    backup are lost here until their sender sends them again, and the biller may have what they said.
    Raises PeerError when the biller cannot be reached or its list may still lag behind: then nothing may be sent.
    """
    mark = ledger.restored.pending(clinic)
    if mark is not None:
        _wait_for_its_list(destination, mark)
        theirs = await destination.list_references(ledger.restored.window(clinic, mark, today))
        ledger.restored.compared(clinic, mark, theirs and ledger.names.all_whole(clinic, theirs))
    ledger.restored.recognize(clinic)
    changed = 0
    for suspect in ledger.restored.suspects(clinic):
        changed += await _settle(ledger, destination, clinic, platform, suspect, source_tells_again)
    return changed + await _settle_unasked(ledger, destination, clinic, platform)


def _wait_for_its_list(destination: Destination, mark: Mark) -> None:
    """What was sent just before the restore may not be listed yet."""
    lag = timedelta(seconds=destination.capabilities.find_lag_seconds)
    left = mark.restored_at + lag - datetime.now(UTC)
    if timedelta(0) < left <= lag:
        raise PeerUnavailable(
            f"restored from a backup: the biller may list what it took up to {lag.total_seconds():.0f} s late. "
            f"Nothing was sent; run again in {left.total_seconds():.0f} s."
        )


async def _settle(
    ledger: Ledger, destination: Destination, clinic: str, platform: str, suspect: Suspect, source_tells_again: bool
) -> bool:
    """Whether the day changed. A day that is held for a reason of its own stays so where nothing can be told of it yet."""
    id_, corrects = suspect.submission_id, source_tells_again and not _needs_what_it_has(destination)
    if suspect.waits and id_ is not None and await _found(ledger, destination, clinic, platform, id_):
        ledger.restored.settle(clinic, suspect)
    elif id_ is not None and corrects:
        ledger.restored.adopt(clinic, suspect)
    elif suspect.held:
        return False
    else:
        ledger.restored.hold(clinic, suspect)
    return True


def _needs_what_it_has(destination: Destination) -> bool:
    """Whether a correction starts from the very bytes that it has. Where payers number claims, the numbers tell enough."""
    return isinstance(destination, CorrectingDestination) and not destination.capabilities.payer_number


async def _settle_unasked(ledger: Ledger, destination: Destination, clinic: str, platform: str) -> int:
    """A biller that cannot list what it has: what it finds by its key is accepted, the rest is held for a person."""
    waiting = ledger.restored.unasked(clinic)
    unknown = [id_ for id_ in waiting if not await _found(ledger, destination, clinic, platform, id_)]
    ledger.restored.hold_unasked(clinic, unknown)
    return len(waiting)


async def _found(ledger: Ledger, destination: Destination, clinic: str, platform: str, submission_id: int) -> bool:
    """True when what the biller has is exactly what waits here: by its key. It is then accepted, with the biller's id."""
    if not destination.capabilities.find:
        return False
    outbox = ledger.outbox(clinic, platform)
    item = outbox.item(submission_id)
    found: Acknowledgement | None = await destination.find(item.submission)
    if found is None or found.disposition is not Disposition.ACCEPTED:
        return False
    outbox.finish((Outcome(item=item, acknowledgement=found),), now=time.time())
    return True
