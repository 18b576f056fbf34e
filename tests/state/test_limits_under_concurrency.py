"""However many ask at once, over threads and processes, exactly as many pass as fit."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.config import Settings
from gateway.installation import open_limits
from gateway.policy.limits import Charge
from gateway.state.limits import Taken

NOW = 1_700_000_000_000_000
HOUR = 3600 * 1_000_000


def charge(amount: int, most: int, window_us: int) -> Charge:
    return Charge("p", "l", "calls", ("user", "ada"), amount, most, window_us)


def at_once(kept: Settings, work, plans: list) -> None:
    """Each plan in a thread with a store of its own, all begun together."""
    together, failed = threading.Barrier(len(plans)), []

    def run(plan) -> None:
        store = open_limits(kept)
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
def test_of_many_threads_exactly_so_many_pass(kept, window, shared):
    passed = []
    one = open_limits(kept)

    def work(own, _) -> None:
        store = one if shared else own
        passed.extend(bool(store.take([charge(1, 10, window)], NOW).taken) for _ in range(10))

    at_once(kept, work, list(range(5)))
    assert sum(passed) == 10
    assert len(passed) == 50
    one.close()


STEPS = st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=8)


@given(most=st.integers(0, 12), window=st.sampled_from([0, HOUR]), plans=st.lists(STEPS, min_size=2, max_size=4))
@settings(max_examples=40, deadline=None)
def test_what_is_out_never_exceeds_the_limit_and_what_comes_back_can_go_out_again(anew, most, window, plans):
    """Each step takes an amount and may give it back. What is out is counted before it is given back and after it is taken: an undercount,
    so that a sum above the limit is never an accident of the counting."""
    kept, lock, out, worst = anew(), threading.Lock(), [0], [0]
    open_limits(kept).close()

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

    at_once(kept, work, plans)
    store = open_limits(kept)
    assert worst[0] <= most
    assert store.look([charge(1, most, window)], NOW) == (out[0],)
    assert bool(store.take([charge(most - out[0], most, window)], NOW).taken)
    store.close()


PROCESS = """
import sys
from gateway.config import Settings
from gateway.installation import open_limits
from gateway.policy.limits import Charge
store = open_limits(Settings.model_validate_json(sys.argv[1]))
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


def start(kept: Settings, *more: str) -> subprocess.Popen:
    arguments = [sys.executable, "-c", PROCESS, kept.model_dump_json(), *more]
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("window", [0, HOUR])
def test_two_processes_together_never_pass_more_than_fits(kept, window):
    both = [start(kept, str(window)) for _ in range(2)]
    for process in both:
        go(process)
    assert sum(int(process.communicate(timeout=60)[0]) for process in both) == 100
    store = open_limits(kept)
    assert store.look([charge(1, 100, window)], NOW) == (100,)
    store.close()


def test_what_a_killed_process_took_stays_taken(kept):
    process = start(kept, str(HOUR), "wait")
    go(process)
    assert process.stdout.readline() == "100\n"
    process.kill()
    process.communicate(timeout=60)
    store = open_limits(kept)
    assert store.look([charge(1, 100, HOUR)], NOW) == (100,)
    store.close()


# -- threads and another process, against a model ----------------------------------------------------------

OTHER = """
import json, sys
import msgspec
from gateway.config import Settings
from gateway.installation import open_limits
from gateway.policy.limits import Charge
for line in sys.stdin:
    kept, times, now, charge = json.loads(line)
    store = open_limits(Settings.model_validate_json(kept))
    taken = [store.take([msgspec.convert(charge, Charge)], now).taken for _ in range(times)]
    store.close()
    print(msgspec.json.encode([each for each in taken if each]).decode(), flush=True)
"""


@pytest.fixture(scope="module")
def other():
    """A process that takes what it is told to."""
    process = subprocess.Popen([sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.communicate(timeout=30)


class ManyAtOnce(RuleBasedStateMachine):
    """Bursts over three threads and another process, with what comes back between them: exactly as many pass as fit."""

    other: subprocess.Popen

    @initialize(window=st.sampled_from([0, HOUR]), most=st.integers(0, 30))
    def begin(self, window, most):
        self.kept = self.anew()
        self.stores = [open_limits(self.kept) for _ in range(3)]
        self.window, self.most, self.now, self.out = window, most, NOW, []

    def spent(self):
        return sum(taken.amount for at, taken in self.out if not self.window or at > self.now - self.window)

    @rule(amount=st.integers(1, 7), times=st.integers(1, 6), there=st.integers(0, 6))
    def burst(self, amount, times, there):
        of, room = charge(amount, self.most, self.window), self.most - self.spent()
        self.other.stdin.write(json.dumps([self.kept.model_dump_json(), there, self.now, msgspec.to_builtins(of)]) + "\n")
        self.other.stdin.flush()
        with ThreadPoolExecutor(len(self.stores)) as pool:
            here = list(pool.map(lambda store: [store.take([of], self.now).taken for _ in range(times)], self.stores))
        passed = [taken for each in here for taken in each if taken]
        passed += msgspec.json.decode(self.other.stdout.readline(), type=list[tuple[Taken, ...]])
        assert len(passed) == min(3 * times + there, room // amount)
        self.out += [(self.now, one) for (one,) in passed]

    @rule(data=st.data(), at_once=st.integers(1, 5))
    def give_back(self, data, at_once):
        some = data.draw(st.permutations(range(len(self.out))))[:at_once]
        with ThreadPoolExecutor(len(self.stores)) as pool:
            list(pool.map(lambda n: self.stores[n % 3].give_back([self.out[n][1]]), some))
        self.out = [each for n, each in enumerate(self.out) if n not in some]

    @rule(by=st.integers(0, 2 * HOUR))
    def time_passes(self, by):
        self.now += by

    @invariant()
    def the_count_is_what_is_out(self):
        if hasattr(self, "stores"):
            assert self.stores[0].look([charge(1, self.most, self.window)], self.now) == (self.spent(),)

    def teardown(self):
        if hasattr(self, "stores"):
            for store in self.stores:
                store.close()


def test_over_threads_and_processes_the_store_counts_like_a_list(other, anew):
    ManyAtOnce.other, ManyAtOnce.anew = other, staticmethod(anew)
    bounds = settings(
        max_examples=25, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    run_state_machine_as_test(ManyAtOnce, settings=bounds)
