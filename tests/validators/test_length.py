"""How long a text is."""

from __future__ import annotations

import pytest

from gateway.validators.length import LENGTH, Length
from gateway.validators.validator import Subject


def codes(text: str, **bounds: int) -> list[str]:
    return [seen.code for seen in LENGTH.make(Length(**bounds))(Subject(text))]


@pytest.mark.parametrize(
    ("text", "bounds", "expected"),
    [
        ("one two", {"min": 7, "max": 7, "min_words": 2, "max_words": 2}, []),
        ("one two", {"min": 8}, ["too_short"]),
        ("one two", {"max": 6}, ["too_long"]),
        ("one two", {"min_words": 3, "max": 3}, ["too_long", "too_short"]),
        ("one two", {"max_words": 1}, ["too_long"]),
        ("", {"max": 0, "max_words": 0}, []),
    ],
)
def test_a_text_outside_its_bounds_is_seen(text, bounds, expected):
    assert codes(text, **bounds) == expected


def test_no_bound_at_all_is_an_error_of_the_rule():
    with pytest.raises(ValueError, match="says no length"):
        Length()
