"""What is sealed opens under its key, about its row, unchanged, and in no other way."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sealing import Box, CannotOpen, beside

BOX = Box(b"k" * 32)


@given(st.binary(), st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens_about_the_same_thing(data, about):
    assert BOX.open(BOX.seal(data, about), about) == data


@given(st.binary(max_size=40), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_opens_nothing(data, at, change):
    sealed = bytearray(BOX.seal(data, "row"))
    sealed[at % len(sealed)] ^= change
    with pytest.raises(CannotOpen):
        BOX.open(bytes(sealed), "row")


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_a_cut_text_opens_nothing(cut):
    with pytest.raises(CannotOpen):
        BOX.open(BOX.seal(b"hello", "row")[:cut], "row")


def test_another_row_or_another_key_opens_nothing():
    sealed = BOX.seal_text("hello", "row 1")
    for box, about in ((BOX, "row 2"), (Box(b"x" * 32), "row 1")):
        with pytest.raises(CannotOpen):
            box.open_text(sealed, about)


def test_equal_texts_do_not_look_equal():
    assert BOX.seal(b"hello", "row") != BOX.seal(b"hello", "row")


@given(st.text())
def test_texts_of_any_characters_come_back_and_are_not_seen(text):
    sealed = BOX.seal_text(text, "row")
    assert BOX.open_text(sealed, "row") == text
    assert len(text) < 8 or text not in sealed


def test_a_text_that_was_never_sealed_is_what_it_is_and_a_mangled_one_is_none():
    assert BOX.open_text('{"n":1}', "row") == '{"n":1}'
    with pytest.raises(CannotOpen):
        BOX.open_text("box:no base64!", "row")
    with pytest.raises(CannotOpen):
        BOX.open_text("box:" + base64.b64encode(b"short").decode(), "row")


def test_the_box_beside_a_file_is_the_installations_own(tmp_path):
    one, again, purpose, other = (
        beside(tmp_path / folder / "state.sqlite", what) for folder, what in (("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"))
    )
    sealed = one.seal(b"hello", "row")
    assert again.open(sealed, "row") == b"hello"
    for box in (purpose, other):
        with pytest.raises(CannotOpen):
            box.open(sealed, "row")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused_before_anything_is_sealed(size):
    with pytest.raises(ValueError, match=f"{size} bytes"):
        Box(bytes(size))
