"""A plain HTTP client to talk to a running sandbox EMR, so that these tests do not lean on ptbridge's own client."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import pytest
from ptbridge_sandbox.emr import SandboxEmr


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def ids(self) -> list[str]:
        """Ids as the URLs name them: an odd resource may have none of its own."""
        entries = self.json.get("entry", [])
        return [entry["fullUrl"].rpartition("/")[2] for entry in entries if entry["search"]["mode"] == "match"]

    @property
    def next_url(self) -> str | None:
        return next((link["url"] for link in self.json["link"] if link["relation"] == "next"), None)


@dataclass
class Talk:
    emr: SandboxEmr
    http: aiohttp.ClientSession
    token: str | None = None

    async def get(self, path: str) -> Answer:
        url = path if path.startswith("http") else f"{self.emr.base_url}{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.http.get(url, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def walk(self, path: str) -> list[list[str]]:
        """The ids of each page, following next links to the end."""
        pages: list[list[str]] = []
        url: str | None = path
        while url is not None:
            answer = await self.get(url)
            assert answer.status == 200, answer.body
            pages.append(answer.ids)
            url = answer.next_url
            assert len(pages) < 1000
        return pages

    async def ask_token(self, form: dict[str, str], basic: tuple[str, str] | None = None) -> Answer:
        encoded = base64.b64encode(":".join(basic).encode()).decode() if basic else ""
        headers = {"Authorization": f"Basic {encoded}"} if basic else {}
        async with self.http.post(self.emr.token_url, data=form, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())


Conversation = Callable[[Talk], Awaitable[Any]]


@pytest.fixture
def talk() -> Callable[[SandboxEmr, Conversation], Any]:
    """Serve, hold the conversation, stop."""

    def hold(emr: SandboxEmr, conversation: Conversation) -> Any:
        async def served() -> Any:
            async with emr, aiohttp.ClientSession() as http:
                return await conversation(Talk(emr, http))

        return asyncio.run(served())

    return hold
