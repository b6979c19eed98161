"""Do the tests notice a wrong rule? `python -m tests.mutate coding policy`: small wrong changes, each put to the tests.

No file is changed. The tests are collected once; each mutant is a fork of that process in which one function's code is
swapped, and the tests that run its lines (those that found mutants of the function before go first) run until one fails. A
change that takes effect on import, or whose lines run while tests are collected, gets a process that imports everything afresh.
A mutant that all tests pass is a survivor: it needs a test, or a line in `mutation_survivors.json` that says why none can fail.
Names of mutants hold no line numbers. `--sample` and `--seed` repeat the same choice. Exit code 1: a survivor without a reason,
or, in a whole run, a reason without a survivor.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

import hypothesis
import pytest

from tests.mutants import Mutant, mutants_of, mutated

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ptbridge"
REASONS = Path(__file__).with_name("mutation_survivors.json")
_RULES = (
    "tests/unit/coding",
    "tests/unit/policy",
    "tests/unit/reference",
    "tests/cases",
    "tests/properties/test_units.py",
    "tests/contract/test_edits.py",
)
_DELIVERY = ("tests/unit/delivery", "tests/unit/test_plan.py", "tests/unit/test_plan_noticed.py")
TESTS = {  # quick ones only: a mutant takes seconds
    "coding": _RULES,
    "policy": _RULES,
    "delivery": _DELIVERY,
    "plan.py": _DELIVERY,
    "routes.py": _DELIVERY,
    "ledger": ("tests/unit/ledger",),
}
LEFT_OUT = (
    "generated_pages",
    "left_over_page",
)  # they compare whole pages of the docs and would hide what a rule's own test misses
MOST_SECONDS = 60  # of CPU, for one mutant: what runs longer counts as noticed, however busy the machine is
LEAST_SECONDS = 5  # of CPU, beside what its tests took while they were traced: what never ends is not waited for longer
MOST_WAITED = 900  # seconds on the clock: for one that sleeps
LEAST_WAITED = 60  # beside twenty times what its tests took: a busy machine is slow, and what waits for ever is not waited for
MOST_BYTES = 3 << 30
_QUIET = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]


def main() -> int:
    """Run and report; the exit code."""
    asked = _arguments()
    mutants = list(_listed(asked.packages, asked.only))
    if asked.again:
        left = {text for line in asked.again.read_text(encoding="utf-8").splitlines() if (text := _survivor_in(line))}
        mutants = [one for one in mutants if one.name in left]
    if asked.sample and asked.sample < len(mutants):
        mutants = sorted(random.Random(asked.seed).sample(mutants, asked.sample), key=lambda one: (one.path, one.place))
    if asked.list:
        print(*(f"{_at(one)}  {one.name}" for one in mutants), sep="\n")
        return 0
    if not mutants:
        raise SystemExit("there is no such change")
    began = time.monotonic()
    survivors, asked_in = run(mutants, asked.jobs, asked.log)
    whole = not (asked.sample or asked.only or asked.again)
    code = _report(mutants, survivors, asked.packages if whole else ())
    print(
        f"{time.monotonic() - began:.0f} s; {asked_in['warm']} in forks, {asked_in['cold']} imported afresh; seed {asked.seed}"
    )
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("packages", nargs="+", metavar="PACKAGE", help="a folder or file under src/ptbridge, such as coding")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--jobs", type=int, default=1, metavar="J")
    parser.add_argument("--only", default="", metavar="TEXT", help="mutants whose name contains this text")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append each answer to this file as it comes")
    parser.add_argument("--again", type=Path, metavar="FILE", help="those only that survive in this log")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    return parser.parse_args()


def tests_of(file: str) -> tuple[str, ...]:
    """The tests that a file under src/ptbridge is put to. SystemExit for one that has none here."""
    found = TESTS.get(file.split("/")[0])
    if found is None:
        raise SystemExit(f"no tests are named for {file}; add them to TESTS in tests/mutate.py")
    return found


def _tests_of(mutant: Mutant) -> tuple[str, ...]:
    return tests_of(mutant.path.relative_to(SOURCE).as_posix())


def _listed(packages: Sequence[str], only: str) -> Iterator[Mutant]:
    for package in packages:
        place = SOURCE / package
        for path in [place] if place.suffix == ".py" else sorted(place.rglob("*.py")):
            yield from (one for one in mutants_of(path, path.relative_to(SOURCE).as_posix()) if only in one.name)


def _at(mutant: Mutant) -> str:
    return f"{mutant.path.relative_to(ROOT)}:{mutant.line}"


def _report(mutants: Sequence[Mutant], survivors: Sequence[Mutant], whole: Sequence[str]) -> int:
    reasons: dict[str, str] = json.loads(REASONS.read_text(encoding="utf-8")) if REASONS.exists() else {}
    for one in survivors:
        print(f"{_at(one)}  {one.name}\n    {reasons.get(one.name, 'NO REASON: write a test, or say why none can fail')}")
    unexplained = [one for one in survivors if one.name not in reasons]
    left = {one.name for one in survivors}
    stale = [name for name in reasons if name not in left and any(_is_of(name, package) for package in whole)]
    for name in stale:
        print(f"no survivor any more, take its reason out: {name}")
    noticed = len(mutants) - len(survivors)
    print(f"{len(mutants)} mutants: {noticed} noticed, {len(survivors)} survive, {len(unexplained)} of them without a reason")
    return 1 if unexplained or stale else 0


def _is_of(name: str, package: str) -> bool:
    """Whether the mutant of this name lies in this folder or file."""
    return name.split(" ")[0] == package or name.startswith(f"{package}/")


# ---------------------------------------------------------------- running


def run(mutants: Sequence[Mutant], jobs: int, log: Path | None) -> tuple[list[Mutant], Counter[str]]:
    """The survivors, and how many mutants were asked in each way."""
    tests = tuple(dict.fromkeys(test for mutant in mutants for test in _tests_of(mutant)))
    with tempfile.TemporaryDirectory(prefix="ptbridge-mutate-") as folder:
        answers = Path(folder) / "answers.json"
        pid = os.fork()
        if not pid:
            _silently(lambda: _warm(mutants, jobs, Path(folder), answers, log, tests))
        if os.waitpid(pid, 0)[1]:
            raise SystemExit("the tests do not pass as they are, or the collecting process ended early; run them first")
        survived, cold, others, nearest = json.loads(answers.read_text())
        for name in others:  # what is not ours is imported once
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        found = [mutants[place] for place in survived]

        def ask(place: int) -> str:
            return _cold(mutants[place], Path(folder), nearest.get(str(mutants[place].path), ()))

        for place, noticed in _in_forks(cold, jobs, ask):
            _log(log, mutants[place], noticed)
            if not noticed:
                found.append(mutants[place])
    ways = Counter(cold=len(cold), warm=len(mutants) - len(cold))
    return sorted(found, key=lambda one: (one.path, one.place)), ways


def _silently(work: Callable[[], Any]) -> None:
    """Do this in the forked process and end it; what pytest prints goes nowhere."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    if not os.environ.get("PTBRIDGE_MUTATE_LOUD"):
        os.dup2(silence, 2)
    code = 1
    try:
        code = int(work() or 0)
    finally:
        os._exit(code)


def _in_forks(places: Iterable[int], jobs: int, ask: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """Each question in a fork of its own; its answer is the test that noticed, empty for none. What never ends was noticed."""
    waiting = iter(places)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for place in waiting:
            inlet, outlet = os.pipe()
            pid = os.fork()
            if not pid:
                signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
                signal.alarm(MOST_WAITED)
                resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
                _silently(lambda place=place, outlet=outlet: os.write(outlet, ask(place).encode()) * 0)  # type: ignore[misc]
            os.close(outlet)
            running[pid] = place, inlet
            if len(running) >= jobs:
                break
        if not running:
            return
        pid, status = os.wait()
        place, inlet = running.pop(pid)
        with os.fdopen(inlet, "rb") as said:
            answer = said.read().decode()
        yield place, answer or ("ended early" if status else "")


# ---------------------------------------------------------------- one collected session, a fork for each mutant


def _warm(mutants: Sequence[Mutant], jobs: int, folder: Path, answers: Path, log: Path | None, tests: Sequence[str]) -> int:
    hypothesis.settings.register_profile("mutate", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutate")
    session = _Session(mutants, jobs, answers, log)
    session.lines.start()
    code = pytest.main([*_QUIET, f"--basetemp={folder / 'tests'}", *tests], plugins=[session])
    return 0 if session.done and code in (0, 5) else 1


class _Session:
    """A pytest plugin: in place of running the collected tests once, runs them for each mutant in a fork."""

    def __init__(self, mutants: Sequence[Mutant], jobs: int, answers: Path, log: Path | None) -> None:
        self.mutants, self.jobs, self.answers, self.log = mutants, jobs, answers, log
        self.lines = _Lines()
        self.failed = ""
        self.done = False
        self.items: list[pytest.Item] = []
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = [item for item in session.items if not any(word in item.name for word in LEFT_OUT)]
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined] # made once, shared by every fork
        functions = _functions()
        gc.collect()
        gc.freeze()
        lines, failed = self._baseline()
        sys.settrace(None)
        if failed:
            return True
        by_item = {item.nodeid: item for item in self.items}
        tests: list[list[str]] = []
        cold: list[int] = []
        for place, mutant in enumerate(self.mutants):
            ran = [lines.get(str(mutant.path), {}).get(line, ()) for line in range(mutant.line, mutant.end_line + 1)]
            found = {name for names in ran for name in names if not name or name.startswith(_tests_of(mutant))}
            if not mutant.function or "" in found or (mutant.path, mutant.function) not in functions:
                cold.append(place)
            tests.append(sorted(found - {""}, key=lambda name: (self.seconds[name], name)))
        killers: dict[tuple[Path, str], Counter[str]] = defaultdict(Counter)

        def ask(place: int) -> str:
            mutant = self.mutants[place]
            took = sum(self.seconds[name] for name in tests[place])
            signal.setitimer(signal.ITIMER_PROF, min(LEAST_SECONDS + took, MOST_SECONDS))
            signal.alarm(min(LEAST_WAITED + int(20 * took), MOST_WAITED))
            best = [name for name, _ in killers[mutant.path, mutant.function].most_common(8) if name in set(tests[place])]
            _swap(mutant, functions[mutant.path, mutant.function])
            return self._first_failure([by_item[name] for name in dict.fromkeys((*best, *tests[place]))])

        survived: list[int] = []
        warm = [place for place in range(len(self.mutants)) if place not in set(cold)]
        for place, noticed_by in _in_forks(warm, self.jobs, ask):
            if noticed_by:
                killers[self.mutants[place].path, self.mutants[place].function][noticed_by] += 1
            else:
                survived.append(place)
            _log(self.log, self.mutants[place], noticed_by)
        others = [name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")]
        nearest = {file: sorted({name for names in ran.values() for name in names}) for file, ran in lines.items()}
        self.answers.write_text(json.dumps([survived, cold, others, nearest]))
        self.done = True
        return True

    def _first_failure(self, items: Sequence[pytest.Item]) -> str:
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                return self.failed
        return ""

    def _baseline(self) -> tuple[dict[str, dict[int, list[str]]], str]:
        """Each test once, in a fork of its own, so that no cache of an earlier test hides what a later one rests on.

        Which tests run each line of each file, under "" what ran before them; and the first test that fails.
        """
        lines: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for path, line in self.lines.seen:
            lines[path][line].append("")
        self.lines.seen.clear()
        for item in self.items:
            inlet, outlet = os.pipe()
            pid = os.fork()
            if not pid:
                os.close(inlet)
                with os.fdopen(outlet, "w") as out:
                    json.dump(self._measured(item), out)
                os._exit(0)
            os.close(outlet)
            with os.fdopen(inlet) as said:
                seen, self.seconds[item.nodeid], failed = json.load(said)
            os.waitpid(pid, 0)
            if failed:
                return {}, failed
            for path, line in seen:
                lines[path][line].append(item.nodeid)
        return lines, ""

    def _measured(self, item: pytest.Item) -> tuple[list[tuple[str, int]], float, str]:
        began = time.perf_counter()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        return sorted(self.lines.seen), time.perf_counter() - began, self.failed


class _Lines:
    """Notes the lines of our own files that run."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, int]] = set()

    def start(self) -> None:
        sys.settrace(self._called)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return self._ran if frame.f_code.co_filename.startswith(str(SOURCE)) else None

    def _ran(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        if event == "line":
            self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._ran


def _log(file: Path | None, mutant: Mutant, noticed_by: str) -> None:
    """One line as soon as a mutant's answer is known: a whole run takes half an hour."""
    if file is not None:
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{'noticed' if noticed_by else 'survives'}\t{_at(mutant)}\t{mutant.name}\t{noticed_by}\n")


def _survivor_in(line: str) -> str:
    """The name of the mutant that survives in a line of the log; empty when it was noticed."""
    answer, _, name, _ = line.split("\t")
    return name if answer == "survives" else ""


def _functions() -> dict[tuple[Path, str], list[FunctionType]]:
    found: dict[tuple[Path, str], list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(str(SOURCE)):
            found[Path(one.__code__.co_filename), one.__code__.co_qualname].append(one)
    return dict(found)


def _swap(mutant: Mutant, functions: Sequence[FunctionType]) -> None:
    wanted = next(code for code in _codes(_compiled(mutant)) if code.co_qualname == mutant.function)
    for function in functions:
        function.__code__ = wanted


def _compiled(mutant: Mutant) -> CodeType:
    return compile(mutated(mutant), str(mutant.path), "exec")


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)


# ---------------------------------------------------------------- everything imported afresh


class _Finder(importlib.abc.MetaPathFinder):
    """Finds one module, with the mutant's code in place of the file's."""

    def __init__(self, mutant: Mutant) -> None:
        parts = mutant.path.relative_to(SOURCE.parent).with_suffix("").parts
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        self.mutant = mutant

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(name, self.mutant.path, loader=_Loader(name, self.mutant))


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, mutant: Mutant) -> None:
        super().__init__(name, str(mutant.path))
        self.mutant = mutant

    def get_code(self, name: str) -> CodeType:
        return _compiled(self.mutant)


class _Order:
    """A pytest plugin: first the tests that run lines of the changed file."""

    def __init__(self, nearest: Sequence[str]) -> None:
        self.nearest = set(nearest)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if not any(word in item.name for word in LEFT_OUT)]
        items[:] = sorted(kept, key=lambda item: item.nodeid not in self.nearest)


def _cold(mutant: Mutant, folder: Path, nearest: Sequence[str]) -> str:
    assert not any(name == "ptbridge" or name.startswith("ptbridge.") for name in sys.modules)
    hypothesis.settings.register_profile("mutate", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutate")
    sys.meta_path.insert(0, _Finder(mutant))
    temporary = folder / f"cold-{os.getpid()}"
    code = pytest.main([*_QUIET, "-x", f"--basetemp={temporary}", *_tests_of(mutant)], plugins=[_Order(nearest)])
    shutil.rmtree(temporary, ignore_errors=True)
    return "a test" if code else ""


if __name__ == "__main__":
    sys.exit(main())
