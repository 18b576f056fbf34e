"""Passwords are kept as scrypt keeps them; the short and the obvious are no passwords."""

from __future__ import annotations

import pytest

from gateway.people import passwords

GOOD = "a boat upon the river"


def test_a_password_fits_what_was_kept_of_it_and_no_other_does() -> None:
    stored = passwords.kept(GOOD)
    assert GOOD not in stored
    assert passwords.fits(GOOD, stored)
    assert not passwords.fits(GOOD + " ", stored)
    assert passwords.kept(GOOD) != stored


@pytest.mark.parametrize("stored", ["scrypt::", "scrypt:00:", ""])
def test_nothing_fits_where_there_is_no_account(stored) -> None:
    assert not passwords.fits("", stored)
    assert not passwords.fits(GOOD, stored)


@pytest.mark.parametrize("word", ["", "short", "x" * 11, "x" * 40, "ab" * 10, "x y" * 100, "administrator"])
def test_what_is_short_long_or_obvious_is_weak(word) -> None:
    assert passwords.weakness(word, "administrator")


@pytest.mark.parametrize("word", [GOOD, "пароль из слов", "12 ümläute hier"])
def test_several_words_are_good(word) -> None:
    assert passwords.weakness(word, "ada") is None
