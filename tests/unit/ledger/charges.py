"""Charges of several clinics and destinations in one ledger, and what is said of them: what one must not take for another's."""

from __future__ import annotations

import hashlib
from typing import Any

from ptbridge.ledger import Ledger, Verdict
from ptbridge.model import Acknowledgement, Answer, Disposition, Frequency, Stage, Standing, Submission
from ptbridge.ports import AnswerPage, Outcome

CLINIC, PLATFORM = "riverside", "charge_api"
OTHER, ELSEWHERE = "lakeside", "stedi"
REFERENCE = "pt-a1b2c3d4e5f6a7b8c9d0e1f2"
LOOKALIKE = "pt-a1b2c3d4e5f6a7b8c9d0ffff"


def queue(ledger: Ledger, reference: str = REFERENCE, clinic: str = CLINIC, destination: str = PLATFORM, **more: Any) -> int:
    """A treatment day with one more submission that waits; the day's row id."""
    on = more.pop("on", "2026-11-20")
    with ledger.transaction():
        day_id = ledger.days.ensure(clinic, f"day of {reference}", reference, on)
    day = ledger.days.get(day_id)
    assert day is not None
    revision = day.revision + 1
    made = Submission(
        clinic=clinic,
        destination=destination,
        reference=reference,
        order_key=reference,
        revision=revision,
        service_date=on,
        **{
            "key": hashlib.sha256(f"{clinic} {destination} {reference} {revision}".encode()).hexdigest(),
            "frequency": Frequency.ORIGINAL if revision == 1 else Frequency.REPLACEMENT,
            "body": b"%d" % revision,
            "units": 2,
            "amount_cents": 9000,
            "lines": 1,
        }
        | more,
    )
    verdict = Verdict(
        state="queued",
        body=b'{"findings": [], "lines": []}',
        visits_sha256=b"v",
        units=made.units,
        amount_cents=made.amount_cents,
        content_sha256=made.body,
        submission=made,
    )
    with ledger.transaction():
        ledger.days.record(day, verdict)
    return day_id


def take(ledger: Ledger, named: str | None = "B1", clinic: str = CLINIC, destination: str = PLATFORM) -> None:
    """The biller takes the one submission that is due, under this id."""
    outbox = ledger.outbox(clinic, destination)
    (item,) = outbox.due(now=3e9, limit=9)
    outbox.start((item,), now=3e9)
    said = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id=named)
    outbox.finish((Outcome(item=item, acknowledgement=said),), now=3e9)


def sent(ledger: Ledger, reference: str = REFERENCE, named: str | None = "B1", **more: Any) -> int:
    """A treatment day that the biller has."""
    day_id = queue(ledger, reference, **more)
    take(ledger, named, more.get("clinic", CLINIC), more.get("destination", PLATFORM))
    return day_id


def hear(
    ledger: Ledger,
    key: str,
    standing: Standing = Standing.ACCEPTED,
    stage: Stage = Stage.PAYER,
    clinic: str = CLINIC,
    destination: str = PLATFORM,
    cursor: dict[str, str] | None = None,
    **more: Any,
) -> Any:
    """One answer, from a feed."""
    more.setdefault("said_at", "2026-11-22T10:00:00Z")
    page = AnswerPage(answers=(Answer(key=key, stage=stage, standing=standing, **more),), cursor=cursor)
    return ledger.answers.record(clinic, destination, page)


def stands(ledger: Ledger, day_id: int) -> tuple[str | None, str | None]:
    day = ledger.days.get(day_id)
    assert day is not None
    return day.stage, day.standing


def keys(ledger: Ledger, day_id: int) -> list[str]:
    """The key of each submission of a day, oldest first."""
    return [str(row["key"]) for row in ledger.accounts.submissions_of(day_id)]


def unlinked(ledger: Ledger, name: str = "B9", **where: str) -> None:
    """A refusal that names the platform's id, before any submission has it."""
    hear(ledger, f"early {name} {where}", Standing.REJECTED, destination_id=name, **where)


def named_late(ledger: Ledger, day_id: int, name: str = "B9") -> None:
    """The platform's id of a day's submission becomes known after it was accepted, as after a restore."""
    ledger._connection.execute("UPDATE submission SET destination_id = ? WHERE day_id = ?", (name, day_id))
