"""The webhooks of the pretend Stedi: thin events about transactions, signed as Standard Webhooks 1.0.0 has it.

Written from that standard, not from ptbridge's reading of it: `webhook-id`, `webhook-timestamp` and `webhook-signature`, which
is `v1,` and the base64 of an HMAC-SHA-256 over `id.timestamp.body`, with the key behind `whsec_`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

Request = tuple[dict[str, str], bytes]  # headers and body


@dataclass
class Hook:
    """Where an account's events go. `sent` has every request, `statuses` what the receiver answered."""

    url: str
    secret: str = field(repr=False)  # whsec_ and base64
    clock: Callable[[], float] = time.time
    sent: list[Request] = field(default_factory=list, repr=False)
    statuses: list[int] = field(default_factory=list)

    def signed(self, event: dict[str, Any], *, seconds_ago: float = 0.0) -> Request:
        """An event as it goes out; the same event again has another id."""
        body = orjson.dumps(event)
        name, at = f"msg_{len(self.sent) + 1}", str(int(self.clock() - seconds_ago))
        key = base64.b64decode(self.secret.removeprefix("whsec_"))
        mac = hmac.new(key, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(mac).decode()}"
        return {"webhook-id": name, "webhook-timestamp": at, "webhook-signature": signature}, body

    async def tell(self, transaction: dict[str, Any]) -> int:
        """A transaction was processed: what it holds must be asked for."""
        event = {"type": "transaction.processed", "data": {"transactionId": transaction["transactionId"]}}
        return await self.post(*self.signed(event))

    async def post(self, headers: dict[str, str], body: bytes) -> int:
        """Send a request as it is; the receiver's status."""
        self.sent.append((headers, body))
        whole = {**headers, "content-type": "application/json"}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client,
            client.post(self.url, data=body, headers=whole) as answer,
        ):
            self.statuses.append(answer.status)
            return answer.status
