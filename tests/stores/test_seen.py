"""Which bodies were stored lately: each once a day, until so many others have come."""

from __future__ import annotations

import pytest

from gateway.stores import seen
from gateway.stores.seen import SeenBodies
from gateway.trace.days import DAY_US


def test_a_message_is_fresh_once_a_day() -> None:
    known, row = SeenBodies(), ("ab", "user", "hello", 5)
    assert known.fresh("message_bodies", [row, row]) == [row]
    assert known.fresh("message_bodies", [("ab", "tool", "other words, the same address", 6)]) == []
    tomorrow = ("ab", "user", "hello", DAY_US)
    assert known.fresh("message_bodies", [tomorrow]) == [tomorrow]


def test_what_an_earlier_process_stored_is_not_fresh_until_everything_is_forgotten() -> None:
    known, row = SeenBodies(), ("ab", "user", "hello", 5)
    known.recall("ab", 7)
    assert known.fresh("message_bodies", [row]) == []
    known.clear()
    assert known.fresh("message_bodies", [row]) == [row]


def test_the_oldest_is_forgotten_first_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "SEEN_BODIES", 3)
    known, rows = SeenBodies(), [(name, "user", "hello", 5) for name in "abcd"]
    assert known.fresh("message_bodies", rows[:3]) == rows[:3]
    assert known.fresh("message_bodies", rows[:3]) == []
    assert known.fresh("message_bodies", rows[3:]) == rows[3:]
    assert known.fresh("message_bodies", rows[1:]) == []
    assert known.fresh("message_bodies", rows[:1]) == rows[:1]


def test_a_message_a_prompt_and_a_medium_of_one_address_are_three() -> None:
    known = SeenBodies()
    rows = {"message_bodies": ("ab", "user", "hello", 5), "prompt_bodies": ("ab", "coder", 5, "be kind", "[]", None),
            "media_found": ("ab", "image", None, "cd", 3, None, 5)}  # fmt: skip
    for table, row in rows.items():
        assert known.fresh(table, [row, row]) == [row]
    other = {"prompt_bodies": ("ab", "payer", 5, "be kind", "[]", None), "media_found": ("ab", "image", None, "cd", 4, None, 5)}
    for table, row in other.items():
        assert known.fresh(table, [row, row]) == [row]
