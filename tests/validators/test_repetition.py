"""A text that has run into a loop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.repetition import REPETITION, Repetition
from gateway.validators.validator import Subject, Unjudged

SENTENCE = "I will now check the file and then I will try again."
PROSE = (
    "The gate reads each call once. What it cannot read in one way is denied, and the model is told why. "
    "What it reads is judged against the policies of the agent, in order, and the strictest verdict counts. "
    "A record of it is durable before the first byte of the answer leaves. "
)


def seen(text: str, **options):
    return list(REPETITION.make(Repetition(**options))(Subject(text)))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (f"{SENTENCE}\n" * 6, "lines"),
        (f"{SENTENCE}\n\nAnother line here.\n" * 6, "lines"),
        (f"{SENTENCE} " * 6, "words"),
        ("no " * 80, "words"),
        ("和平" * 120, "characters"),
        ("abcab" * 60, "characters"),
        ("- yes\n" * 60, "lines"),
        ("a1 b2 " * 40, "words"),
    ],
)
def test_a_loop_is_found_where_it_stands(text, unit):
    for before, behind in (("", ""), (PROSE, ""), (PROSE + "\n", "\n" + PROSE)):
        [found] = seen(before + text + behind)
        assert (found.code, f"the same {unit} " in found.detail) == ("loop", True)
        assert found.start <= len(before) + len(text) // 6
        assert found.end - found.start >= len(text) * 0.8


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        f"{SENTENCE}\n" * 3,
        "no no no no no no",
        "-" * 500,
        "0, " * 200,
        " " * 1000,
        "| a | b |\n| --- | --- |\n" + "".join(f"| row {i} | yes |\n" for i in range(50)),
        "".join(f"{i}. item\n" for i in range(100)),
        "```python\n" + "x = None\n" * 100 + "```",
    ],
)
def test_what_people_and_tables_write_is_no_loop(text):
    assert seen(text) == []


def test_code_is_looked_into_where_a_rule_asks():
    text = "Here:\n```python\n" + "x = None\n" * 100 + "```"
    [found] = seen(text, code=True)
    assert text[found.start : found.end] == ("x = None\n" * 100).strip()


def test_how_often_and_how_long_is_for_the_rule_to_say():
    text = "Try again now. " * 4
    assert seen(text) == []
    assert [one.code for one in seen(text, times=4, characters=50)] == ["loop"]
    assert seen(text, times=5, characters=50) == []
    assert seen(text, times=4, characters=100) == []


def test_a_line_that_comes_back_is_counted_where_a_rule_asks():
    text = "".join(f"{SENTENCE}\n{i} of them\n---\n" for i in range(4))
    assert seen(text, same_line=4) == []
    [found] = seen(text, same_line=3)
    assert (found.code, found.detail) == ("same_line", "one line stands in the text 4 times; at most 3 are allowed")
    assert seen("---\n" * 9, same_line=1) == []


words = st.lists(st.sampled_from(["the", "cat", "sat", "on", "mats"]), min_size=1, max_size=8).map(" ".join)


@given(words, st.integers(5, 9))
def test_every_unit_that_repeats_over_a_length_is_a_loop(unit, times):
    text = f"{unit} " * times
    assert [one.code for one in seen(text, characters=len(text) - 1)] == ["loop"]


@given(st.lists(st.integers(), unique=True, max_size=60))
def test_lines_of_which_none_is_like_another_are_none(numbers):
    assert seen("\n".join(f"line {number}" for number in numbers), times=2, same_line=1, characters=60) == []


@pytest.mark.parametrize("piece", ["a", "a ", "a\n", "ab", "```\n", "aab ", "x y z ", "\n"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(5):
        seen((piece * 50_000)[:100_000] + "!", times=1000, characters=10_000, same_line=5)


def test_characters_that_almost_repeat_end_in_time(cpu_at_most):
    with cpu_at_most(5):
        seen(("a" * 95 + "b") * 1_000, times=100, characters=10_000)


def test_a_text_beyond_the_limit_is_unjudged():
    with pytest.raises(Unjudged, match="200001 characters"):
        seen("a" * 200_001)
