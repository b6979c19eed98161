"""Sabotage in the biller's own data, behind everybody's back: what `ptbridge reconcile` must find within one run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from ptbridge_sandbox.biller_books import Books, Standing


def removed(books: Books, reference: str) -> str:
    """A charge is gone."""
    del books.live[reference]
    return reference


def doubled(books: Books, reference: str) -> str:
    """It stands there twice."""
    books.live[reference].append(replace(books.live[reference][0], id="B-twice"))
    return reference


def units_changed(books: Books, reference: str) -> str:
    """One unit more than was sent."""
    books.live[reference][0].units += 1
    return reference


def dollars_changed(books: Books, reference: str) -> str:
    """One cent less than was sent."""
    books.live[reference][0].amount_cents -= 1
    return reference


def orphaned(books: Books, reference: str) -> str:
    """A charge of that day which nobody sent."""
    of: Standing = books.live[reference][0]
    books.live["nobody-sent-this"] = [replace(of, id="B-orphan", reference="nobody-sent-this")]
    return "nobody-sent-this"


WAYS: dict[str, Callable[[Books, str], str]] = {
    way.__name__: way for way in (removed, doubled, units_changed, dollars_changed, orphaned)
}


def tamper(books: Books, way: str, dice: Random) -> str:
    """Do it to a charge by the dice: the reference that must be named."""
    found = WAYS[way](books, dice.choice(sorted(books.live)))
    books._sorted = None
    return found
