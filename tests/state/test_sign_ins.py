"""Browsers that are signed in: found by the whole token, ended for all who share the store, in every store."""

from __future__ import annotations

import pytest

from gateway.installation import open_sign_ins
from gateway.state.access import IDLE_US
from gateway.state.sign_ins import SignIn

NOW, WEEK = 1_700_000_000_000_000, 7 * 86_400_000_000


@pytest.fixture
def sign_ins(kept):
    store = open_sign_ins(kept)
    yield store
    store.close()


def sign_in(name="ada", number=1, **more) -> SignIn:
    given = {"begun_us": NOW, "seen_us": NOW, "until_us": NOW + WEEK, "address": "10.0.0.1", "browser": "x", "seal": "s", **more}
    return SignIn(f"id{number}", name, **given)


def test_it_is_found_by_its_whole_token_alone(sign_ins):
    token = sign_ins.begin(sign_in(groups=("ops",), teams=("red",), issuer="corp"))
    assert sign_ins.find(token, NOW) == sign_in(groups=("ops",), teams=("red",), issuer="corp")
    assert [sign_ins.find(each, NOW) for each in ("", "id1", token[:-1], token + "x", token.swapcase())] == [None] * 5


def test_it_ends_when_it_is_not_used_and_in_any_case_at_its_end(sign_ins):
    token = sign_ins.begin(sign_in())
    assert [sign_ins.find(token, NOW + at) is not None for at in (IDLE_US - 1, 2 * IDLE_US - 2, 3 * IDLE_US)] == [True, True, False]
    other = sign_ins.begin(sign_in(number=2, until_us=NOW + 10))
    assert [sign_ins.find(other, NOW + at) is not None for at in (9, 10)] == [True, False]


def test_who_ends_one_ends_it_for_all_who_share_the_store(sign_ins, kept):
    token, other = sign_ins.begin(sign_in()), open_sign_ins(kept)
    assert other.find(token, NOW) is not None
    assert not other.end("id1", "eve")
    assert other.end("id1", "ada")
    assert (sign_ins.find(token, NOW), other.end("id1")) == (None, False)
    other.close()


def test_they_are_listed_the_last_used_first_and_ended_ones_are_gone(sign_ins):
    tokens = [sign_ins.begin(sign_in(number=n)) for n in range(3)]
    sign_ins.find(tokens[1], NOW + 2 * 60_000_000)
    assert [each.id for each in sign_ins.every(NOW + 3 * 60_000_000)] == ["id1", "id0", "id2"]
    late = NOW + IDLE_US + 60_000_000
    assert [each.id for each in sign_ins.every(late)] == ["id1"]
    sign_ins.begin(sign_in(number=9, begun_us=late, seen_us=late))
    assert [each.id for each in sign_ins.every(NOW)] == ["id9", "id1"]


def test_one_that_was_ended_while_it_was_used_stays_ended(sign_ins, kept):
    token = sign_ins.begin(sign_in())
    sign_ins.find(token, NOW + 120_000_000)
    sign_ins.end("id1")
    again = sign_ins.begin(sign_in(number=2))
    assert sign_ins.find(token, NOW + 240_000_000) is None
    assert [each.id for each in sign_ins.every(NOW)] == ["id2"]
    assert sign_ins.find(again, NOW) is not None
