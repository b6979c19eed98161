"""A 500 KB page of 100 encounters, from bytes to priced and to edited charges, against `orjson.loads` of the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptbridge_sandbox.demo import CLINIC

from ptbridge.intake import group
from ptbridge.jobs.collector import rare_collections
from ptbridge.model import Finding, PricedDay, SourceRecord, TreatmentDay, Visit
from ptbridge.pipeline import Kit, charge, check, normalize
from ptbridge.wire.fhir_bundle import Entry, split_bundle
from ptbridge.wire.fhir_join import Visits, key_of, readable, source_record, travelling
from ptbridge.wire.fhir_plan import STANDARD_CHILDREN
from ptbridge.wire.fhir_references import Key, follow, reference_key
from ptbridge.wire.source_client import SourceClient
from tests.bench.clinic import clinic_folder, kit_of
from tests.bench.runner import Figure, Rounds, Settings, interleaved, page, parse_page

BASE_URL = "https://emr"
PRICED, EDITED = 5.0, 8.0  # times orjson.loads; issue 2
PARSE = "orjson.loads"

Priced = list[PricedDay]


def run(settings: Settings) -> list[Figure]:
    """The two promised ratios, then where the time goes, each stage in times orjson.loads."""
    with clinic_folder() as config:
        way = Way(kit_of(config))
    outputs = way.outputs()
    work: dict[str, Callable[[], object]] = {PARSE: parse_page, "priced": way.priced, "edited": way.edited}
    for name, stage in way.stages:
        work[name] = _again(stage, outputs[name])
    rounds = interleaved(settings.size(40, 2), work)
    with rare_collections():
        rare = interleaved(settings.size(20, 2), {name: work[name] for name in (PARSE, "priced")})
    charges = sum(len(priced.charges) for priced in way.priced())
    findings = sum(len(found) for _, found in way.edited())
    size = f"{len(page()):,} bytes, {charges} charges, {findings} findings"
    return [
        Figure(what="page to priced charges", value=rounds.times("priced", PARSE), unit="x", target=PRICED, note=size),
        Figure(what="page to priced and edited charges", value=rounds.times("edited", PARSE), unit="x", target=EDITED),
        Figure(what="orjson.loads of the page", value=rounds.seconds(PARSE) * 1000, unit="ms"),
        *(Figure(what=f"  stage {name}", value=rounds.times(name, PARSE), unit="x") for name, _ in way.stages),
        Figure(what="priced, collector as in a run", value=rare.times("priced", PARSE), unit="x", note=_rare(rare)),
    ]


def _rare(rounds: Rounds) -> str:
    return f"both are faster then: {rounds.seconds('priced') * 1000:.1f} against {rounds.seconds(PARSE) * 1000:.2f} ms"


def _again(stage: Callable[[Any], object], given: object) -> Callable[[], object]:
    return lambda: stage(given)


class Way:
    """The stages from a page's bytes to edited days, each from what the one before it made."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        # The join asks a server for nothing here: all that a walk would fetch for these encounters stands on the page.
        self.client = SourceClient(fhir=None, clinic=CLINIC, source="fhir_r4", time_zone=kit.time_zone)  # type: ignore[arg-type]
        self.stages: tuple[tuple[str, Callable[[Any], Any]], ...] = (
            ("split", self.split),
            ("join", self.join),
            ("records", self.records),
            ("normalize", self.normalize),
            ("group", self.group),
            ("charge", self.charge),
            ("edits", self.check),
        )

    def outputs(self) -> dict[str, Any]:
        """What each stage is given."""
        given: dict[str, Any] = {}
        made: Any = page()
        for name, stage in self.stages:
            given[name] = made
            made = stage(made)
        return given

    def priced(self) -> Priced:
        """From bytes to priced charges."""
        return self.charge(self.group(self.normalize(self.records(self.join(self.split(page()))))))

    def edited(self) -> list[tuple[PricedDay, list[Finding]]]:
        """From bytes to priced charges with every finding."""
        return self.check(self.priced())

    def split(self, content: bytes) -> tuple[Entry, ...]:
        bundle = split_bundle(content)
        assert bundle is not None and not bundle.warnings
        return bundle.entries

    def join(self, entries: tuple[Entry, ...]) -> Visits:
        """As `Gatherer.gather` does it, less the asking."""
        by_type: dict[str, list[Entry]] = {}
        everything: dict[Key, Entry] = {}
        for entry in entries:
            kind = entry.resource["resourceType"]
            if readable(entry, kind) is None:
                by_type.setdefault(kind, []).append(entry)
                everything[kind, entry.resource["id"]] = entry
        visits = Visits.of(by_type["Encounter"], self.kit.time_zone, BASE_URL)
        visits.admit({key: everything.get(key) for key in visits.patients.values() if key is not None})
        for child in STANDARD_CHILDREN:
            for entry in by_type.get(child.type, ()):
                visits.join(child, entry)
        self._add_coverages(visits, by_type["Coverage"])
        for identity, encounter in visits.encounters.items():
            members = visits.members[identity]
            for key in travelling([encounter, *members.values()], BASE_URL):
                if key not in members and key in everything:
                    members[key] = everything[key]
        return visits

    def _add_coverages(self, visits: Visits, coverages: list[Entry]) -> None:
        by_patient: dict[str, list[Entry]] = {}
        for entry in coverages:
            for beneficiary in follow(entry.resource, ("beneficiary",)):
                if (key := reference_key(beneficiary, "Patient", BASE_URL)) is not None:
                    by_patient.setdefault(key[1], []).append(entry)
        for identity, patient in visits.patients.items():
            for entry in by_patient.get(patient[1], ()) if patient is not None else ():
                visits.members[identity][key_of(entry)] = entry

    def records(self, visits: Visits) -> list[SourceRecord]:
        received_at = self.client.now()
        return [source_record(self.client, identity, visits.entries(identity), received_at) for identity in visits.encounters]

    def normalize(self, records: list[SourceRecord]) -> list[Visit]:
        return [normalize(record, self.kit) for record in records]

    def group(self, visits: list[Visit]) -> list[TreatmentDay]:
        return group(visits, clinic=CLINIC, billing_npi=self.kit.clinic.billing_provider.npi)

    def charge(self, days: list[TreatmentDay]) -> Priced:
        return [charge(day, self.kit) for day in days]

    def check(self, days: Priced) -> list[tuple[PricedDay, list[Finding]]]:
        return [(priced, check(priced, self.kit)) for priced in days]
