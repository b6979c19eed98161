"""Payer policies: settings chosen by name, each with its dates and its source, resolved for a service date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import resources
from pathlib import Path

from ptbridge.errors import ConfigError
from ptbridge.policy.coverage_lists import CoverageList, named_file, read_list
from ptbridge.policy.pairs import Pair, read_pair
from ptbridge.policy.visit_pools import VisitPool, pool_problem, read_pool
from ptbridge.specs.files import load_payer
from ptbridge.specs.payer import CHOICES, KEPT_FROM_PAYERS, PayerExample, PayerSpec, Setting, SettingEntry
from ptbridge.specs.yaml_text import load

MODIFIER_CLASSES = ("payment", "discipline", "information")
_NUMBERS = {
    "timely_filing_days": "days",
    "timely_filing_months": "months",
    "progress_report_days": "days",
    "late_signature_days": "days",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """A payer's settings on one service date, ready to use. None and empty mean *unset*: what needs it holds.

    `sources` cites each set setting by name.
    """

    payer: str
    counting_rule: str | None = None
    discipline_modifier: str | None = None  # required | accepted | none
    assistant_modifier: str | None = None  # cq_co | none
    assistant_method: str | None = None  # percentage | simple
    modifier_order: tuple[str, ...] = ()
    place_of_service: frozenset[str] | None = None
    timely_filing_days: int | None = None
    note_signature: str | None = None  # required | none
    referring_npi: str | None = None  # required | none
    bundled_codes: frozenset[str] = frozenset()
    invalid_codes: Mapping[str, str] = field(default_factory=dict)  # code -> what to do instead
    timely_filing_months: int | None = None
    plan_of_care: str | None = None  # hold | warn | none
    certification: str | None = None  # hold | warn | none
    progress_report: str | None = None  # hold | warn | none
    progress_report_days: int | None = None
    progress_report_counts_evaluation: str | None = None  # yes | no
    note_cosignature: str | None = None  # required | none
    late_signature_days: int | None = None
    referral: str | None = None  # required | none
    supervising_npi: str | None = None  # required | none
    authorization: str | None = None  # required | none
    visit_limits: tuple[VisitPool, ...] = ()
    covered_diagnoses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # code -> beginnings of diagnoses
    x_modifiers: str | None = None  # accepted | rejected
    accident_kind: str | None = None  # employment | auto | none
    kx: str | None = None  # propose | auto | none
    kx_amount_unknown: str | None = None  # hold | warn
    pair_modifier: str | None = None  # propose | auto | none
    pair_modifier_word: str | None = None  # 59 | XE | XP | XS | XU
    pair_modifier_on: str | None = None  # column_2 | column_1
    code_pairs: str | None = None  # medicare | medicaid | none
    own_pairs: tuple[Pair, ...] = ()
    abn_modifiers: str | None = None  # propose | auto | none
    statutory_codes: frozenset[str] = frozenset()
    denial_expected_codes: frozenset[str] = frozenset()
    telehealth_video: str | None = None  # 95 | GT | none
    telehealth_audio: str | None = None  # 93 | none
    exclude_visits: frozenset[str] = frozenset()  # of KEPT_FROM_PAYERS
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One payer's rules. `standing` is `complete`, or `starting_point`: to be checked against the contract."""

    name: str
    title: str
    standing: str
    settings: Mapping[str, tuple[SettingEntry, ...]]
    examples: tuple[PayerExample, ...] = ()
    lists: Mapping[str, CoverageList] = field(default_factory=dict, repr=False)  # of covered_diagnoses, by what `use` says
    _by_date: dict[date, Terms] = field(default_factory=dict, repr=False, compare=False)

    def setting(self, name: str, on: date) -> Setting | None:
        """The entry in force for a service date (both ends inclusive), or None when the setting is unset then."""
        for entry in self.settings.get(name, ()):
            if entry.from_ <= on and (entry.to is None or on <= entry.to):
                return Setting(use=entry.use, source=entry.source)
        return None

    def terms(self, on: date) -> Terms:
        """All settings in force on a service date. Remembered by date: a run touches few of them."""
        found = self._by_date.get(on)
        if found is None:
            found = self._by_date[on] = _terms(self, on)
        return found


def load_payers(folders: Sequence[Path]) -> dict[str, Policy]:
    """Every `*.yaml` payer policy of the folders by name; a later folder replaces a policy of the same name.

    A file's `extends` takes over the settings that it does not write itself (of the same name: those of the earlier
    folder). Raises ConfigError with file:line for overlapping dates of one setting, an unknown choice, two files of one
    name in a folder, and an `extends` that leads nowhere or in a circle.
    """
    policies: dict[str, Policy] = {}
    for folder in folders:
        specs: dict[str, tuple[Path, PayerSpec]] = {}
        lists: dict[Path, dict[str, CoverageList]] = {}
        for path in sorted(folder.glob("*.yaml")):
            spec = load_payer(path)
            _refuse_overlaps(path, spec)
            _refuse_unknown_choices(path, spec)
            lists[path] = _lists(path, spec)
            if spec.payer in specs:
                raise ConfigError(
                    f"payer: {spec.payer!r} is also the name in {specs[spec.payer][0].name}; rename one",
                    where=load(path).where("payer"),
                )
            specs[spec.payer] = path, spec
        earlier = dict(policies)
        for name in specs:
            policies[name] = _resolve(name, specs, earlier, lists, ())
    return policies


def shipped_payers() -> dict[str, Policy]:
    """The policies that ptbridge ships."""
    with resources.as_file(resources.files("ptbridge_mappings") / "payers") as folder:
        return load_payers([folder])


def _resolve(
    name: str,
    specs: Mapping[str, tuple[Path, PayerSpec]],
    earlier: Mapping[str, Policy],
    lists: Mapping[Path, dict[str, CoverageList]],
    through: tuple[str, ...],
) -> Policy:
    path, spec = specs[name]
    settings: dict[str, tuple[SettingEntry, ...]] = {}
    known_lists: dict[str, CoverageList] = {}
    if spec.extends is not None:
        if spec.extends in through:
            raise ConfigError(f"extends: {' -> '.join((*through, name, spec.extends))} is a circle; break it", where=_at(path))
        if spec.extends != name and spec.extends in specs:
            base = _resolve(spec.extends, specs, earlier, lists, (*through, name))
        elif spec.extends in earlier:
            base = earlier[spec.extends]
        else:
            known = ", ".join(sorted({*specs, *earlier} - {name}))
            raise ConfigError(f"extends: no payer {spec.extends!r}. Known payers: {known}.", where=_at(path))
        settings |= base.settings
        known_lists |= base.lists
    return Policy(
        name=name,
        title=spec.title,
        standing=spec.standing,
        settings=settings | spec.settings,
        examples=spec.examples,
        lists=known_lists | lists[path],
    )


def _lists(path: Path, spec: PayerSpec) -> dict[str, CoverageList]:
    """The coverage lists that the file names, read from beside it."""
    uses = [entry.use for entry in spec.settings.get("covered_diagnoses", ())]
    return {use: read_list(path.parent / named) for use in uses if (named := named_file(use)) is not None}


def _covered(policy: Policy, use: str | None) -> CoverageList:
    """Covered diagnoses by procedure, from the named list or from the setting itself."""
    if use is not None and use in policy.lists:
        return policy.lists[use]
    return {first: tuple(rest) for first, *rest in map(str.split, _words(use or ""))}


def _at(path: Path) -> str:
    return load(path).where("extends")


def _refuse_overlaps(path: Path, spec: PayerSpec) -> None:
    for name, entries in spec.settings.items():
        for index, entry in enumerate(entries):
            for other, later in enumerate(entries[index + 1 :], index + 1):
                if (entry.to is None or later.from_ <= entry.to) and (later.to is None or entry.from_ <= later.to):
                    document = load(path)
                    raise ConfigError(
                        f"settings.{name}: {later.use!r} from {later.from_} overlaps {entry.use!r} from {entry.from_} on line"
                        f" {document.line('settings', name, index)}; end the older one the day before",
                        where=document.where("settings", name, other),
                    )


def _refuse_unknown_choices(path: Path, spec: PayerSpec) -> None:
    for name, entries in spec.settings.items():
        for index, entry in enumerate(entries):
            if problem := _problem(name, entry.use):
                raise ConfigError(f"settings.{name}: {problem}", where=load(path).where("settings", name, index, "use"))


def _problem(name: str, use: str) -> str | None:
    if name in CHOICES and use not in CHOICES[name]:
        return f"{use!r} is not one of {', '.join(CHOICES[name])}"
    if name == "modifier_order" and sorted(_words(use)) != sorted(MODIFIER_CLASSES):
        return f"{use!r} must name {', '.join(MODIFIER_CLASSES)}, each once"
    if name in _NUMBERS and not use.isdecimal():
        return f"{use!r} is not a number of {_NUMBERS[name]}"
    if name == "exclude_visits" and (strange := sorted(set(_words(use)) - set(KEPT_FROM_PAYERS))):
        return f"{strange[0]!r} is not one of {', '.join(KEPT_FROM_PAYERS)}"
    if name == "visit_limits":
        return next((problem for word in _words(use) if (problem := pool_problem(word))), None)
    if name == "own_pairs":
        return next((problem for item in _words(use) if (problem := _pair_problem(item))), None)
    if name == "covered_diagnoses" and named_file(use) is None and any(len(item.split()) < 2 for item in _words(use)):
        return f"{use!r} needs the beginnings of diagnoses after each code, such as `G0283 M17 M25.5`"
    if name == "invalid_codes" and any(len(item.split(maxsplit=1)) != 2 for item in _words(use)):
        return f"{use!r} needs what to do after each code, such as `97014 report G0283 instead`"
    return None


def _pair_problem(written: str) -> str | None:
    try:
        read_pair(written, "")
    except ValueError as problem:
        return str(problem)
    return None


def _words(use: str) -> list[str]:
    return [word.strip() for word in use.split(",") if word.strip()]


def _terms(policy: Policy, on: date) -> Terms:
    found = {name: setting for name in policy.settings if (setting := policy.setting(name, on)) is not None}

    def use(name: str) -> str | None:
        return found[name].use if name in found else None

    def words(name: str) -> Iterable[str]:
        return _words(use(name) or "")

    def number(name: str) -> int | None:
        return int(found[name].use) if name in found else None

    return Terms(
        payer=policy.name,
        counting_rule=use("counting_rule"),
        discipline_modifier=use("discipline_modifier"),
        assistant_modifier=use("assistant_modifier"),
        assistant_method=use("assistant_method"),
        modifier_order=tuple(words("modifier_order")),
        place_of_service=frozenset(words("place_of_service")) if "place_of_service" in found else None,
        timely_filing_days=number("timely_filing_days"),
        note_signature=use("note_signature"),
        referring_npi=use("referring_npi"),
        bundled_codes=frozenset(words("bundled_codes")),
        invalid_codes={item.split(maxsplit=1)[0]: item.split(maxsplit=1)[1] for item in words("invalid_codes")},
        timely_filing_months=number("timely_filing_months"),
        plan_of_care=use("plan_of_care"),
        certification=use("certification"),
        progress_report=use("progress_report"),
        progress_report_days=number("progress_report_days"),
        progress_report_counts_evaluation=use("progress_report_counts_evaluation"),
        note_cosignature=use("note_cosignature"),
        late_signature_days=number("late_signature_days"),
        referral=use("referral"),
        supervising_npi=use("supervising_npi"),
        authorization=use("authorization"),
        visit_limits=tuple(map(read_pool, words("visit_limits"))),
        covered_diagnoses=_covered(policy, use("covered_diagnoses")),
        x_modifiers=use("x_modifiers"),
        accident_kind=use("accident_kind"),
        kx=use("kx"),
        kx_amount_unknown=use("kx_amount_unknown"),
        pair_modifier=use("pair_modifier"),
        pair_modifier_word=use("pair_modifier_word"),
        pair_modifier_on=use("pair_modifier_on"),
        code_pairs=use("code_pairs"),
        own_pairs=tuple(read_pair(item, found["own_pairs"].source) for item in words("own_pairs")),
        abn_modifiers=use("abn_modifiers"),
        statutory_codes=frozenset(words("statutory_codes")),
        denial_expected_codes=frozenset(words("denial_expected_codes")),
        telehealth_video=use("telehealth_video"),
        telehealth_audio=use("telehealth_audio"),
        exclude_visits=frozenset(words("exclude_visits")),
        sources={name: setting.source for name, setting in found.items()},
    )
