"""What is written for people to keep is read back as what it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.documents import parse
from gateway.yaml_writing import written

WORDS = ["1e5", "-0E+3", "12", "1.50", "null", "~", "", "yes", "on", "007", "1:30", "0x1F", "1_000", "2026-01-01"]
WORDS += ["a: b", "- a", "#", "!x", "*a", "%"]
UNSEEN = ["\u202e abc", "a\u200bb", "\x85", "\u2028", "a\x00b", "\x7f", "\ufeff", "\r\n", "a \n\n b\n", " a ", "👩‍👩‍👧", "\u2066x"]
TEXTS = st.one_of(st.sampled_from(WORDS + UNSEEN), st.text(st.characters(exclude_categories=["Cs"]), max_size=150))
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=15,
)


@given(VALUES)
def test_what_was_written_is_what_is_read(value) -> None:
    read = parse(written([value]).encode(), "x.yaml")
    assert read.problems == ()
    assert json.dumps(read.value) == json.dumps([value])


@pytest.mark.parametrize("text", WORDS + UNSEEN)
def test_a_text_stays_a_text_as_a_value_and_as_a_name(text) -> None:
    value = {"a": text, text or "b": [text]}
    assert parse(written(value).encode(), "x.yaml").value == value


def test_letters_of_all_languages_are_written_as_they_are_and_shared_values_twice() -> None:
    shared = ["Zürich", "日本"]
    assert written({"a": shared, "b": shared}) == "a:\n- Zürich\n- 日本\nb:\n- Zürich\n- 日本\n"
