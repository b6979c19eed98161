"""The parameters of the sandbox biller's lists: how many on a page, and civil days."""

from __future__ import annotations

from datetime import date

from aiohttp import web

from .biller_books import Refusal

_PAGE, _LARGEST_PAGE = 100, 1000


def limit(request: web.Request) -> int:
    """How many on a page. Raises Refusal."""
    text = request.query.get("limit", str(_PAGE))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= _LARGEST_PAGE:
        raise Refusal(400, "bad-parameter", f"limit must be a number from 1 to {_LARGEST_PAGE}.")
    return int(text)


def day(request: web.Request, name: str) -> str:
    """A date parameter. Raises Refusal."""
    text = request.query.get(name, "")
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Refusal(400, "bad-parameter", f"{name} must be a date such as 2026-11-02.") from None
