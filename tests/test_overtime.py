"""Work that takes too long ends, in whatever thread, and nothing else does."""

from __future__ import annotations

import contextlib
import threading
import time

import pytest

from gateway.overtime import Overtime, within
from tests.patience import PATIENCE_S


def endless() -> None:
    while True:
        pass


def keeps_its_errors() -> None:
    while True:
        with contextlib.suppress(Exception):
            endless()


def test_work_in_time_gives_what_it_gives():
    assert within(1.0, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(1.0, lambda: 1 / 0)


@pytest.mark.parametrize("work", [endless, keeps_its_errors])
def test_a_loop_without_end_ends(work):
    for _ in range(2):
        with pytest.raises(Overtime, match=r"more than 0\.05 s"):
            within(0.05, work)
    assert within(1.0, lambda: "well") == "well"


def test_time_in_which_it_did_not_work_does_not_count():
    assert within(0.05, lambda: time.sleep(0.4)) is None


def test_each_thread_has_its_own_time():
    ended: list[str] = []

    def spin() -> None:
        try:
            within(0.05, endless)
        except Overtime:
            ended.append("overtime")

    threads = [threading.Thread(target=spin) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE_S)
    assert ended == ["overtime"] * 3


def test_what_comes_behind_work_that_ended_just_in_time_is_never_hit():
    """Work of about the length of its time: some of it is ended, some is not, and the exception never comes later."""

    def about(seconds: float) -> int:
        until = time.thread_time() + seconds
        turns = 0
        while time.thread_time() < until:
            turns += 1
        return turns

    for step in range(30):
        with contextlib.suppress(Overtime):
            within(0.03, lambda wanted=0.02 + step * 0.005: about(wanted))
        assert sum(range(10_000)) == 49_995_000
