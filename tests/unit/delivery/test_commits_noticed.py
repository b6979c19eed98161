"""Places where a small wrong change of the group commit once passed every other test."""

from __future__ import annotations

import asyncio

from ptbridge.delivery import quoted
from ptbridge.delivery.commits import GroupCommit
from ptbridge.model import Acknowledgement, Disposition
from ptbridge.ports import Outcome

FOUND = Acknowledgement(disposition=Disposition.ACCEPTED, destination_id="B9")


def test_what_was_written_together_is_not_written_again(rig):
    for name in "AB":
        rig.put(name)
    first, second = rig.outbox.due(now=rig.clock.now(), limit=9)
    rig.outbox.start((first,), now=rig.clock.now())

    async def scene():
        commits = GroupCommit(rig.outbox, rig.clock)
        await asyncio.gather(commits.start(second), commits.finish(Outcome(item=first, acknowledgement=FOUND)))

    asyncio.run(scene())
    assert rig.outbox.journal == [("start", (1,)), ("finish", (1,)), ("start", (2,))]


def test_the_word_in_the_place_of_a_code_is_one_that_people_look_for():
    assert quoted.NOT_A_CODE == "not-a-code"
