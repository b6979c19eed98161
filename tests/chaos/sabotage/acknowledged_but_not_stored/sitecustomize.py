"""Breaks D5 on purpose: now and then messages are acknowledged and not stored. `killed_while_messages_come` must notice."""

from itertools import count

from ptbridge.inbox import Inbox, Stored

_store, _calls = Inbox.store, count(1)


def _now_and_then_not(self, arrivals):
    if next(_calls) % 5:
        return _store(self, arrivals)
    return [Stored(seq=1, repeated=False, reused_id=False, answer=arrival.answer) for arrival in arrivals]


Inbox.store = _now_and_then_not
