"""What is taken on a lease: held while it is renewed, free when nobody renews it, and settled with what was really used."""

from __future__ import annotations

import itertools
import threading
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import clock
from gateway.installation import open_limits
from gateway.policy.limits import Charge
from gateway.state.limits import Lease

NOW = 1_700_000_000_000_000
MINUTE = 60 * 1_000_000
HOUR = 60 * MINUTE
ids = itertools.count(1)


def charge(amount: int = 1, most: int = 3, window_us: int = HOUR, limit: str = "b") -> Charge:
    return Charge("budget", limit, "money", ("team", "red"), amount, most, window_us)


def lease(now_us: int = NOW) -> Lease:
    return Lease(next(ids), now_us + MINUTE)


@pytest.fixture
def limits(kept):
    store = open_limits(kept)
    yield store
    store.close()


WINDOWS = pytest.mark.parametrize("window", [0, HOUR])


@WINDOWS
def test_a_lease_that_nobody_renews_frees_what_it_held(limits, window):
    of = charge(3, window_us=window)
    assert limits.take([of], NOW, lease()).taken
    assert not limits.take([of], NOW + MINUTE, lease(NOW + MINUTE)).taken
    assert limits.take([of], NOW + MINUTE + 1, lease(NOW + MINUTE + 1)).taken


@WINDOWS
def test_a_lease_that_is_renewed_holds_on(limits, window):
    of, held, other = charge(3, window_us=window), lease(), charge(3, window_us=window, limit="other")
    limits.take([of], NOW, held)
    limits.take([other], NOW, lease())
    limits.renew([held.id, 999_999_999], NOW + 10 * MINUTE)
    at = NOW + 9 * MINUTE
    assert not limits.take([of], at, lease(at)).taken
    assert limits.take([other], at, lease(at)).taken


@WINDOWS
@pytest.mark.parametrize("used", [0, 1, 2, 3, 7])
def test_what_was_used_takes_the_place_of_what_was_held_also_where_it_is_more(limits, window, used):
    of, held = charge(2, most=4, window_us=window), lease()
    taking = limits.take([of], NOW, held)
    limits.settle(held.id, [(of, taking.taken[0])], [used], NOW + 1)
    assert limits.look([of], NOW + 2) == (used,)
    later = NOW + 2 * MINUTE
    limits.take([charge(0, window_us=window)], later, lease(later))
    assert limits.look([of], later) == (used,)


@WINDOWS
def test_what_a_lost_lease_gave_back_is_taken_when_it_is_settled_after_all(limits, window):
    of, held = charge(3, window_us=window), lease()
    taking = limits.take([of], NOW, held)
    later = NOW + 2 * MINUTE
    assert limits.take([of], later, lease(later)).taken
    limits.settle(held.id, [(of, taking.taken[0])], [2], later)
    assert limits.look([of], later) == (5,)


@WINDOWS
def test_what_is_cleared_is_forgotten_and_a_running_request_still_counts(limits, window):
    of, other, held = charge(3, window_us=window), charge(1, window_us=window, limit="other"), lease()
    taking = limits.take([of, other], NOW, held)
    limits.clear([of])
    assert limits.look([of, other], NOW) == (0, 1)
    limits.settle(held.id, list(zip([of, other], taking.taken, strict=True)), [2, 0], NOW + 1)
    assert limits.look([of, other], NOW + 1) == (2, 0)


def test_it_is_told_when_a_window_has_room_again(limits):
    of = charge(2, most=4)
    assert limits.frees_us(of, NOW) == NOW
    for at in (NOW, NOW + MINUTE):
        limits.take([of], at)
    assert limits.frees_us(of, NOW + 2 * MINUTE) == NOW + HOUR
    assert limits.frees_us(charge(3, most=4), NOW + 2 * MINUTE) == NOW + MINUTE + HOUR
    assert limits.frees_us(charge(5, most=4), NOW) is None
    assert limits.frees_us(charge(1, most=0, window_us=0), NOW) is None
    moment = limits.frees_us(of, NOW + 2 * MINUTE)
    assert not limits.take([of], moment - 1).taken
    assert limits.take([of], moment).taken


AMOUNTS = st.integers(0, 5) | st.integers(10**9 - 2, 10**9 + 2) | st.integers(10**18, 10**18 + 2)


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=6), st.sampled_from([0, HOUR]))
@settings(max_examples=30, deadline=None)
def test_after_everything_is_settled_the_sum_is_what_was_used(anew, steps, window):
    store, most = open_limits(anew()), 10**19 // 2
    open_now = []
    for amount, _ in steps:
        of, held = charge(amount, most, window), lease()
        open_now.append((of, held, store.take([of], NOW, held).taken[0]))
    for (of, held, taken), (_, used) in zip(open_now, steps, strict=True):
        store.settle(held.id, [(of, taken)], [used], NOW + 1)
    assert store.look([charge(0, most, window)], NOW + 2) == (sum(used for _, used in steps),)
    store.close()


def test_of_fifty_at_once_exactly_ten_hold_a_lease(kept):
    passed, together = [], threading.Barrier(5)
    open_limits(kept).close()

    def work() -> None:
        store = open_limits(kept)
        together.wait()
        passed.extend(bool(store.take([charge(1, 10)], NOW, lease()).taken) for _ in range(10))
        store.close()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(passed), len(passed)) == (10, 50)


def test_steady_time_is_the_same_for_all_and_no_setting_of_the_clock_moves_it(kept, monkeypatch):
    one = open_limits(kept)
    before = one.steady_us()
    now = time.time_ns()
    assert abs(before - now // 1000) < 60_000_000
    for by in (3600, -3600, -86400):
        monkeypatch.setattr(time, "time_ns", lambda by=by: now + by * 10**9)
        two = open_limits(kept)
        assert 0 <= one.steady_us() - before < 60_000_000
        assert abs(two.steady_us() - one.steady_us()) < 1_000_000
        two.close()
    one.close()


def test_a_machine_that_has_started_anew_begins_at_the_wall_clock(tmp_path, monkeypatch):
    from gateway.state import sqlite_limits, sqlite_steady

    boot = tmp_path / "boot_id"
    monkeypatch.setattr(sqlite_steady, "BOOT_ID", boot)
    boot.write_text("one\n")
    sqlite_limits.SqliteLimits(tmp_path / "s.sqlite").close()
    monkeypatch.setattr(clock, "boot_us", lambda: 5)
    boot.write_text("two\n")
    store = sqlite_limits.SqliteLimits(tmp_path / "s.sqlite")
    assert abs(store.steady_us() - clock.now_us()) < 5_000_000
    store.close()
    boot.unlink()
    alone = sqlite_limits.SqliteLimits(tmp_path / "s.sqlite")
    assert abs(alone.steady_us() - clock.now_us()) < 5_000_000
    alone.close()


def test_a_charge_is_the_same_account_however_long_it_is_kept(limits):
    of = charge(1, most=2, window_us=0)
    limits.take([of], NOW)
    assert limits.look([msgspec.structs.replace(of, kept_us=HOUR)], NOW) == (1,)


@WINDOWS
def test_what_is_reserved_is_what_leases_hold_of_what_is_taken(limits, window):
    of, other, third = (charge(most=99, window_us=window, limit=name) for name in ("b", "other", "third"))
    limits.take([msgspec.structs.replace(of, amount=5)], NOW)
    held = lease()
    taken = limits.take([msgspec.structs.replace(of, amount=7), other], NOW, held).taken
    limits.take([msgspec.structs.replace(of, amount=2)], NOW, lease())
    assert limits.reserved([other, of, third], NOW) == (1, 9, 0)
    assert limits.look([of], NOW) == (14,)
    limits.settle(held.id, list(zip([of, other], taken, strict=True)), [3, 0], NOW)
    assert limits.reserved([other, of, third], NOW) == (0, 2, 0)
    assert limits.look([of], NOW) == (10,)


@WINDOWS
def test_who_asks_what_is_reserved_is_not_told_of_leases_that_have_ended(limits, window):
    gone, held = charge(3, window_us=window), charge(2, window_us=window, limit="other")
    limits.take([gone], NOW, lease())
    limits.take([held], NOW, lease(NOW + 1))
    at = NOW + MINUTE + 1
    assert limits.reserved([gone, held], at) == (0, 2)
    assert limits.look([gone, held], at) == (0, 2)
