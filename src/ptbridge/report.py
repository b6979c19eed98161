"""The report of a day: one HTML page that needs nothing else, for a browser, a phone or paper.

`render` is pure. It has no script, loads nothing, and its content security policy allows its own style sheet only. Patients
appear as the source's visit ids, never by name. Every text is escaped by construction: only `_tag` makes markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from ptbridge.model import Fate, dollars

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_DAYS_SHOWN = 2000  # a page with more is slow on a phone; the rest stays in the ledger
_NOTHING_NEW = "No visit is new or changed"
_REFUSED = ("rejected", "denied")
_FATES = (Fate.SENT, Fate.UNCHANGED, Fate.QUEUED, Fate.HELD, Fate.QUARANTINED, Fate.EXCLUDED)


class _Markup(str):
    """Text that is markup already; everything else is escaped when it enters a tag."""

    __slots__ = ()


def render(data: Mapping[str, Any]) -> str:
    """The page for one run. Keys that are absent leave their part of the page out; nothing is assumed for them.

    clinic {id, name, time_zone} · service_dates [first, last] · run {started, finished, …: any facts} · dry_run ·
    pulled_visits · visits {fate: count} · lines {fate: count} · units_sent · amount_cents_sent · queued · held_days ·
    by_itself_days ·
    held [{id, service_date, discipline, visits, payer, amount_cents, held_since, was {text},
    reasons [{code, severity, message, fix}]}] ·
    quarantined [{visit_id, reason, first_seen_at}] ·
    payers [{payer, days, units, amount_cents, held}] · disciplines [{discipline, days, units, amount_cents}] ·
    days [{service_date, discipline, payer, fate, visits, units, amount_cents, because, lines [{text, amount_cents, because}],
    exclusions [{procedure, because}]}] · biller {agrees, charges, units, amount_cents, differences} ·
    answers [{stage, standing, days, units, amount_cents}] · errors [text] · notes [text].
    """
    style = resources.files("ptbridge").joinpath("report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    title = f"{_clinic_name(data)}, {_dates(data) or _NOTHING_NEW.lower()}"
    head = [
        _void("meta", charset="utf-8"),
        _void("meta", http_equiv="Content-Security-Policy", content=policy),
        _void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _void("meta", name="referrer", content="no-referrer"),
        _void("meta", name="robots", content="noindex"),
        _tag("title", title),
        _tag("style", _Markup(style)),
    ]
    parts = (_header, _verdict, _numbers, _fates, _errors, _notes, _held, _biller, _stages, _totals, _days, _facts, _footer)
    page = _tag("html", _tag("head", *head), _tag("body", _tag("main", *(part(data) for part in parts))), lang="en")
    return f"<!doctype html>\n{page}\n"


def _tag(element: str, /, *children: object, **attributes: object) -> _Markup:
    inside = "".join(child if isinstance(child, _Markup) else _escaped(child) for child in children if child is not None)
    return _Markup(f"<{element}{_attributes(attributes)}>{inside}</{element}>\n")


def _void(element: str, /, **attributes: object) -> _Markup:
    return _Markup(f"<{element}{_attributes(attributes)}>\n")


def _attributes(attributes: Mapping[str, object]) -> str:
    return "".join(f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"' for key, value in attributes.items() if value)


def _escaped(value: object) -> str:
    return html.escape(_CONTROL.sub(" ", str(value)), quote=True)


def _joined(parts: Iterable[_Markup]) -> _Markup:
    return _Markup("".join(parts))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _clinic_name(data: Mapping[str, Any]) -> str:
    clinic = data.get("clinic") or {}
    return clinic if isinstance(clinic, str) else str(clinic.get("name") or clinic.get("id") or "Clinic")


def _dates(data: Mapping[str, Any]) -> str:
    """`2026-11-20`, or `2026-11-18 to 2026-11-20`; empty for a run that judged nothing."""
    dates = sorted({str(day) for day in data.get("service_dates") or ()})
    if not dates:
        return ""
    return dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"


def _header(data: Mapping[str, Any]) -> _Markup:
    run = data.get("run") or {}
    when = _time(run.get("finished"))
    dates = _dates(data)
    below = (f"Service dates {dates}" if dates else _NOTHING_NEW) + (f" · run finished {when}" if when else "")
    return _tag("header", _tag("h1", _clinic_name(data)), _tag("p", below))


def _time(value: object) -> str:
    """An ISO time as a person reads it, to the minute."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?", str(value or ""))
    if not found:
        return str(value or "")
    zone = {"Z": " UTC", "+00:00": " UTC", None: ""}.get(found[3], f" {found[3]}")
    return f"{found[1]} {found[2]}{zone}"


def _verdict(data: Mapping[str, Any]) -> _Markup:
    visits = data.get("visits") or {}
    person = _for_a_person(data)
    waiting = visits.get(Fate.QUEUED, 0)
    biller = data.get("biller") or {}
    sent = visits.get(Fate.SENT, 0)
    said = ["Nothing was sent: this was a dry run." if data.get("dry_run") else _sent(sent)]
    said.append(
        f"{_counted(person, 'treatment day')} {'needs' if person == 1 else 'need'} a person."
        if person
        else "Nothing waits for a person."
    )
    refused = sum(row["days"] for row in data.get("answers") or () if row["standing"] in _REFUSED)
    if refused:
        said.append(f"{_counted(refused, 'treatment day')} of late {'was' if refused == 1 else 'were'} rejected or denied.")
    if alone := data.get("by_itself_days"):
        words = "is held and goes by itself" if alone == 1 else "are held and go by themselves"
        said.append(f"{_counted(alone, 'treatment day')} {words}.")
    if waiting:
        said.append(f"{_counted(waiting, 'visit')} {'waits' if waiting == 1 else 'wait'} for the biller.")
    if "agrees" in biller:
        said.append("The biller's own count agrees." if biller["agrees"] else "The biller's own count differs.")
    trouble = data.get("errors") or biller.get("agrees") is False
    kind = "trouble" if trouble else "person" if person or waiting else ""
    return _tag("p", " ".join(said), class_=f"verdict {kind}".strip())


def _sent(visits: int) -> str:
    return f"{_counted(visits, 'visit')} sent." if visits else "Nothing new was sent."


def _for_a_person(data: Mapping[str, Any]) -> int:
    """Everything on the worklist, whichever run put it there."""
    held = data.get("held") or ()
    return int(data.get("held_days", len(held))) + len(data.get("quarantined") or ())


def _numbers(data: Mapping[str, Any]) -> _Markup:
    shown = (
        ("visits pulled", data.get("pulled_visits"), "{:,}"),
        ("units sent", data.get("units_sent"), "{:,}"),
        ("sent to the biller", data.get("amount_cents_sent"), dollars),
        ("days for a person", _for_a_person(data) if "held" in data or "held_days" in data else None, "{:,}"),
    )
    cards = [
        _tag("div", _tag("b", form(value) if callable(form) else form.format(value)), _tag("span", label), class_="number")
        for label, value, form in shown
        if value is not None
    ]
    return _tag("div", *cards, class_="numbers")


def _fates(data: Mapping[str, Any]) -> _Markup:
    return _joined(
        _bar(data.get(kind) or {}, title) for kind, title in (("visits", "Every visit"), ("lines", "Every documented line"))
    )


def _bar(counts: Mapping[str, int], title: str) -> _Markup:
    """A bar of what became of all of them, widths in proportion, with its numbers in words below."""
    present = [(fate, counts[fate]) for fate in _FATES if counts.get(fate)]
    total = sum(number for _, number in present)
    if not total:
        return _Markup("")
    pieces, start = [], 0.0
    for fate, number in present:
        share = 1000 * number / total
        pieces.append(_tag("rect", class_=fate.value, x=f"{start:.2f}", y="0", width=f"{max(share - 2, 1):.2f}", height="24"))
        start += share
    words = ", ".join(f"{number} {fate.value}" for fate, number in present)
    bar = _tag("svg", *pieces, viewBox="0 0 1000 24", preserveAspectRatio="none", role="img", aria_label=f"{title}: {words}")
    legend = _tag("ul", *(_legend(fate, number) for fate, number in present), class_="legend")
    caption = _tag("figcaption", f"{title} has one fate: {total:,} in all")
    return _tag("figure", caption, bar, legend)


def _legend(fate: Fate, number: int) -> _Markup:
    dot = _tag("svg", _tag("rect", class_=fate.value, width="10", height="10"), viewBox="0 0 10 10", aria_hidden="true")
    return _tag("li", dot, f"{fate.value} ", _tag("b", f"{number:,}"))


def _errors(data: Mapping[str, Any]) -> _Markup:
    errors = data.get("errors") or ()
    if not errors:
        return _Markup("")
    cards = [_tag("div", error if isinstance(error, str) else error.get("message", ""), class_="card") for error in errors]
    return _section("What went wrong", *cards)


def _notes(data: Mapping[str, Any]) -> _Markup:
    notes = data.get("notes") or ()
    return _section("To know", *(_tag("div", note, class_="card") for note in notes)) if notes else _Markup("")


def _section(title: str, *content: object) -> _Markup:
    return _tag("section", _tag("h2", title), *content)


def _held(data: Mapping[str, Any]) -> _Markup:
    rows = [*(data.get("held") or ()), *(_unreadable(row) for row in data.get("quarantined") or ())]
    if not rows:
        return _Markup("")
    more = data.get("held_days", 0) - len(data.get("held") or ())
    rest = _tag("p", f"{_counted(more, 'treatment day')} more: ptbridge held", class_="quiet") if more > 0 else None
    return _section("For a person", *(_held_card(row) for row in rows), rest)


def _unreadable(row: Mapping[str, Any]) -> dict[str, Any]:
    """A record that could not be read, as a row of the worklist."""
    fix = row.get("fix") or "Correct the record at its source; it is read again."
    reason = {"code": "MP90", "message": row["reason"], "fix": fix}
    return {"id": row["visit_id"], "held_since": row.get("first_seen_at"), "reasons": [reason]}


def _held_card(row: Mapping[str, Any]) -> _Markup:
    visits = ", ".join(str(visit) for visit in row.get("visits") or ()) or row.get("id", "")
    facts = [row.get("service_date"), row.get("discipline"), row.get("payer"), _amount(row.get("amount_cents") or None)]
    since = _time(row.get("held_since"))
    facts.append(f"held since {since}" if since else None)
    about = _tag("span", " · ".join(str(fact) for fact in facts if fact), class_="quiet")
    top = _tag("div", _tag("b", visits), about, class_="top")
    was = _tag("p", f"was {row['was']['text']}", class_="quiet") if row.get("was") else None
    reasons = _tag("ul", *(_reason(reason) for reason in row.get("reasons") or ()), class_="reasons")
    return _tag("div", top, was, reasons, class_="card")


def _reason(reason: Mapping[str, Any]) -> _Markup:
    fix = _tag("span", reason["fix"], class_="fix") if reason.get("fix") else None
    code = _tag("span", reason.get("code", ""), class_=f"code {reason.get('severity', '')}".strip())
    return _tag("li", code, _tag("span", reason.get("message", ""), fix))


def _amount(amount_cents: int | None) -> str:
    return "" if amount_cents is None else dollars(amount_cents)


def _biller(data: Mapping[str, Any]) -> _Markup:
    biller = data.get("biller")
    if not biller:
        return _Markup("")
    facts = [("Charges", f"{biller['charges']:,}" if "charges" in biller else None)]
    facts.append(("Units", f"{biller['units']:,}" if "units" in biller else None))
    facts.append(("Amount", _amount(biller.get("amount_cents")) or None))
    words = "Its own count agrees with the ledger, unit for unit and cent for cent." if biller.get("agrees") else ""
    differences = biller.get("differences") or ()
    if differences:
        words = f"Its own count differs from the ledger in {_counted(len(differences), 'place')}."
    shown = _tag("ul", *(_tag("li", _difference(difference)) for difference in differences)) if differences else None
    return _section("What the biller has", _tag("p", words), _facts_list(facts), shown)


def _stages(data: Mapping[str, Any]) -> _Markup:
    """How far the live charges have come by what the biller told later; nothing for a biller that never tells."""
    rows = data.get("answers") or ()
    if not rows:
        return _Markup("")
    named = [{**row, "stage": f"{row['stage']}, {row['standing']}"} for row in rows]
    since = f", service dates since {data['answers_since']}" if data.get("answers_since") else ""
    return _table(f"What became of it{since}", "stage", named)


def _difference(difference: object) -> str:
    if isinstance(difference, Mapping):
        return " · ".join(f"{key.replace('_', ' ')}: {value}" for key, value in difference.items())
    return str(difference)


def _facts_list(facts: Iterable[tuple[str, object]]) -> _Markup | None:
    pairs = [_joined((_tag("dt", name), _tag("dd", value))) for name, value in facts if value not in (None, "")]
    return _tag("dl", *pairs) if pairs else None


def _totals(data: Mapping[str, Any]) -> _Markup:
    tables = [
        _table(title, key, [row for row in rows if any(isinstance(value, int) and value for value in row.values())])
        for title, key, rows in (
            ("By payer", "payer", data.get("payers") or ()),
            ("By discipline", "discipline", data.get("disciplines") or ()),
        )
        if rows
    ]
    return _tag("div", *tables, class_="pair") if tables else _Markup("")


def _table(title: str, key: str, rows: Sequence[Mapping[str, Any]]) -> _Markup:
    """One row for each payer or discipline; a number that a row does not give stays empty."""
    numbers = [name for name in ("days", "visits", "units", "held", "amount_cents") if any(name in row for row in rows)]
    labels = {"amount_cents": "amount"}
    head = _tag("tr", _tag("th", key), *(_tag("th", labels.get(name, name), class_="n") for name in numbers))
    body = [
        _tag(
            "tr",
            _tag("th", row.get(key) or "not known"),
            *(_tag("td", _number(name, row.get(name)), class_="n") for name in numbers),
        )
        for row in rows
    ]
    return _section(title, _tag("div", _tag("table", _tag("thead", head), _tag("tbody", *body)), class_="wide"))


def _number(name: str, value: int | None) -> str:
    if value is None:
        return ""
    return dollars(value) if name == "amount_cents" else f"{value:,}"


def _days(data: Mapping[str, Any]) -> _Markup:
    days = data.get("days") or ()
    if not days:
        return _Markup("")
    rest = len(days) - _DAYS_SHOWN
    more = _tag("p", f"{rest:,} more are in the ledger: ptbridge explain VISIT", class_="quiet") if rest > 0 else None
    intro = _tag("p", "Open a day to see each line and why it is so.", class_="quiet")
    return _section("Every treatment day", intro, *(_day(day) for day in days[:_DAYS_SHOWN]), more)


def _day(day: Mapping[str, Any]) -> _Markup:
    fate = str(day.get("fate") or "")
    visits = ", ".join(str(visit) for visit in day.get("visits") or ())
    facts = [day.get("service_date"), day.get("discipline"), day.get("payer")]
    numbers = [_counted(day["units"], "unit"), _amount(day.get("amount_cents"))] if day.get("units") else []
    left = _tag("span", _tag("b", visits), " ", _tag("span", " · ".join(str(fact) for fact in facts if fact), class_="quiet"))
    right = _tag("span", " · ".join(filter(None, numbers)), " ", _tag("span", fate, class_=f"fate is-{fate}") if fate else None)
    lines = [_line(line) for line in day.get("lines") or ()] + [
        _exclusion(exclusion) for exclusion in day.get("exclusions") or ()
    ]
    inside = _tag("div", _tag("ul", *lines, class_="lines"), _because(day.get("because")))
    return _tag("details", _tag("summary", _tag("span", left, right, class_="day")), inside)


def _line(line: Mapping[str, Any]) -> _Markup:
    top = _tag("div", _tag("code", line.get("text", "")), _tag("span", _amount(line.get("amount_cents"))), class_="top")
    return _tag("li", top, _because(line.get("because")))


def _exclusion(exclusion: Mapping[str, Any]) -> _Markup:
    top = _tag("div", _tag("code", exclusion.get("procedure", "")), _tag("span", "not billed"), class_="top")
    reason = exclusion.get("because")
    return _tag("li", top, _because([reason] if isinstance(reason, str) else reason))


def _because(reasons: Sequence[str] | None) -> _Markup | None:
    return _tag("ul", *(_tag("li", reason) for reason in reasons), class_="because") if reasons else None


def _facts(data: Mapping[str, Any]) -> _Markup:
    run = data.get("run") or {}
    facts = [(key.replace("_", " "), _time(value)) for key, value in run.items()]
    shown = _facts_list(facts)
    return _section("The run", shown) if shown else _Markup("")


def _footer(data: Mapping[str, Any]) -> _Markup:
    return _tag("footer", "Visits are named by the EMR's own ids. This page holds no patient's name and loads nothing.")
