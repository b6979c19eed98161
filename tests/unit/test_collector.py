import gc
import weakref

import pytest

from ptbridge.jobs.collector import RARE, rare_collections


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
