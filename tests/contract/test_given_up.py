"""What delivery gave up, over nights and edits: nothing of it goes again before a person says so (contracts D11 and D13)."""

from __future__ import annotations

import time

import pytest

from ptbridge import jobs
from ptbridge.ledger import Ledger
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Outcome
from tests.contract.test_changes import policy
from tests.world import World

CLINIC, PLATFORM = "riverside-pt", "charge_api"


def gives_one_up(world: World, disposition: Disposition, reason: str) -> str:
    """One of a night's charges leaves and is given up, the others wait in the hold window; the reference of its day."""
    text = world.clinic_file.read_text()
    policy(world, '{hold_window_minutes: "30"}')
    world.sync()
    world.clinic_file.write_text(text)
    with Ledger.open(world.config.state) as ledger:
        outbox = ledger.outbox(CLINIC, PLATFORM)
        item = outbox.due(now=time.time() + 3600, limit=1)[0]
        outbox.start((item,), now=time.time())
        said = Acknowledgement(disposition=disposition, native_code="422")
        outbox.finish((Outcome(item=item, acknowledgement=said, hold_reason=reason),), now=time.time())
    return item.submission.reference


def the_next_day(world: World) -> None:
    """Whatever is held is judged again, as on each new civil day."""
    with Ledger.open(world.config.state) as ledger, ledger.transaction():
        ledger.set_fingerprint(CLINIC, "of the day before")
    world.sync()


def stands(world: World, reference: str) -> tuple[str, str | None, list[str]]:
    with Ledger.open(world.config.state, write=False) as ledger:
        (day,) = ledger.days.named(reference)
        return day.state, day.reason, [made["state"] for made in ledger.accounts.submissions_of(day.id)]


@pytest.mark.parametrize(
    ("disposition", "reason"), [(Disposition.IN_DOUBT, "in-doubt"), (Disposition.REJECTED, "rejected:422")]
)
def test_what_was_given_up_is_not_sent_again_by_a_new_day(world: World, disposition: Disposition, reason: str) -> None:
    reference = gives_one_up(world, disposition, reason)
    for _ in range(2):
        the_next_day(world)
        assert stands(world, reference) == ("held", reason, ["held"])
    assert not [name for _, name, *_ in world.biller.books.history if name == reference], "nothing of it came to the biller"
    (row,) = [row for row in jobs.held(world.config) if row["id"] == reference]
    assert "`ptbridge retry" in row["reasons"][0]["fix"]


def test_a_person_who_asked_the_biller_has_it_sent_after_all(world: World) -> None:
    reference = gives_one_up(world, Disposition.IN_DOUBT, "in-doubt")
    jobs.release(world.config, reference, "the biller has it not")
    world.sync()
    assert stands(world, reference) == ("sent", None, ["held", "accepted"])
    the_next_day(world)
    assert stands(world, reference) == ("sent", None, ["held", "accepted"])
