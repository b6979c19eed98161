"""From a platform's list to what stands there, so that a second charge is seen and a page that repeats is none."""

from __future__ import annotations

import pytest

from ptbridge.destinations._listed import still_standing, summed


def test_an_entry_that_a_page_repeats_counts_once_and_a_second_entry_counts() -> None:
    listed = [("a", "pt-1", (2, 9000)), ("b", "pt-2", (1, 100)), ("a", "pt-1", (2, 9000)), ("c", "pt-1", (3, 1))]
    assert summed(listed) == {"pt-1": (5, 9001), "pt-2": (1, 100)}
    assert summed([]) == {}


@pytest.mark.parametrize(
    ("frequencies", "standing"),
    [
        ("", ""),
        ("1", "a"),
        ("17", "b"),
        ("177", "c"),
        ("18", ""),
        ("181", "c"),
        ("1781", "d"),
        ("11", "ab"),
        ("117", "ac"),
        ("118", "a"),
        ("7", "a"),  # of an original that is out of the list's range
        ("78", ""),
        ("8", ""),
        ("81", "b"),
    ],
)
def test_a_replacement_stands_for_the_claim_before_it_and_a_second_original_beside_it(frequencies: str, standing: str) -> None:
    assert "".join(still_standing(zip(frequencies, "abcd", strict=False))) == standing
