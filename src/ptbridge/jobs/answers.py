"""Asking what became of what was sent: page by page, each durable with its cursor, and one by one where the feed forgot."""

from __future__ import annotations

import asyncio
import getpass
import logging
import time
from collections.abc import Mapping
from typing import Any

from ptbridge.errors import ConfigError, PeerError
from ptbridge.jobs.addresses import address_of, begins_anew
from ptbridge.jobs.log_file import log_to
from ptbridge.jobs.peers import open_destination
from ptbridge.jobs.standing import clinic_names
from ptbridge.ledger import Ledger, Recorded
from ptbridge.model import Disposition
from ptbridge.ports import AnsweringDestination, Destination, HearingDestination, Outcome, TellingDestination
from ptbridge.specs.config import Config

log = logging.getLogger(__name__)


async def take_answers(
    ledger: Ledger, destination: Destination, clinic: str, platform: str, address: str = ""
) -> Recorded | None:
    """Take in all news since the last time at this address (`addresses.address_of`); None for a destination that never tells.

    Raises PeerError when the platform cannot be asked: what came before that is kept, and the next run goes on there.
    """
    if not isinstance(destination, AnsweringDestination):
        return None
    found, gap = Recorded(), False
    ledger.answers.adopt(clinic, platform)
    async for page in destination.answers(ledger.answers.cursor(clinic, platform, address)):
        found.add(ledger.answers.record(clinic, platform, page, address))
        gap = gap or page.gap
    if gap:
        found.add(await _catch_up(ledger, destination, clinic, platform))
    if isinstance(destination, HearingDestination):
        settle_heard(ledger, destination, clinic, platform)
    return found


def settle_heard(ledger: Ledger, destination: HearingDestination, clinic: str, platform: str) -> int:
    """Submissions in doubt of which the platform said its last word meanwhile: answered now, as if it had come at once.

    Their days are judged again, because a person may have decided otherwise while they waited. Returns how many.
    """
    outbox = ledger.outbox(clinic, platform)
    told = [(item, answer) for item in outbox.doubted() if (answer := destination.heard(item.submission)) is not None]
    for item, answer in told:
        refused = answer.disposition is not Disposition.ACCEPTED
        reason = f"rejected:{answer.native_code}" if refused else None
        with ledger.transaction():
            outbox.finish((Outcome(item=item, acknowledgement=answer, hold_reason=reason),), now=time.time())
            if not refused:
                ledger.days.mark([day.id for day in ledger.days.named(item.submission.order_key)])
    return len(told)


async def _catch_up(ledger: Ledger, destination: AnsweringDestination, clinic: str, platform: str) -> Recorded:
    """The feed no longer reaches back to where we were: ask about each charge that is not settled."""
    found = Recorded()
    if not isinstance(destination, TellingDestination):
        log.warning("the feed of answers has a gap, and %s cannot be asked about single charges", platform)
        return found
    references = ledger.standings.open_references(clinic, platform)
    log.warning("the feed of answers has a gap: %d charges are looked up one by one", len(references))
    async for page in destination.answers_about(references):
        found.add(ledger.answers.record(clinic, platform, page))
    return found


def ask(config: Config, clinic: str | None = None) -> dict[str, Any]:
    """Per clinic: ask now, judge nothing, send nothing. What came, and how far the live charges are.

    A biller that cannot be asked is the `error` of its clinic; the others are asked all the same. Raises LedgerBusy while
    another process runs on this state folder.
    """
    told: dict[str, Any] = {}
    with Ledger.open(config.state) as ledger, log_to(config.logs):
        for name in clinic_names(config, clinic):
            told[name] = asyncio.run(_ask(config, ledger, name))
    return told


def see(config: Config, answer_id: int, reason: str, actor: str | None = None) -> dict[str, Any]:
    """A person has looked at an answer that could not be read (`reconcile` names it): it no longer asks for one.

    Nothing else changes; what it said of a charge comes with the answer that is sent again. Raises ConfigError for another
    answer.
    """
    who = actor or getpass.getuser()
    with Ledger.open(config.state) as ledger:
        for clinic in config.clinics:
            if any(one["id"] == answer_id and is_unread(one) for one in ledger.standings.orphans(clinic)):
                ledger.answers.see(clinic, answer_id, reason, who)
                return {"answer": answer_id, "clinic": clinic, "reason": reason, "actor": who}
    raise ConfigError(f"{answer_id}: no answer of that number waits to be looked at. `ptbridge reconcile` names those that do.")


def is_unread(orphan: Mapping[str, Any]) -> bool:
    """Whether an answer of `Standings.orphans` could not be read, and nobody has looked at it: it may be a denial."""
    return bool(orphan["unreadable"]) and not orphan["seen"]


async def _ask(config: Config, ledger: Ledger, name: str) -> dict[str, Any]:
    spec = config.clinics[name]
    try:
        async with open_destination(config, spec, run_id="answers") as destination:
            address = address_of(spec.destination.base_url)
            notes = list(begins_anew(ledger, spec, source=False))
            found = await take_answers(ledger, destination, name, spec.destination.platform, address)
    except PeerError as error:
        log.warning("peer trouble: %s", type(error).__name__)
        return {"error": str(error)}
    return {
        "tells": found is not None,
        "notes": notes,
        **_counts(found or Recorded()),
        "standing": ledger.standings.counts(name),
    }


def _counts(found: Recorded) -> dict[str, Any]:
    return {
        "new": dict(sorted(found.new.items())),
        "known_before": found.known,
        "about_nothing_of_ours": found.orphans,
        "refused_days": found.refused_days,
    }
