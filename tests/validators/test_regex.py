"""What must stand in a text, and what must not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators import regex
from gateway.validators.regex import REGEX, Regex
from gateway.validators.validator import Subject, Unjudged


def seen(text: str, must=(), must_not=()):
    return list(REGEX.make(Regex(must_match=must, must_not_match=must_not))(Subject(text)))


@pytest.mark.parametrize(
    ("text", "must", "must_not", "expected"),
    [
        ("Ticket ABC-12 is open", (r"[A-Z]+-\d+",), (), []),
        ("Ticket abc is open", (r"[A-Z]+-\d+",), (), ["no_match"]),
        ("Ticket abc-12", (r"(?i)[A-Z]+-\d+",), (), []),
        ("yes and no", ("yes", "no"), (), []),
        ("yes", ("yes", "no"), (), ["no_match"]),
        ("", ("yes",), ("no",), ["no_match"]),
        ("all is well", (), ("guarantee", "refund"), []),
        ("a refund, guaranteed", (), ("guarantee", "refund"), ["match", "match"]),
        ("ask twice, ask again", ("twice",), (r"\bask\b",), ["match", "match"]),
        ("one\ntwo", (r"(?m)^two$",), (r"one.two",), []),
    ],
)
def test_what_must_stand_there_and_what_must_not(text, must, must_not, expected):
    assert [one.code for one in seen(text, must, must_not)] == expected


@pytest.mark.parametrize(
    ("text", "places"),
    [("a ab b", ["ab"]), ("Grüße: äöü 42€ 🎉 42", ["42", "42"]), ("4242", ["42", "42"]), ("𝟒𝟐 42", ["42"])],
)
def test_what_must_not_stand_there_is_found_where_it_stands_in_characters(text, places):
    found = seen(text, must_not=("ab|42",))
    assert [text[one.start : one.end] for one in found] == places


def test_a_border_has_no_characters_and_is_said_once_of_the_whole_text():
    assert [(one.start, one.end) for one in seen("ab c", must_not=(r"\bc\b", r"\b"))] == [(3, 4), (0, 0)]


@given(st.text("aé🎉b ", max_size=40))
def test_places_are_those_that_another_engine_finds(text):
    found = [(one.start, one.end) for one in seen(text, must_not=("é+|🎉 ?b",))]
    assert found == [one.span() for one in re.finditer("é+|🎉 ?b", text)]


def test_a_detail_names_the_expression_and_never_the_text():
    [one] = seen("my hidden-word-77", must_not=(r"hidden-\w+-\d+",))
    assert one.detail == r"the text matches /hidden-\w+-\d+/, which it must not"
    [long] = seen("x", must=("y" * 500,))
    assert "y" * 120 + "…/" in long.detail


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "missing )"),
        ("(?=a)", "look-around"),
        (r"(a)\1", "references"),
        ("a*", "matches the empty text"),
        ("(?:x{999}){999}", "no RE2 expression"),
        ("\ud800", "not Unicode"),
    ],
)
def test_an_expression_that_cannot_be_used_is_an_error_of_the_rule(pattern, said):
    for options in (Regex(must_match=(pattern,)), Regex(must_not_match=(pattern,))):
        with pytest.raises(ValueError, match=re.escape(said)):
            REGEX.make(options)


def test_no_expression_at_all_is_an_error_of_the_rule():
    with pytest.raises(ValueError, match="has no expression"):
        Regex()


def test_a_large_expression_over_a_large_text_is_not_judged():
    assert seen("ab" * 1000, must_not=(r"(?:a|b)*a(?:a|b){200}c",)) == []
    with pytest.raises(Unjudged, match="judged up to"):
        seen("ab" * 500_000, must_not=(r"(?:a|b)*a(?:a|b){200}c",))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(?:a?){20}a{20}b", r"(\w+\s?)*!"])
def test_no_text_makes_a_search_slower_than_its_length_does(pattern, cpu_at_most):
    with cpu_at_most(4):
        assert len(seen("a" * 300_000 + "?", must=(f"{pattern}|nothing",))) == 1


def test_searches_that_each_read_to_the_end_are_bounded(cpu_at_most):
    with cpu_at_most(6), pytest.raises(Unjudged, match="more than"):
        seen("c" * 300_000, must_not=("(?s)c.*d|c",))


def test_places_without_end_are_not_judged(monkeypatch):
    monkeypatch.setattr(regex, "MAX_PLACES", 3)
    assert len(seen("aaa", must_not=("a",))) == 3
    with pytest.raises(Unjudged, match="more than 3 places"):
        seen("aaaa", must_not=("a",))


def test_half_a_character_is_not_judged():
    with pytest.raises(Unjudged, match="surrogate"):
        seen("\ud800", must=("a",))
