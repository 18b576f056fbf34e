"""However many ask at once, over threads and processes, exactly as many pass as fit."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.limits import Charge
from gateway.state.sqlite_limits import SqliteLimits

NOW = 1_700_000_000_000_000
HOUR = 3600 * 1_000_000


def charge(amount: int, most: int, window_us: int) -> Charge:
    return Charge("p", "l", "calls", ("user", "ada"), amount, most, window_us)


def at_once(path: Path, work, plans: list) -> None:
    """Each plan in a thread with a store of its own, all begun together."""
    together, failed = threading.Barrier(len(plans)), []

    def run(plan) -> None:
        store = SqliteLimits(path)
        together.wait()
        try:
            work(store, plan)
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=run, args=(plan,)) for plan in plans]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.parametrize("window", [0, HOUR])
@pytest.mark.parametrize("shared", [True, False])
def test_of_many_threads_exactly_so_many_pass(tmp_path, window, shared):
    path, passed = tmp_path / "state.sqlite", []
    one = SqliteLimits(path)

    def work(own, _) -> None:
        store = one if shared else own
        passed.extend(bool(store.take([charge(1, 10, window)], NOW).taken) for _ in range(10))

    at_once(path, work, list(range(5)))
    assert sum(passed) == 10
    assert len(passed) == 50
    one.close()


STEPS = st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=8)


@given(most=st.integers(0, 12), window=st.sampled_from([0, HOUR]), plans=st.lists(STEPS, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_out_never_exceeds_the_limit_and_what_comes_back_can_go_out_again(most, window, plans):
    """Each step takes an amount and may give it back. What is out is counted before it is given back and after it is taken: an undercount,
    so that a sum above the limit is never an accident of the counting."""
    with tempfile.TemporaryDirectory() as folder:
        path, lock, out, worst = Path(folder) / "state.sqlite", threading.Lock(), [0], [0]
        SqliteLimits(path).close()

        def moved(by: int) -> None:
            with lock:
                out[0] += by
                worst[0] = max(worst[0], out[0])

        def work(store, steps) -> None:
            for amount, returns in steps:
                taken = store.take([charge(amount, most, window)], NOW).taken
                if taken:
                    moved(amount)
                if taken and returns:
                    moved(-amount)
                    store.give_back(taken)

        at_once(path, work, plans)
        store = SqliteLimits(path)
        assert worst[0] <= most
        assert store.look([charge(1, most, window)], NOW) == (out[0],)
        assert bool(store.take([charge(most - out[0], most, window)], NOW).taken)
        store.close()


PROCESS = """
import sys
from pathlib import Path
from gateway.policy.limits import Charge
from gateway.state.sqlite_limits import SqliteLimits
store = SqliteLimits(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
few = Charge("p", "l", "calls", ("user", "ada"), 1, 100, int(sys.argv[2]))
passed = 0
for number in range(200):
    taken = store.take([few], 1_700_000_000_000_000).taken
    if taken and number % 3 == 0:
        store.give_back(taken)
    else:
        passed += bool(taken)
print(passed, flush=True)
if len(sys.argv) > 3:
    sys.stdin.readline()
"""


def start(path: Path, *more: str) -> subprocess.Popen:
    arguments = [sys.executable, "-c", PROCESS, str(path), *more]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("window", [0, HOUR])
def test_two_processes_together_never_pass_more_than_fits(tmp_path, window):
    path = tmp_path / "state.sqlite"
    both = [start(path, str(window)) for _ in range(2)]
    for process in both:
        go(process)
    assert sum(int(process.communicate(timeout=60)[0]) for process in both) == 100
    store = SqliteLimits(path)
    assert store.look([charge(1, 100, window)], NOW) == (100,)
    store.close()


def test_what_a_killed_process_took_stays_taken(tmp_path):
    path = tmp_path / "state.sqlite"
    process = start(path, str(HOUR), "wait")
    go(process)
    assert process.stdout.readline() == "100\n"
    process.kill()
    process.communicate(timeout=60)
    store = SqliteLimits(path)
    assert store.look([charge(1, 100, HOUR)], NOW) == (100,)
    store.close()


def test_a_writer_that_does_not_let_go_is_not_waited_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_limits.BUSY_MS", 50)
    store, other = SqliteLimits(tmp_path / "state.sqlite"), SqliteLimits(tmp_path / "state.sqlite")
    other._db.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(Exception, match="what the limits have counted"):
        store.take([charge(1, 1, 0)], NOW)
    assert time.monotonic() - begun < 2
    assert store.look([charge(1, 1, 0)], NOW) == (0,)
    other._db.execute("ROLLBACK")
    assert store.take([charge(1, 1, 0)], NOW).taken
    store.close()
    other.close()
