"""Processes watched from outside: how they end, and what happens when the one that forks them is gone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import nursery
from gateway.children import Child, Nursery
from gateway.errors import StartError
from tests.patience import PATIENCE_S

PROGRAM = """
import sys, time
def run():
    sys.stdout.write(sys.stdin.readline())
    return int(sys.argv[1])
"""


@pytest.fixture
def parent(tmp_path, monkeypatch) -> Iterator[Nursery]:
    (tmp_path / "made_up_process.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(nursery.__file__).parents[1]}")
    parent = Nursery(["made_up_process"])
    yield parent
    parent.close()


def begun(parent: Nursery, code: int = 0) -> Child:
    one = Child("it", ["made_up_process", str(code)], parent)
    one.start()
    return one


def test_exit_codes_and_signals_are_known_of_each(parent):
    three, killed, going = begun(parent, 3), begun(parent), begun(parent)
    three.tell(b"end\n")
    killed.signal(signal.SIGKILL)
    assert three.wait(PATIENCE_S)
    assert killed.wait(PATIENCE_S)
    assert (three.code, killed.code) == (3, -signal.SIGKILL)
    assert going.running
    assert not going.wait(0)


def test_a_child_may_be_started_again(parent):
    one = begun(parent, 3)
    one.signal(signal.SIGKILL)
    assert one.wait(PATIENCE_S)
    one.start()
    assert one.code is None
    one.tell(b"end\n")
    assert one.wait(PATIENCE_S)
    assert one.code == 3


def test_an_environment_larger_than_any_buffer_arrives(parent, monkeypatch):
    for number in range(20):
        monkeypatch.setenv(f"LARGE_{number}", "x" * 100_000)
    one = begun(parent, 5)
    one.tell(b"end\n")
    assert one.wait(PATIENCE_S)
    assert one.code == 5


def test_children_outlive_their_nursery_and_are_watched_without_it(parent):
    before = begun(parent, 3)
    os.kill(parent.pid, signal.SIGKILL)
    time.sleep(0.1)
    assert before.running
    after = begun(parent, 4)
    before.tell(b"end\n")
    after.tell(b"end\n")
    assert before.wait(PATIENCE_S)
    assert after.wait(PATIENCE_S)
    assert after.code == 4
    assert before.code is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_the_whole_group_leaves_the_nursery_to_the_supervisor(parent, number):
    begun(parent)
    os.kill(parent.pid, number)
    time.sleep(0.1)
    assert begun(parent).running


def test_a_nursery_ends_with_who_made_it(tmp_path):
    parent = Nursery(["json"])
    begun = parent.pid
    parent._connection.close()
    parent._process.wait(PATIENCE_S)
    assert not Path(f"/proc/{begun}").exists()


def test_a_nursery_that_cannot_begin_is_told(capfd):
    parent = Nursery(["made_up_nowhere"])
    with pytest.raises(StartError, match="message is above"):
        Child("it", ["json"], parent).start()
    parent.close()
    assert "made_up_nowhere" in capfd.readouterr().err
