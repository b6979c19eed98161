"""`ptbridge explain`: why a visit, a line or a finding is as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ptbridge.cli import screen
from ptbridge.cli.options import config_option, json_option
from ptbridge.errors import ConfigError


@click.command()
@click.argument("name", metavar="NAME")
@config_option
@json_option
def explain(name: str, config_folder: Path, json_wanted: bool) -> None:
    """Explain a visit, a line or an edit code.

    NAME is a visit id as the EMR gives it, a treatment day's reference as `ptbridge held` gives it, a documented line as
    VISIT/LINE, or a code such as UN01.
    """
    if re.fullmatch("[A-Za-z]{2}[0-9]{2}", name):
        page = _manual(name.upper())
        screen.put_json(page) if json_wanted else _show_manual(page)
        return
    from ptbridge import jobs
    from ptbridge.cli.explain_view import show_day
    from ptbridge.cli.run_view import show_held
    from ptbridge.specs.config import load_config

    visit, slash, line = name.partition("/")
    answer = screen.plain(jobs.explain(load_config(config_folder), visit))
    if slash:
        answer["days"] = [_only(day, name, line) for day in answer["days"]]
    if json_wanted:
        screen.put_json(answer)
        return
    for day in answer["days"]:
        show_day(day)
    if answer["quarantined"]:
        show_held(answer["quarantined"])


def _only(day: dict[str, Any], name: str, line: str) -> dict[str, Any]:
    """The day with that documented line alone: what was documented, what it became, what was found about it."""
    if not any(documented["line_key"] == name for documented in day["documented"]):
        known = ", ".join(documented["line_key"] for documented in day["documented"])
        raise ConfigError(f"{name}: this visit has no line {line!r}. Its lines: {known}.")
    return day | {
        "documented": [row for row in day["documented"] if row["line_key"] == name],
        "lines": [row for row in day["lines"] if name in row.get("line_keys", ())],
        "exclusions": [row for row in day["exclusions"] if row["line_key"] == name],
        "findings": [row for row in day["findings"] if row.get("line_key") in (None, line, name)],
    }


def _manual(code: str) -> dict[str, str]:
    """The manual page of an edit, or the meaning of a code that reading, coding or pricing raises."""
    from ptbridge import plugins

    for edit in plugins.edits():
        if edit.code == code:
            return {"code": code, "severity": edit.severity.value, "title": edit.title, "manual": edit.manual}
    found = _kinds().get(code)
    if found is None:
        known = sorted({*_kinds(), *(edit.code for edit in plugins.edits())})
        alike = [one for one in known if one[:2] == code[:2]] or sorted({one[:2] for one in known})
        raise ConfigError(f"there is no code {code}. Known: {', '.join(alike)}; `ptbridge edits list` has their titles.")
    return {"code": code, **found}


def _kinds() -> dict[str, dict[str, str]]:
    """What is no edit: findings of the mapping (MP), of coding and of pricing, each declared beside its code."""
    from ptbridge.coding.findings import KINDS
    from ptbridge.intake.findings import MEANINGS
    from ptbridge.refusals import FIXES, SOURCES
    from ptbridge.refusals import MEANINGS as REFUSED

    mapping = {
        code: {"severity": meaning.severity.value, "title": meaning.title, "fix": meaning.fix, "source": ""}
        for code, meaning in MEANINGS.items()
    }
    coding = {
        code: {"severity": kind.severity.value, "title": kind.meaning, "fix": kind.fix, "source": kind.source}
        for code, kind in KINDS.items()
    }
    told = {
        code: {"severity": "error", "title": title, "fix": FIXES[code], "source": SOURCES[code]}
        for code, title in REFUSED.items()
    }
    return mapping | coding | told


def _show_manual(page: Mapping[str, str]) -> None:
    holds = "holds the charge" if page["severity"] == "error" else f"{page['severity']}; does not hold"
    screen.say(f"{page['code']}  {holds}", bold=True)
    if "manual" in page:
        screen.say(page["manual"].partition(":")[2].strip())
        return
    screen.say(screen.wrapped(page["title"]))
    for heading, text in (("Fix", page["fix"]), ("Source", page["source"])):
        if text:
            screen.say(f"\n{heading}")
            screen.say(screen.wrapped(text, indent="    "))
