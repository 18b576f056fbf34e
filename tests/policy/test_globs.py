"""Name patterns: two wildcards, case counts, no time wasted."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.globs import matches, overlap


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("send_money", "send_money", True),
        ("send_money", "Send_Money", False),
        ("get_*", "get_", True),
        ("get_*", "forget_x", False),
        ("*", "", True),
        ("", "", True),
        ("", "x", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*_file", "read_file_now", False),
        ("a*b*c", "a-b-b-c", True),
        ("[ab]", "a", False),
        ("[ab]", "[ab]", True),
        ("a.c", "abc", False),
    ],
)
def test_patterns(pattern, name, expected):
    assert matches(pattern, name) is expected


@given(st.text("ab*?", max_size=8), st.text("abc", max_size=10))
def test_patterns_mean_what_the_same_regular_expression_means(pattern, name):
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    assert matches(pattern, name) is (re.fullmatch(expression, name, re.DOTALL) is not None)


def test_many_wildcards_against_a_long_name_stay_cheap():
    steps = 0

    class Counted(str):
        __slots__ = ()

        def __getitem__(self, key):
            nonlocal steps
            steps += 1
            return super().__getitem__(key)

    assert not matches("*a" * 30 + "b", Counted("a" * 128))
    assert steps < 61 * 128 * 4


_NAMES = ["".join(letters) for length in range(7) for letters in itertools.product("ab", repeat=length)]


@given(st.text("ab*?", max_size=3), st.text("ab*?", max_size=3))
def test_two_patterns_overlap_when_one_name_matches_both(one, other):
    assert overlap(one, other) is any(matches(one, name) and matches(other, name) for name in _NAMES)
    assert overlap(one, other) is overlap(other, one)
