"""How a process of the gateway begins: it imports, waits to be told, and is as if never started when nobody tells it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import child

PROGRAM = """
import gc, os, pathlib, sys
pathlib.Path(sys.argv[-1] + ".imported").write_text(f"{gc.isenabled()} {os.environ['PYDANTIC_DISABLE_PLUGINS']}")
def run():
    pathlib.Path(sys.argv[-1] + ".ran").write_text(f"{gc.isenabled()} {sys.argv[:-1]} {sys.stdin.read()!r}")
    return 7
"""


@pytest.fixture
def begin(tmp_path) -> Iterator:
    (tmp_path / "made_up_process.py").write_text(PROGRAM)
    begun = []

    def started(*more: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "gateway.child", "made_up_process", *more, str(tmp_path / "it")]
        environment = {"PYTHONPATH": f"{tmp_path}:{Path(child.__file__).parents[1]}"}
        begun.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment))
        return begun[-1]

    yield started
    for each in begun:
        each.kill()
        each.communicate()


def awaited(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path.name} does not appear"
        time.sleep(0.01)
    return path.read_text()


def test_nothing_is_looked_through_for_garbage_while_modules_are_imported_and_everything_after(begin, tmp_path):
    process = begin("--some", "more")
    process.communicate(b"", 20)
    assert process.returncode == 7
    assert awaited(tmp_path / "it.imported") == "False __all__"
    assert awaited(tmp_path / "it.ran") == "True ['made_up_process', '--some', 'more'] ''"


def test_one_that_waits_has_imported_everything_and_does_nothing_before_it_is_told(begin, tmp_path):
    process = begin("--some", child.WAIT)
    awaited(tmp_path / "it.imported")
    time.sleep(0.2)
    assert process.poll() is None
    assert not (tmp_path / "it.ran").exists()
    process.communicate(child.GO, 20)
    assert process.returncode == 7
    assert awaited(tmp_path / "it.ran") == "True ['made_up_process', '--some'] ''"


@pytest.mark.parametrize("said", [b"", b"x"], ids=["the supervisor is gone", "something else is said"])
def test_one_that_is_not_told_ends_in_silence(begin, tmp_path, said):
    process = begin(child.WAIT)
    assert process.communicate(said, 20)[1] == b""
    assert process.returncode == 0
    assert not (tmp_path / "it.ran").exists()


def test_ctrl_c_before_it_is_told_leaves_no_traceback(begin, tmp_path):
    process = begin(child.WAIT)
    awaited(tmp_path / "it.imported")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == b""
    assert process.returncode == -signal.SIGINT
