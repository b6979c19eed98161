"""One file per edit: a check of a priced treatment day, its manual page and its executed cases in one docstring.

An edit changes nothing and opens nothing. All of them run, so that a person sees every problem at once.
`ptbridge.plugins.edits()` finds them; `edits.cases` reads and runs the cases of a manual page.
"""

from __future__ import annotations

from collections.abc import Iterable

from ptbridge.model import Finding, PricedDay, Severity
from ptbridge.policy.facts import Facts
from ptbridge.ports import Edit

__all__ = ["STOPPED", "run"]

STOPPED = "ED00"  # the one code that no file has: an edit could not finish


def run(priced: PricedDay, facts: Facts, edits: Iterable[Edit]) -> list[Finding]:
    """Every finding of every edit, in the order of the codes.

    An edit that raises becomes an error finding `ED00` that names the edit and the type of the exception only (its text
    could hold patient data): a day that could not be checked is held, never passed. A day that bills nothing by rule (all
    its lines are excluded, and nothing holds it) asks for nothing: no edit runs.
    """
    findings: list[Finding] = []
    if _bills_nothing(priced):
        return findings
    for edit in edits:
        try:
            findings.extend(edit.check(priced, facts))
        except Exception as problem:
            findings.append(_stopped(edit, problem))
    findings.sort(key=_code)
    return findings


def _bills_nothing(priced: PricedDay) -> bool:
    if priced.charges:
        return False
    raised = [*priced.coded.findings, *priced.findings, *(found for visit in priced.day.visits for found in visit.findings)]
    return not any(finding.holds for finding in raised)


def _code(finding: Finding) -> str:
    return finding.code


def _stopped(edit: Edit, problem: Exception) -> Finding:
    return Finding(
        code=STOPPED,
        severity=Severity.ERROR,
        message=f"edit {edit.code} stopped with {type(problem).__name__}; this day was not checked by it",
        fix="Report it with the visit id. Release the charge only after checking by hand what the edit is about.",
        where=edit.code,
    )
