"""How long one waits for `ptbridge --help` and for a listener: whole processes, beside a Python that does nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.hl7_acks import listening
from tests.bench.hl7_clinic import hl7_folder
from tests.bench.runner import Figure, Settings, interleaved

HELP_SECONDS = 0.3  # issue 2
READY_SECONDS = 1.0  # delivery contract, target figures: with an empty state


def run(settings: Settings) -> list[Figure]:
    """Median wall seconds of the installed command, and of a listener from its start to its ready line."""
    command = str(Path(sys.executable).with_name("ptbridge"))
    work: dict[str, Callable[[], object]] = {
        "help": lambda: _run(command, "--help"),
        "python": lambda: _run(sys.executable, "-c", "pass"),
    }
    rounds = interleaved(settings.size(21, 2), work, time.perf_counter)
    note = f"{rounds.times('help', 'python'):.1f} times `python -c pass` ({rounds.seconds('python'):.3f} s)"
    return [
        Figure(what="ptbridge --help", value=rounds.seconds("help"), unit="s", target=HELP_SECONDS, note=note),
        _listener(settings),
    ]


def _listener(settings: Settings) -> Figure:
    rounds = settings.size(11, 2)
    with hl7_folder() as config:
        waits, pythons = [], []
        for _ in range(rounds):
            shutil.rmtree(config.state, ignore_errors=True)
            begun = time.perf_counter()
            with listening(config):
                waits.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            _run(sys.executable, "-c", "pass")
            pythons.append(time.perf_counter() - begun)
    times = median(wait / python for wait, python in zip(waits, pythons, strict=True))
    note = f"{times:.1f} times `python -c pass` ({median(pythons):.3f} s)"
    return Figure(
        what="ptbridge listen, empty state: until ready", value=median(waits), unit="s", target=READY_SECONDS, note=note
    )


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
