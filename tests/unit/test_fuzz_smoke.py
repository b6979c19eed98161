"""The fuzzer in short: its cases hold, a planted fault is found, and one integer brings it back. Nothing looks at a clock."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from ptbridge.wire.hl7_batch import Batch, split_batch
from tests.fuzz import targets
from tests.fuzz.__main__ import fuzz, main, run_case
from tests.fuzz.mutations import messages, mutated
from tests.fuzz.scaling import INPUTS

ENOUGH_SECONDS = 600.0


def test_the_first_cases_hold_for_every_target() -> None:
    ran, failed = fuzz(0, ENOUGH_SECONDS, most=150)
    assert failed == [] and set(ran) == set(targets.TARGETS) and ran.total() == 150


def test_a_lost_byte_is_found_and_comes_back_from_its_case(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def losing(raw: bytes) -> Batch:
        found = split_batch(raw)
        return replace(found, messages=tuple(replace(one, raw=one.raw[:3] + one.raw[4:]) for one in found.messages))

    monkeypatch.setattr(targets, "split_batch", losing)
    _, failed = fuzz(0, ENOUGH_SECONDS, ["batch"], most=60)
    assert failed
    assert f"--replay {failed[0]}" in capsys.readouterr().err
    with pytest.raises(targets.Broken):
        run_case(failed[0])
    monkeypatch.undo()
    assert main(["--replay", str(failed[0])]) == 0


def test_an_undocumented_exception_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def raising(raw: bytes) -> None:
        raise KeyError(len(raw))

    monkeypatch.setattr(targets, "split_bundle", raising)
    assert fuzz(0, ENOUGH_SECONDS, ["bundles"], most=40)[1]
    assert "KeyError" in capsys.readouterr().err


def test_the_same_integer_gives_the_same_input_and_others_differ() -> None:
    raw = messages()[0]
    assert [mutated(raw, Random(seed)) for seed in range(20)] == [mutated(raw, Random(seed)) for seed in range(20)]
    assert len({mutated(raw, Random(seed)) for seed in range(40)}) > 20


@pytest.mark.parametrize("name", INPUTS)
def test_each_input_of_the_size_comparison_is_read_and_grows(name: str) -> None:
    make, read = INPUTS[name]
    assert 1.8 < len(make(80_000)) / len(make(40_000)) < 2.2
    read(make(40_000))
