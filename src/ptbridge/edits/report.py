"""How an edit words a finding: about one service line, or about the whole day. Neither ever holds patient data."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from ptbridge.model import Finding, ServiceLine, Severity
from ptbridge.policy.facts import Facts
from ptbridge.policy.payers import Terms


def billed(line: ServiceLine) -> str:
    """`97110-GP-CQ x2`: a line as it is billed, without its minutes."""
    return "-".join((line.procedure, *line.modifiers)) + f" x{line.units}"


def on_line(code: str, line: ServiceLine, message: str, fix: str, severity: Severity = Severity.ERROR) -> Finding:
    """A finding about one service line; it names the first documented line behind it."""
    visit_id, _, line_key = line.line_keys[0].partition("/") if line.line_keys else ("", "", "")
    return Finding(
        code=code,
        severity=severity,
        message=f"{billed(line)}: {message}",
        fix=fix,
        visit_id=visit_id or None,
        line_key=line_key or None,
    )


def on_day(
    code: str, message: str, fix: str, severity: Severity = Severity.ERROR, *, visit_id: str | None = None, where: str = ""
) -> Finding:
    """A finding about the treatment day, or about one visit of it."""
    return Finding(code=code, severity=severity, message=message, fix=fix, visit_id=visit_id, where=where)


_WEIGHT = {"hold": Severity.ERROR, "warn": Severity.WARNING}


def decided(facts: Facts, on: date | None, setting: Callable[[Terms], str | None]) -> Severity | None:
    """How grave a finding is where the payer policy decides, by one of its settings on the service date.

    None, and nothing is said: without a policy or a date, where it is unset, and for any other word than hold and warn.
    """
    terms = facts.terms(on)
    return None if terms is None else _WEIGHT.get(setting(terms) or "")
