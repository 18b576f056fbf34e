"""What somebody may be called: one spelling, nothing that hides or means something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.people.names import person_name


@pytest.mark.parametrize(("given", "name"), [("Ada", "ada"), (" ada@example.org ", "ada@example.org"), ("7", "7"), ("a" * 100, "a" * 100)])
def test_a_name_has_one_spelling(given, name):
    assert person_name(given) == name


WRONG = ["", " ", "-ada", "a da", "admin.token", "Admin.Token", "ad\u202ea", "\u0430da", "a" * 101, "ada\n\x00", "a/b", "a:b"]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_could_be_taken_for_somebody_else_is_no_name(wrong):
    with pytest.raises(ValueError, match="a name has 1 to 100 letters"):
        person_name(wrong)


@given(st.text(max_size=30))
def test_a_name_stays_the_same_when_it_is_read_again(text):
    try:
        name = person_name(text)
    except ValueError:
        return
    assert person_name(name) == name
    assert name.isascii()
    assert name == name.lower().strip()
