"""The power goes, and comes back: everything that was acknowledged to anybody is still there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ptbridge_sandbox.biller_faults import Faults

from tests.chaos.ground import HANGS_SECONDS, Ground, Skipped, waited


def power_cut(ground: Ground) -> None:
    """A state folder on a file system that forgets what was not fsynced; the power is cut in the middle of runs."""
    why = missing()
    if why:
        raise Skipped(why)
    state, real = ground.world.folder / "state", ground.folder / "disk"
    state.mkdir(mode=0o700, exist_ok=True)
    real.mkdir()
    for _ in range(3):
        ground.world.biller.faults = Faults(answer_delay_seconds=0.02, lose_answer=0.05, seed=ground.dice.getrandbits(30))
        with mounted(real, state, ground.dice.getrandbits(30)) as disk, ground.start("sync") as process:
            moment = ground.some_moment(process)
            process.send_signal(signal.SIGSTOP)  # a machine without power does nothing more
            disk.send_signal(signal.SIGUSR1)
            disk.wait()
            process.kill()
            ground.note(f"the power went {moment}")
        ground.edit(2)
    state.rmdir()
    shutil.copytree(real, state)
    state.chmod(0o700)


def missing() -> str:
    """What this machine lacks for it; empty when nothing."""
    if not os.path.exists("/dev/fuse") or shutil.which("fusermount3") is None:
        return "needs FUSE: install it (Debian: apt-get install fuse3) on a machine with /dev/fuse"
    if importlib.util.find_spec("mfusepy") is None:
        return "needs the package mfusepy, which the extra `dev` installs"
    return ""


@contextmanager
def mounted(real: Path, mount: Path, seed: int) -> Iterator[subprocess.Popen[bytes]]:
    """The forgetful disk at `mount`, keeping what is synced in `real`."""
    words = [sys.executable, "-m", "tests.chaos.forgetful_disk", str(real), str(mount), str(seed)]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]) as disk:
        waited(lambda: os.path.ismount(mount) or disk.poll() is not None, HANGS_SECONDS)
        try:
            if not os.path.ismount(mount):
                raise Skipped("this machine lets nobody mount a FUSE file system (in a container: --device /dev/fuse)")
            yield disk
        finally:
            disk.kill()
            disk.wait()
            subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False, capture_output=True)
