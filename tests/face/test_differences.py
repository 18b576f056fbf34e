"""What differs between two texts, line by line: nothing is lost, nothing is made up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.face.differences import AROUND, MOST_LINES, lines, of_json

TEXT = st.lists(st.sampled_from(["a", "b", "", "allow: []", " a"]), max_size=30).map("\n".join)


@given(TEXT, TEXT)
def test_both_texts_can_be_read_out_of_it_again(before, after) -> None:
    found = lines(before, after)
    assert bool(found) == (before != after)
    if not any(kind == "skipped" for kind, _ in found) and found:
        for kinds, text in (({"same", "gone"}, before), ({"same", "new"}, after)):
            assert [line for kind, line in found if kind in kinds] == text.splitlines()


@given(TEXT, TEXT)
def test_what_is_left_out_is_the_same_and_counted(before, after) -> None:
    found = lines(before, after)
    skipped = sum(int(text.partition(" ")[0]) for kind, text in found if kind == "skipped")
    if found and any(kind != "skipped" for kind, _ in found):
        assert sum(kind in ("same", "gone") for kind, _ in found) + skipped == len(before.splitlines())


def test_a_change_stands_among_the_lines_around_it() -> None:
    text = [f"line {n}" for n in range(100)]
    found = lines("\n".join(text), "\n".join([*text[:50], "other", *text[51:]]))
    assert [kind for kind, _ in found] == ["skipped", *["same"] * AROUND, "gone", "new", *["same"] * AROUND, "skipped"]


def test_how_json_was_spaced_is_no_difference() -> None:
    assert of_json('{"a":1,"b":[1]}', '{ "a": 1,\n"b": [ 1 ] }') == []
    assert ("new", '  "a": 2') in of_json('{"a":1}', '{"a":2}')
    assert ("gone", "{") in of_json("{", "[]")


def test_a_text_that_is_too_long_is_said_to_be() -> None:
    found = lines("\n".join("a" for _ in range(MOST_LINES + 7)), "b")
    assert found[-1] == ("skipped", "7 further lines are not compared")
