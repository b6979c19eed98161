"""What a documented service means: a procedure code as it stands, an entry of the mapping, or nothing that anyone knows."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ptbridge.intake.fields import Reading, codings, words
from ptbridge.specs.mapping import LookupEntry, LookupTable, LookupValue, Mapping, When, texts

_PROCEDURE = re.compile(r"[A-Z0-9]{5}")  # CPT and HCPCS Level II; whether it is valid is the code table's to say


class Service(NamedTuple):
    """A documented word and what it means. `problem` is an MP code when it means nothing billable by itself."""

    documented: str
    code: str | None = None
    modifiers: tuple[str, ...] = ()
    not_billable: str = ""
    problem: str = ""
    message: str = ""
    fix: str = ""


class ServiceTable:
    """Reads services; words without conditions are worked out once and remembered for the run."""

    def __init__(self, mapping: Mapping, table_name: str | None) -> None:
        self._mapping = mapping
        self._name = table_name or "services"
        self._table: LookupTable = mapping.spec.lookups.get(self._name, {})
        self._systems = frozenset(mapping.spec.code_systems.procedure)
        self._known: dict[tuple[Any, Any], Service] = {}

    def read(self, raw: Any, reading: Reading) -> Service:
        """The meaning of a CodeableConcept, Coding or text. The reading's `facts` are for `when`."""
        key = _simple_key(raw)
        known = self._known.get(key) if key else None
        if known is None:
            known, lasting = self._work_out(raw, reading.facts)
            if key and lasting:
                if len(self._known) > 20_000:  # free text as codes must not grow without end
                    self._known.clear()
                self._known[key] = known
        if known.problem:
            reading.report(known.problem, known.message, where="interventions.code", fix=known.fix)
        return known

    def code_of(self, raw: Any) -> str | None:
        """The procedure code of a service, without reporting anything."""
        return self._work_out(raw, lambda _name: None)[0].code

    def _work_out(self, raw: Any, facts: Callable[[str], str | None]) -> tuple[Service, bool]:
        """The service, and whether it is the same for every visit."""
        spelled = words(raw)
        for word in spelled:
            value = self._table.get(word)
            if value is not None:
                return self._entry(spelled[0], word, value, facts)
        return self._as_it_stands(raw, spelled), True

    def _as_it_stands(self, raw: Any, spelled: list[str]) -> Service:
        standing = list(dict.fromkeys(code for system, code in codings(raw) if system in self._systems))
        documented = spelled[0] if spelled else ""
        if len(standing) > 1:
            return Service(documented, problem="MP21", message=f"one line names {', '.join(standing)}")
        if standing and _PROCEDURE.fullmatch(standing[0]):
            return Service(documented, standing[0])
        if standing:
            return Service(documented, problem="MP03", message=f"interventions.code: {standing[0]!r} is not a procedure code")
        if not documented:
            return Service("", problem="MP02", message="interventions.code is absent: the line says no service")
        shown = documented if len(documented) <= 80 else documented[:77] + "…"
        place = f"lookups.{self._name} in {self._mapping.place_to_edit}"
        fix = f"Add it under {place}, as {shown!r}: a procedure code, not-billable, or hold."
        return Service(documented, problem="MP01", message=f"{shown!r} has no entry in the mapping", fix=fix)

    def _entry(
        self, documented: str, word: str, value: LookupValue, facts: Callable[[str], str | None]
    ) -> tuple[Service, bool]:
        where = self._mapping.where("lookups", self._name, word)
        if isinstance(value, str):
            return _meaning(documented, _from_word(value), where), True
        entries = value if isinstance(value, tuple) else (value,)
        for entry in entries:
            if _applies(entry.when, facts):
                return _meaning(documented, entry, where), not any(other.when for other in entries)
        message = f"no entry for {word!r} applies to this visit ({where})"
        return Service(documented, problem="MP12", message=message, fix="Add an entry whose `when` covers it."), False


def _from_word(value: str) -> LookupEntry:
    if value == "not-billable":
        return LookupEntry(not_billable=True)
    if value == "hold":
        return LookupEntry(hold=())
    return LookupEntry(code=value)


def _meaning(documented: str, entry: LookupEntry, where: str) -> Service:
    because = f": {entry.because}" if entry.because else ""
    if entry.not_billable:
        return Service(
            documented, not_billable=where, problem="MP15", message=f"{documented!r} is not billable ({where}){because}"
        )
    if entry.code is not None:
        return Service(documented, entry.code, entry.modifiers)
    candidates = f"; candidates: {', '.join(entry.hold)}" if entry.hold else ""
    return Service(documented, problem="MP12", message=f"{documented!r} is left to a coder ({where}){candidates}{because}")


def _applies(when: When, facts: Callable[[str], str | None]) -> bool:
    return all(facts(name) in texts(allowed) for name, allowed in when.items())


def _simple_key(raw: Any) -> tuple[Any, Any] | None:
    """A key for the usual shape, one coding; other shapes are worked out each time."""
    if raw.__class__ is dict:
        entries = raw.get("coding")
        if entries.__class__ is list and len(entries) == 1 and entries[0].__class__ is dict:
            system, code = entries[0].get("system"), entries[0].get("code")
            if code.__class__ is str and (system is None or system.__class__ is str):
                # The concept's own text can carry an entry too, when its coding has none.
                return (system, code) if raw.get("text") is None else (system, f"{code}\n{raw['text']}")
    return None
