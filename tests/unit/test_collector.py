import gc
import weakref

import pytest

from ptbridge.jobs.collector import RARE, rare_collections
from ptbridge.jobs.listen import listen
from tests.bench.hl7_clinic import hl7_folder


class Knot:
    def __init__(self) -> None:
        self.self = self


def test_rare_inside_and_as_before_outside_also_after_a_failure() -> None:
    before = gc.get_threshold()
    with pytest.raises(ZeroDivisionError), rare_collections():
        assert gc.get_threshold() == RARE and gc.get_freeze_count() > 0
        _ = 1 / 0
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_cycles_are_still_collected_inside() -> None:
    with rare_collections():
        ends = [weakref.ref(Knot()) for _ in range(4 * RARE[0])]
        assert sum(end() is not None for end in ends) < RARE[0] * 2


def test_a_listener_looks_rarely_too():
    """A look through everything that was imported would let all senders wait."""
    told = []

    def ready(listening):
        told.append((len(listening), gc.get_threshold(), gc.get_freeze_count() > 0))
        raise ZeroDivisionError

    before = gc.get_threshold()
    with hl7_folder() as config, pytest.raises(ZeroDivisionError):
        listen(config, ready=ready)
    assert told == [(1, RARE, True)] and gc.get_threshold() == before
