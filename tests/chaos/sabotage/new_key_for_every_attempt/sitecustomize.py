"""Breaks D10 on purpose: each attempt has a key of its own. `kill_at_any_moment` must notice a second charge."""

import secrets
from dataclasses import replace

from ptbridge.delivery.attempt import Attempts

_send = Attempts._send


async def _with_a_new_key(self, item):
    return await _send(self, replace(item, submission=replace(item.submission, key=secrets.token_hex(20))))


Attempts._send = _with_a_new_key
