"""What tests wait by: it gives what is true, and fails with words when nothing comes."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import pytest

from tests.patience import until, until_meanwhile


def test_the_first_true_answer_is_given():
    answers = iter(["", None, 0, "there", "later"])
    assert until(lambda: next(answers)) == "there"
    assert next(answers) == "later"


def test_without_one_the_test_fails_with_what_was_waited_for_and_the_last_answer():
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"^not in 0\.2 s: a word; the last answer: \[\]$"):
        until(list, seconds=0.2, what="a word")
    assert time.monotonic() - began >= 0.2


def test_words_that_are_asked_for_tell_how_it_stands_at_the_end():
    looks = count()
    with pytest.raises(AssertionError, match=r": look [1-9]\d*; the last answer: False$"):
        until(lambda: next(looks) < 0, seconds=0.1, what=lambda: f"look {next(looks)}")


def test_it_is_asked_once_more_when_the_time_is_over():
    over = time.monotonic() + 0.05
    assert until(lambda: time.monotonic() >= over, seconds=0.05)


def test_named_errors_are_waited_through_and_others_are_not():
    answers = iter([OSError("away"), OSError("away"), "there"])

    def ask():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert until(ask, despite=OSError) == "there"
    answers = iter([OSError("away")])
    with pytest.raises(OSError, match="away"):
        until(ask, despite=ValueError)


def test_an_error_that_stays_is_told_and_caused_the_failure():
    def away():
        raise OSError("the disk is away")

    with pytest.raises(AssertionError, match=r"the last answer: the disk is away$") as failed:
        until(away, seconds=0.05, despite=OSError)
    assert isinstance(failed.value.__cause__, OSError)


def test_on_an_event_loop_other_things_go_on_meanwhile():
    async def both():
        found = []
        asyncio.get_running_loop().call_later(0.05, found.append, "there")
        first = await until_meanwhile(lambda: found)
        with pytest.raises(AssertionError, match="a second one"):
            await until_meanwhile(lambda: found[1:], seconds=0.05, what="a second one")
        return first

    assert asyncio.run(both()) == ["there"]
