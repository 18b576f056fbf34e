"""How a process of the gateway begins: forked from one that has imported what it needs and knows no secret. It waits to be told, and is as
if never started when nobody tells it."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway import nursery
from gateway.children import PLAIN, Child, Nursery
from tests.patience import PATIENCE_S, until

FIRST = """
import gc, os
looked, disabled, knew = gc.isenabled(), os.environ["PYDANTIC_DISABLE_PLUGINS"], sorted(os.environ)
"""
PROGRAM = """
import gc, json, os, pathlib, signal, stat, sys
import made_up_first
pathlib.Path(sys.argv[-1] + ".imported").write_text(f"{gc.isenabled()}")
def run():
    told = sys.stdin.read()
    found = {"collects": gc.isenabled(), "frozen": gc.get_freeze_count() > 0, "arguments": sys.argv[:-1], "told": told,
        "variables": dict(os.environ), "first": [made_up_first.looked, made_up_first.disabled, made_up_first.knew],
        "sockets": [each for each in range(3, 64) if os.path.exists(f"/proc/self/fd/{each}") and stat.S_ISSOCK(os.fstat(each).st_mode)],
        "signals": [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)]}
    pathlib.Path(sys.argv[-1] + ".ran").write_text(json.dumps(found))
    return 7
"""


@pytest.fixture
def made_up(tmp_path, monkeypatch) -> Path:
    (tmp_path / "made_up_first.py").write_text(FIRST)
    (tmp_path / "made_up_process.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(nursery.__file__).parents[1]}")
    monkeypatch.setenv("A_SECRET", "sk-canary-nursery")
    monkeypatch.setenv("ANOTHER", "for all")
    return tmp_path


@pytest.fixture
def parent(made_up) -> Iterator[Nursery]:
    with closing(Nursery(["made_up_first"])) as parent:
        yield parent


def child(parent: Nursery, folder: Path, *more: str, **given) -> Child:
    return Child("it", ["made_up_process", *more, str(folder / "it")], parent, **given)


def awaited(path: Path) -> str:
    return until(path.read_text, what=f"{path.name} appears", despite=FileNotFoundError)


def lived(one: Child, folder: Path) -> dict:
    """What it found, when it is told nothing."""
    one.start()
    one.connection.shutdown(1)
    assert one.wait(PATIENCE_S)
    return json.loads(awaited(folder / "it.ran"))


def test_nothing_is_looked_through_for_garbage_while_modules_are_imported_and_everything_after(parent, made_up):
    one = child(parent, made_up, "--some", "more")
    found = lived(one, made_up)
    assert one.code == 7
    assert awaited(made_up / "it.imported") == "False"
    assert found["first"][:2] == [False, "__all__"]
    assert found["collects"] is True
    assert found["frozen"] is True
    assert (found["arguments"], found["told"]) == (["made_up_process", "--some", "more"], "")


def test_a_nursery_knows_no_variable_but_what_an_interpreter_is_started_with(parent, made_up):
    found = lived(child(parent, made_up), made_up)
    assert set(found["first"][2]) <= PLAIN | {"PYDANTIC_DISABLE_PLUGINS"}
    assert found["variables"]["A_SECRET"] == "sk-canary-nursery"


def test_a_child_has_the_supervisor_s_variables_but_those_it_has_no_need_to_know(parent, made_up):
    found = lived(child(parent, made_up, without=frozenset({"A_SECRET"})), made_up)
    wanted = dict(os.environ) | {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
    assert wanted.pop("A_SECRET")
    assert found["variables"] == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="memory of processes is looked at in /proc")
def test_what_one_child_knows_is_in_no_other_s_memory_nor_in_the_nursery_s(parent, made_up):
    knowing = child(parent, made_up, nursery.WAIT)
    knowing.start()
    awaited(made_up / "it.imported")
    (made_up / "it.imported").unlink()
    other = child(parent, made_up, nursery.WAIT, without=frozenset({"A_SECRET"}))
    other.start()
    awaited(made_up / "it.imported")
    assert holds(knowing.pid, b"sk-canary-nursery")
    assert not holds(other.pid, b"sk-canary-nursery")
    assert not holds(parent.pid, b"sk-canary-nursery")
    assert b"sk-canary-nursery" not in Path(f"/proc/{knowing.pid}/environ").read_bytes()


def holds(pid: int, what: bytes) -> bool:
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *rest = line.split()
            begin, end = (int(each, 16) for each in place.split("-"))
            if rights.startswith("rw") and "[v" not in rest[-1]:
                memory.seek(begin)
                if what in memory.read(end - begin):
                    return True
    return False


def test_a_child_holds_nothing_open_of_the_nursery_s_and_takes_signals_as_any_process(parent, made_up):
    first = child(parent, made_up, nursery.WAIT)
    first.start()
    found = lived(child(parent, made_up), made_up)
    assert found["sockets"] == []
    assert found["signals"] == [True, True, True]
    assert first.running


@pytest.mark.skipif(sys.platform != "linux", reason="the line in ps is written where the kernel keeps it")
def test_ps_shows_what_a_child_is(parent, made_up):
    one = child(parent, made_up, "--some", nursery.WAIT)
    one.start()
    awaited(made_up / "it.imported")
    line = Path(f"/proc/{one.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert line[1:] == [b"-m", b"made_up_process", b"--some", os.fsencode(made_up / "it")]


def test_one_that_waits_has_imported_everything_and_does_nothing_before_it_is_told(parent, made_up):
    one = child(parent, made_up, "--some", nursery.WAIT)
    one.start()
    awaited(made_up / "it.imported")
    time.sleep(0.2)
    assert one.running
    assert not (made_up / "it.ran").exists()
    one.go()
    one.connection.shutdown(1)
    assert one.wait(PATIENCE_S)
    assert one.code == 7
    assert json.loads(awaited(made_up / "it.ran"))["arguments"] == ["made_up_process", "--some"]


@pytest.mark.parametrize("said", [b"", b"x"], ids=["the supervisor is gone", "something else is said"])
def test_one_that_is_not_told_ends_in_silence(made_up, said, capfd):
    with closing(Nursery(["made_up_first"])) as parent:
        one = child(parent, made_up, nursery.WAIT)
        one.start()
        one.tell(said)
        one.connection.shutdown(1)
        assert one.wait(PATIENCE_S)
        assert one.code == 0
        assert capfd.readouterr().err == ""
        assert not (made_up / "it.ran").exists()


def test_ctrl_c_before_it_is_told_leaves_no_traceback(made_up, capfd):
    with closing(Nursery(["made_up_first"])) as parent:
        one = child(parent, made_up, nursery.WAIT)
        one.start()
        awaited(made_up / "it.imported")
        one.signal(signal.SIGINT)
        assert one.wait(PATIENCE_S)
        assert one.code == -signal.SIGINT
        assert capfd.readouterr().err == ""


def test_one_that_cannot_be_imported_says_why(made_up, capfd):
    with closing(Nursery(["made_up_first"])) as parent:
        one = Child("it", ["made_up_nowhere"], parent)
        one.start()
        assert one.wait(PATIENCE_S)
        assert one.code == 1
        assert "made_up_nowhere" in capfd.readouterr().err
