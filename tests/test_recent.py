"""What was worked out lately: found again by its bytes, and never more of it than there is room for."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.recent import LARGEST, Recent

keys = st.binary(max_size=40)


@given(st.lists(keys, max_size=60))
def test_a_key_finds_what_was_kept_for_it_or_nothing(told):
    recent = Recent(2000)
    for key in told:
        assert recent.get(key) in (None, key.hex() or "empty")
        recent.keep(key, key.hex() or "empty")
        assert recent.get(key) == (key.hex() or "empty")


@given(st.lists(keys, max_size=200), st.integers(0, 5000))
def test_the_room_is_a_bound(told, room):
    recent = Recent(room)
    for key in told:
        if recent.get(key) is None:
            recent.keep(key, True)
    assert len(recent) <= room // 200 + 2


@given(st.lists(st.lists(keys, max_size=8), max_size=10), st.integers(0, 3000))
def test_several_keys_find_what_each_would_find(told, room):
    one, several = Recent(room), Recent(room)
    for group in told:
        assert several.several(group) == [one.get(key) for key in group]
        for key in group:
            one.keep(key, key.hex())
            several.keep(key, key.hex())


def test_what_is_asked_for_again_outlives_what_is_not():
    recent = Recent(8000)
    recent.keep(b"often", 1)
    recent.keep(b"once", 2)
    for number in range(200):
        recent.keep(b"%d" % number, number)
        assert recent.get(b"often") == 1
    assert recent.get(b"once") is None


def test_a_very_long_key_is_not_kept():
    recent = Recent(10 * LARGEST)
    recent.keep(b"x" * LARGEST, 1)
    recent.keep(b"x" * (LARGEST + 1), 2)
    assert (recent.get(b"x" * LARGEST), recent.get(b"x" * (LARGEST + 1))) == (1, None)


def test_what_is_forgotten_is_worked_out_again_in_all_of_the_room():
    recent = Recent(2000)
    recent.keep(b"x", 1)
    recent.forget()
    assert (recent.get(b"x"), len(recent)) == (None, 0)
    for number in range(4):
        recent.keep(b"%d" % number, number)
    assert len(recent) == 4
