"""How long a person waits for `ptbridge --help`: the whole process, beside a Python that does nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.runner import Figure, Settings, interleaved

HELP_SECONDS = 0.3  # issue 2


def run(settings: Settings) -> list[Figure]:
    """Median wall seconds of the installed command."""
    command = str(Path(sys.executable).with_name("ptbridge"))
    work: dict[str, Callable[[], object]] = {
        "help": lambda: _run(command, "--help"),
        "python": lambda: _run(sys.executable, "-c", "pass"),
    }
    rounds = interleaved(settings.size(21, 2), work, time.perf_counter)
    note = f"{rounds.times('help', 'python'):.1f} times `python -c pass` ({rounds.seconds('python'):.3f} s)"
    return [Figure(what="ptbridge --help", value=rounds.seconds("help"), unit="s", target=HELP_SECONDS, note=note)]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
