"""The answer behind `ptbridge units`: minutes in; units, modifiers and reasons out, by the same coding as a real day."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from ptbridge.coding.code import code
from ptbridge.coding.diagnoses import NO_DIAGNOSIS
from ptbridge.model import CodedDay, Discipline, Intervention, Patient, TreatmentDay, Visit, VisitStatus
from ptbridge.policy import CodeTable, Policy, load_codes

_ARGUMENT = re.compile(r"(?P<code>[A-Z0-9]{5})(?:=(?P<minutes>\d{1,4})(?:\+(?P<assistant>\d{1,4}))?)?", re.IGNORECASE)
_KEYS = {"code", "minutes", "therapist_minutes", "assistant_minutes", "units", "timed"}
_MAX_MINUTES = 1440  # a day


def parse_units_argument(text: str) -> dict[str, Any]:
    """`97110=33`, `97161`, or therapist and assistant minutes as `97110=13+23`, as a line for `units_answer`.

    Raises ValueError with what to write instead.
    """
    match = _ARGUMENT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r}: write CODE, CODE=MINUTES or CODE=THERAPIST+ASSISTANT, such as 97110=33 or 97110=13+23")
    line: dict[str, Any] = {"code": match["code"].upper()}
    if match["assistant"] is not None:
        return line | {"therapist_minutes": int(match["minutes"]), "assistant_minutes": int(match["assistant"])}
    return line if match["minutes"] is None else line | {"minutes": int(match["minutes"])}


def units_answer(
    policy: Policy,
    lines: Sequence[Any],
    discipline: str | None,
    on: date,
    *,
    codes: CodeTable | None = None,
    assistant_method: str | None = None,
) -> dict[str, Any]:
    """`{"lines": [{code, units, modifiers}…], "acceptable": [{code: units}…], "because": [...]}`, or `{"error": "…"}`.

    `lines` are objects with `code` and `minutes`, or `therapist_minutes` and `assistant_minutes`; untimed codes need
    neither. `units` are the EMR's own, if they shall be judged; `timed` may say what the code table says. The answer's
    lines have one unit or more, with and without the assistant modifier apart. Every answer in `acceptable` names every
    documented code; ours is the first, unless the EMR's units stand.
    """
    table = codes or load_codes()
    try:
        documented = [_intervention(line, place, table, on) for place, line in enumerate(lines)]
        wanted = _discipline(discipline, documented, table)
    except ValueError as problem:
        return {"error": str(problem)}
    coded = code(_day(documented, wanted, on), policy=policy, codes=table, assistant_method=assistant_method)
    holding = [finding for finding in coded.findings if finding.holds and not (wanted is None and finding.code == "MD13")]
    if holding:
        return {"error": " ".join(f"{finding.code}: {finding.message}. {finding.fix}" for finding in holding)}
    return {
        "lines": [{"code": line.procedure, "units": line.units, "modifiers": list(line.modifiers)} for line in coded.lines],
        "acceptable": _acceptable(coded, documented),
        "because": _reasons(coded, wanted),
    }


def answer_json_line(
    text: str | bytes, policy: Policy, on: date, *, codes: CodeTable | None = None, assistant_method: str | None = None
) -> dict[str, Any]:
    """`units_answer` for one line of JSON: `{"lines": [...], "discipline": "PT"}`. Bad JSON is an `error` as well."""
    try:
        question = json.loads(text)
    except (ValueError, RecursionError) as problem:
        reason = problem.msg if isinstance(problem, json.JSONDecodeError) else "not text"
        return {"error": f'not JSON ({reason}); write {{"lines": [{{"code": "97110", "minutes": 33}}], "discipline": "PT"}}'}
    if not isinstance(question, dict) or not isinstance(question.get("lines"), list):
        return {"error": 'lines: missing; write {"lines": [{"code": "97110", "minutes": 33}], "discipline": "PT"}'}
    unknown = sorted(question.keys() - {"lines", "discipline"})
    if unknown:
        return {"error": f"{unknown[0]}: unknown key. Known keys: lines, discipline."}
    return units_answer(
        policy, question["lines"], question.get("discipline"), on, codes=codes, assistant_method=assistant_method
    )


def _intervention(line: Any, place: int, table: CodeTable, on: date) -> Intervention:
    if not isinstance(line, Mapping):
        raise ValueError(f"lines[{place}]: {type(line).__name__} where an object with code and minutes belongs")
    unknown = sorted(map(str, line.keys() - _KEYS))
    if unknown:
        raise ValueError(f"lines[{place}].{unknown[0]}: unknown key. Known keys: {', '.join(sorted(_KEYS))}.")
    name = line.get("code")
    row = table.get(name) if isinstance(name, str) else None
    if row is None:
        raise ValueError(f"lines[{place}].code: {name!r} is not in the code table; check the code")
    if not row.valid_on(on):
        raise ValueError(f"lines[{place}].code: {name} was not valid on {on}; use the code of that date")
    if line.get("timed", row.timed) is not row.timed:
        raise ValueError(f"lines[{place}].timed: {name} is {'' if row.timed else 'not '}a timed code; leave `timed` out")
    therapist, assistant = (_whole(line, key, place) for key in ("therapist_minutes", "assistant_minutes"))
    minutes = _whole(line, "minutes", place)
    if therapist is not None or assistant is not None:
        split = (therapist or 0) + (assistant or 0)
        if minutes is not None and (minutes < split or (None not in (therapist, assistant) and minutes != split)):
            raise ValueError(f"lines[{place}].minutes: {minutes} is not the sum of therapist and assistant minutes ({split})")
        if minutes is None:
            therapist, assistant, minutes = therapist or 0, assistant or 0, split
    return Intervention(
        line_key=str(place),
        documented=row.code,
        code=row.code,
        minutes=minutes,
        therapist_minutes=therapist,
        assistant_minutes=assistant,
        units_documented=_whole(line, "units", place),
    )


def _whole(line: Mapping[str, Any], key: str, place: int) -> int | None:
    value = line.get(key)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_MINUTES:
        raise ValueError(f"lines[{place}].{key}: {value!r}; write a whole number from 0 to {_MAX_MINUTES}")
    return value


def _discipline(word: Any, documented: Sequence[Intervention], table: CodeTable) -> Discipline | None:
    """The discipline as given; without one, that of an evaluation code which only one discipline may bill (CMS CR 10176)."""
    if word is not None:
        if not isinstance(word, str) or word not in Discipline.__members__:
            raise ValueError(f"discipline: {word!r} is not one of {', '.join(Discipline)}")
        return Discipline(word)
    rows = [table.get(line.code) for line in documented if line.code]
    named = {next(iter(row.disciplines)) for row in rows if row and row.evaluation and len(row.disciplines) == 1}
    return named.pop() if len(named) == 1 else None


def _day(documented: Sequence[Intervention], discipline: Discipline | None, on: date) -> TreatmentDay:
    patient = Patient(id="")
    visit = Visit(
        clinic="",
        source="",
        visit_id="line",
        status=VisitStatus.FINISHED,
        service_date=on,
        discipline=discipline,
        patient=patient,
        interventions=tuple(documented),
    )
    return TreatmentDay(
        clinic="", key="", patient_id="", discipline=discipline, service_date=on, billing_npi="", visits=(visit,)
    )


def _acceptable(coded: CodedDay, documented: Sequence[Intervention]) -> list[dict[str, int]]:
    ours = {line.procedure: 0 for line in coded.lines}
    for line in coded.lines:
        ours[line.procedure] += line.units
    answers = [dict(answer) for answer in coded.acceptable] or [ours]
    apart = {line.code: ours.get(line.code, 0) for line in documented if line.code and line.code not in answers[0]}
    return [answer | apart for answer in answers]


def _reasons(coded: CodedDay, discipline: Discipline | None) -> list[str]:
    reasons = [f"{line.procedure}: {why}" for line in coded.lines for why in line.because if why != NO_DIAGNOSIS]
    reasons += [f"{exclusion.procedure}: {exclusion.because}" for exclusion in coded.exclusions]
    reasons += coded.because
    reasons += [f"{finding.code}: {finding.message}" for finding in coded.findings if not finding.holds]
    if discipline is None:
        reasons.append("no discipline given -> no GP, GO, GN, CQ or CO")
    return list(dict.fromkeys(reasons))
