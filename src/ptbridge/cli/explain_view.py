"""A judged treatment day in words: documented, billed and why, findings, what was sent and answered, who decided what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptbridge.cli import screen
from ptbridge.cli.run_view import amount, show_finding
from ptbridge.model import dollars

_FREQUENCIES = {"1": "original", "7": "replacement", "8": "void"}


def show_day(day: Mapping[str, Any]) -> None:
    """One treatment day from what was documented to what the biller answered."""
    visits = ", ".join(f"{visit['visit_id']} ({visit['status']})" for visit in day["visits"])
    facts = [day.get("service_date"), day.get("discipline"), day.get("payer"), day.get("state")]
    screen.say(screen.clean(visits), bold=True, nl=False)
    screen.say("".join(f"  {screen.clean(fact)}" for fact in facts if fact))
    screen.say(f"  reference {screen.clean(day['reference'])}", dim=True)
    if day.get("diagnoses"):
        screen.say("  diagnoses " + ", ".join(f"{n}: {screen.clean(code)}" for n, code in enumerate(day["diagnoses"], 1)))
    _insured(day)
    _documented(day)
    _billed(day)
    _found(day)
    _answered(day)
    screen.say()


def _insured(day: Mapping[str, Any]) -> None:
    """The insurances of the day's visits, where there is another one than the primary."""
    every = {(one["order"], one["payer"]): one for some in (day.get("coverages") or {}).values() for one in some}
    if len(every) > 1:
        named = [f"{order or '?'}: {screen.clean(payer or 'unknown')}" for order, payer in every]
        screen.say(f"  insurances {', '.join(named)}")


def _documented(day: Mapping[str, Any]) -> None:
    if not day["documented"]:
        return
    screen.say("\n  Documented")
    rows = []
    for line in day["documented"]:
        code = line["procedure"] or line["documented"]
        minutes = "" if line["minutes"] is None else f"{line['minutes']} min"
        by = [
            f"{who} {line[key]}"
            for who, key in (("therapist", "therapist_minutes"), ("assistant", "assistant_minutes"))
            if line[key]
        ]
        units = "" if line["units"] is None else f"{screen.count(line['units'], 'unit')} in the EMR"
        notes = [*by, units, "not done" if line["not_done"] else "", " ".join(line["modifiers"])]
        rows.append((line["line_key"], code, minutes, "; ".join(note for note in notes if note)))
    screen.say(screen.table(rows, right=(2,), indent="    "))


def _billed(day: Mapping[str, Any]) -> None:
    if day["lines"] or day["exclusions"]:
        screen.say("\n  Billed" if day["state"] in ("sent", "queued") else "\n  Would be billed")
    for line in day["lines"]:
        pointers = "".join(f" dx{pointer}" for pointer in line.get("diagnosis_pointers") or ())
        screen.say(f"    {screen.clean(line['line'])}{pointers}  {amount(line['amount_cents'])}".rstrip(), bold=True)
        for reason in line["because"]:
            screen.say(screen.wrapped(reason, indent="      ", then="        "))
    for exclusion in day["exclusions"]:
        screen.say(f"    {screen.clean(exclusion['procedure'])}  not billed", bold=True)
        screen.say(screen.wrapped(exclusion["because"], indent="      ", then="        "))
    if day["lines"]:
        screen.say(f"    {screen.count(day['units'], 'unit')}, {dollars(day['amount_cents'])} for the treatment day")
    for row in day.get("emr_differs") or ():
        less = "" if row["difference_cents"] is None else f", {dollars(row['difference_cents'])} against the EMR"
        screen.say(f"    {row['procedure']}: {row['billed']} units here, {row['emr']} in the EMR{less}")
    for reason in day.get("because") or ():
        screen.say(screen.wrapped(reason, indent="    ", then="      "))


def _found(day: Mapping[str, Any]) -> None:
    if not day["findings"]:
        return
    screen.say("\n  Found")
    for finding in day["findings"]:
        show_finding(finding, indent="    ")


def _answered(day: Mapping[str, Any]) -> None:
    if day.get("submissions"):
        screen.say("\n  Sent")
        screen.say(screen.table([_sent(row) for row in day["submissions"]], right=(0, 2, 3), indent="    "))
    if day.get("answers"):
        screen.say("\n  Answers")
        screen.say(screen.table([_answer(row) for row in day["answers"]], indent="    "))
    if day.get("decisions"):
        screen.say("\n  Decided")
        screen.say(screen.table([_decision(row) for row in day["decisions"]], indent="    "))
    if day.get("history"):
        screen.say("\n  History")
        events = [tuple(row.get(key, "") for key in ("at", "event", "actor", "detail")) for row in day["history"]]
        screen.say(screen.table(events, indent="    "))


def _sent(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Which version, what it is, its worth, where it stands, the biller's own name for it and the last word about it."""
    kind = _FREQUENCIES.get(str(row["frequency"]), row["frequency"])
    state = row["state"] + (f" ({row['hold_reason']})" if row["hold_reason"] else "")
    said = (row["last_answer"] or "").removeprefix(row["state"]).strip()
    words = "; ".join(part for part in (row["destination_id"] or "", said and f"answer: {said}") if part)
    return row["revision"], kind, screen.count(row["units"], "unit"), dollars(row["amount_cents"]), state, words


def _decision(row: Mapping[str, Any]) -> tuple[str, ...]:
    """When, what, who, and why in the person's own words, with the findings that it was about."""
    about = f"  ({', '.join(row['codes'].split())})" if row["codes"] else ""
    return row["at"], row["kind"], row["actor"], f"{row['reason']}{about}"


def _answer(row: Mapping[str, Any]) -> tuple[str, ...]:
    """When it was said, stage, standing, version and line, the codes word for word, the money, the other side's text."""
    about = f"revision {row['revision']}" + (f", line {row['line']}" if row["line"] is not None else "")
    codes = " ".join(f"{code['system']} {code['code']}" for code in row["codes"])
    money = [f"{label} {dollars(row[key])}" for key, label in _MONEY if row[key] is not None]
    texts = [row["text"], *(code["text"] for code in row["codes"])]
    number = f"payer's number {row['payer_claim_number']}" if row["payer_claim_number"] else ""
    rest = "; ".join(part for part in (codes, *money, number, *texts) if part)
    return row["said_at"] or row["received_at"], row["stage"], row["standing"], about, rest


_MONEY = (
    ("charged_cents", "charged"),
    ("paid_cents", "paid"),
    ("adjusted_cents", "adjusted"),
    ("patient_cents", "patient owes"),
)
