"""Single answers, and the references that a platform cut short."""

from __future__ import annotations

import pytest

from ptbridge.ledger.news import range_of

WHOLE = "pt-0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("reference", "first", "last"),
    [
        (None, "", ""),
        ("", "", ""),
        (WHOLE, WHOLE, WHOLE + "\x00"),
        (WHOLE.upper(), WHOLE.upper(), WHOLE.upper() + "\x00"),
        (WHOLE[:26], WHOLE[:26], WHOLE[:26] + "g"),
        (WHOLE[3:].upper(), WHOLE, WHOLE + "g"),
        (WHOLE[:10], WHOLE[:10], WHOLE[:10] + "g"),
        (WHOLE[:9], "", ""),
        (WHOLE[3:10], WHOLE[:10], WHOLE[:10] + "g"),
    ],
)
def test_a_whole_reference_is_itself_and_a_cut_one_is_a_range_of_its_beginning(reference, first, last):
    assert range_of(reference) == (first, last)
