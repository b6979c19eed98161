"""What a FHIR server means by an error: OperationOutcome read leniently, and told apart into "later" and "no".

Only severities and codes are ever shown; `diagnostics` and `details.text` may quote a patient, so they are searched, not
repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

_CODE = re.compile(r"[a-z][a-z-]{0,39}")
_TRANSIENT = frozenset({"transient", "lock-error", "no-store", "timeout", "incomplete", "throttled", "exception"})
# Cerner: 500 with `required`, because one stored record misses a required field (domain notes, 2.6); asking again is useless.
_POISONED = frozenset({"required", "structure", "value", "invariant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One OperationOutcome.issue. `text` is for searching only."""

    severity: str
    code: str
    names_expression: bool = False
    text: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.severity} {self.code}"

    @property
    def is_error(self) -> bool:
        """True for `error` and `fatal`, and for a severity that cannot be read."""
        return self.severity not in {"warning", "information", "success"}


def issues_of(resource: Any) -> tuple[Issue, ...]:
    """The issues of a parsed OperationOutcome; empty for anything else."""
    if not isinstance(resource, dict) or resource.get("resourceType") != "OperationOutcome":
        return ()
    issues = resource.get("issue")
    return tuple(_issue(issue) for issue in issues if isinstance(issue, dict)) if isinstance(issues, list) else ()


def issues_in(content: bytes) -> tuple[Issue, ...]:
    """The issues of an error answer's body; empty when it is no OperationOutcome (plain text, HTML, nothing)."""
    try:
        return issues_of(orjson.loads(content))
    except ValueError:
        return ()


def _issue(issue: dict[str, Any]) -> Issue:
    details = issue.get("details")
    texts = (issue.get("diagnostics"), details.get("text") if isinstance(details, dict) else None)
    return Issue(
        severity=_word(issue.get("severity")),
        code=_word(issue.get("code")),
        names_expression=bool(issue.get("expression") or issue.get("location")),
        text=" ".join(text for text in texts if isinstance(text, str)),
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _CODE.fullmatch(value) else "unknown"


def shown(issues: Iterable[Issue]) -> str:
    """The issues for a message: ` (error invalid, warning processing)`, or nothing."""
    words = ", ".join(dict.fromkeys(map(str, issues)))
    return f" ({words})" if words else ""


def is_transient(issues: Iterable[Issue]) -> bool:
    """True when the server itself calls its trouble a passing one."""
    return any(issue.is_error and issue.code in _TRANSIENT for issue in issues)


def is_poisoned(status: int, issues: Iterable[Issue]) -> bool:
    """True for a 500 about one bad stored record: narrow the search, do not repeat it."""
    return status == 500 and any(issue.is_error and issue.code in _POISONED for issue in issues)


def is_verdict(issues: Iterable[Issue], names: Iterable[str]) -> bool:
    """Is this 400 about our request? It is when it names an expression, says not-supported, or quotes one of our parameters.

    Any other 400 may be an outage: a server whose database was down answered 400 `invalid` to everything, and recovered.
    """
    words = "|".join(map(re.escape, names))
    quoted = re.compile(rf"[\"'`\[(](?:{words})[\"'`\]):]|parameter:? (?:{words})\b" if words else r"(?!)")
    return any(issue.names_expression or issue.code == "not-supported" or quoted.search(issue.text) for issue in issues)
