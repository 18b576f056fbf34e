"""An answer that says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.empty import EMPTY, Empty
from gateway.validators.validator import Subject


def codes(text: str, calls: int = 0, words=()):
    return [one.code for one in EMPTY.make(Empty(words=words))(Subject(text, calls=calls))]


@pytest.mark.parametrize("text", ["", " \n\t", "\u200b\u200d\ufeff", "\u2800 \u3164", "\u00a0\u3000", "\x00", "\u0301"])
def test_what_cannot_be_seen_is_empty(text):
    assert codes(text) == ["empty"]
    assert codes(text, calls=1) == []


@pytest.mark.parametrize("text", ["a", "...", "0", "🎉", "{}", " ? ", "ก", "\u200ba"])
def test_what_can_be_seen_is_not(text):
    assert codes(text) == []


@pytest.mark.parametrize(("text", "expected"), [("N/A", ["empty"]), (" n/a\n", ["empty"]), ("N/A.", []), ("no N/A", [])])
def test_words_that_a_rule_takes_for_nothing(text, expected):
    assert codes(text, words=("n/A", "null")) == expected


@given(st.text(max_size=20), st.sampled_from("aé1!字"))
def test_one_character_that_shows_is_enough(text, character):
    assert codes(text + character) == []
