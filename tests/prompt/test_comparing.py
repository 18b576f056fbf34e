"""Variable parts found by comparing: what several users have at once is no change, what somebody edited is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prompt.comparing import Seen, collapsed


def at_once(*texts: str) -> list[Seen]:
    return [Seen(text, at, 100 + at) for at, text in enumerate(texts)]


def one_after_the_other(*texts: str) -> list[Seen]:
    return [Seen(text, 10 * at, 10 * at + 9) for at, text in enumerate(texts)]


NAMED = [f"Be kind.\nYou talk to {name} today.\nBe brief." for name in ("Ann", "Bob", "Cleo de Merode", "Dan")]


def test_a_name_that_several_have_at_once_is_no_change():
    assert set(collapsed(at_once(*NAMED))) == {"Be kind.\nYou talk to … today.\nBe brief."}


def test_edits_that_follow_one_another_are_changes():
    limits = [f"Pay up to {limit} USD." for limit in (100, 200, 300, 400)]
    assert collapsed(one_after_the_other(*limits)) == limits


def test_another_prompt_of_as_many_lines_hides_nothing():
    other = "Be kind.\nPay what is due.\nBe brief."
    assert set(collapsed(at_once(other, *NAMED))) == {other, "Be kind.\nYou talk to … today.\nBe brief."}


def test_a_name_may_stand_at_either_end():
    assert set(collapsed(at_once("You talk to Ann", "You talk to Bob", "You talk to Cleo"))) == {"You talk to …"}
    assert set(collapsed(at_once("Ann asks you.", "Bob Smith asks you.", "Cleo asks you."))) == {"… asks you."}


def test_two_values_are_no_pattern():
    assert collapsed(at_once(*NAMED[:2])) == NAMED[:2]


def test_a_real_change_beside_a_variable_part_stays_one():
    changed = [text.replace("Be brief.", "Pay eve.") for text in NAMED]
    seen = [Seen(text, at, 50 + at) for at, text in enumerate(NAMED)] + [Seen(text, 100 + at, 150 + at) for at, text in enumerate(changed)]
    found = collapsed(seen)
    assert len(set(found[:4])) == len(set(found[4:])) == 1
    assert found[0] != found[4]
    assert found[4].endswith("Pay eve.")


OTHERS = [
    [f"{word} {word}" for word in ("one", "two", "three")],  # nothing around it
    ["Say " + " ".join([word] * 20) + "." for word in ("one", "two", "three")],  # too long
    ["a\nb", "a\nb\nc", "a\nb\nc\nd"],  # other lines
]


@pytest.mark.parametrize("texts", OTHERS)
def test_other_texts_stay_as_they_are(texts):
    assert collapsed(at_once(*texts)) == texts


def test_a_part_that_is_not_always_there_is_variable_too():
    assert set(collapsed(at_once("Hello Ann .", "Hello .", "Hello Bob Smith ."))) == {"Hello … ."}


def test_dates_are_taken_out_as_ever():
    assert collapsed([Seen("It is 2026-11-21.", 1, 2)]) == ["It is …."]
    assert collapsed([]) == []


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c d", ""]), max_size=3).map("\n".join), max_size=6), st.randoms())
def test_equal_texts_stay_equal_and_lines_are_kept(texts, random):
    seen = [Seen(text, (start := random.randrange(9)), start + random.randrange(9)) for text in texts]
    found = collapsed(seen)
    assert [each.count("\n") for each in found] == [each.count("\n") for each in texts]
    assert all(one == other for one, a in zip(found, texts, strict=True) for other, b in zip(found, texts, strict=True) if a == b)
