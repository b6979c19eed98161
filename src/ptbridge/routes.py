"""Which way a correction of a live charge goes, from what the platform can do and how far the charge has come. Pure."""

from __future__ import annotations

from enum import StrEnum

from ptbridge.ledger import DayRow
from ptbridge.model import Frequency, Stage, Standing
from ptbridge.ports import Capabilities


class Route(StrEnum):
    """How a change reaches the biller."""

    UPDATE = "update"  # the platform overwrites its own copy
    CANCEL = "cancel"  # the platform takes back its own copy
    REPLACEMENT = "replacement"  # a claim of frequency 7
    VOID = "void"  # a claim of frequency 8
    VOID_AND_NEW = "void-and-new"  # taken back first; the new original has a reference of its own
    AGAIN = "original-again"  # it was rejected before adjudication: nobody has it
    FORGET = "forget"  # rejected before adjudication, and nothing is left to bill
    WAIT = "wait-for-payer-number"
    TASK = "task"  # a person at the biller


def route_of(day: DayRow, capabilities: Capabilities, *, withdraw: bool, payer_changed: bool = False) -> Route:
    """The way a correction of what is live goes, from what the platform can do and how far the charge has come. Pure."""
    if is_gone(day, capabilities):
        return Route.FORGET if withdraw else Route.AGAIN
    if capabilities.task_after is not None and _stage(day).place > capabilities.task_after.place:
        return Route.TASK
    if is_open(day, capabilities):
        return _open_route(capabilities, withdraw=withdraw)
    return _claim_route(day, capabilities, withdraw=withdraw, payer_changed=payer_changed)


def _open_route(capabilities: Capabilities, *, withdraw: bool) -> Route:
    """The platform still has it to itself: its own update, its own cancel, or the one after the other."""
    if not withdraw and capabilities.replace:
        return Route.UPDATE
    if not capabilities.void:
        return Route.TASK
    return Route.CANCEL if withdraw else Route.VOID_AND_NEW


def _claim_route(day: DayRow, capabilities: Capabilities, *, withdraw: bool, payer_changed: bool) -> Route:
    """Beyond that, a correction is a claim: 7 or 8 to the payer that has it; another payer never had one to replace."""
    if withdraw:
        route = Route.VOID if capabilities.void else Route.TASK
    elif capabilities.replace and not payer_changed:
        route = Route.REPLACEMENT
    else:
        route = Route.VOID_AND_NEW if capabilities.void else Route.TASK
    if route is Route.TASK or not capabilities.payer_number or day.payer_claim_number is not None:
        return route
    return Route.TASK if day.standing == Standing.REJECTED else Route.WAIT  # what was rejected never gets a number


def _stage(day: DayRow) -> Stage:
    return Stage(day.stage) if day.stage else Stage.RECEIVED


def is_open(day: DayRow, capabilities: Capabilities) -> bool:
    """The platform still has the charge to itself: it overwrites or takes back its own copy."""
    return capabilities.open_until is not None and _stage(day).place <= capabilities.open_until.place


def is_gone(day: DayRow, capabilities: Capabilities) -> bool:
    """Rejected before adjudication: nobody has it. A rejected correction leaves what it was to correct with the payer."""
    rejected = day.standing == Standing.REJECTED and day.live_frequency in (None, Frequency.ORIGINAL)
    return capabilities.rejected_is_gone and rejected and not is_open(day, capabilities)
