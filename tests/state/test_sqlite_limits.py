"""What limits have counted, in SQLite: what is swept, and a file that is gone or full."""

from __future__ import annotations

import sqlite3
import time

import pytest

from gateway.errors import GatewayError
from gateway.policy.limits import Charge
from gateway.state.limit_accounts import SESSION_US
from gateway.state.reservations import Reservations
from gateway.state.sqlite_limits import SWEEP_EVERY, SqliteLimits

NOW = 1_700_000_000_000_000
HOUR = 3600 * 1_000_000
DAY = 24 * HOUR


def charge(amount=1, most=3, window_us=DAY, limit="few", whose=("user", "ada"), **more) -> Charge:
    return Charge("p", limit, "calls", whose, amount, most, window_us, **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "state.sqlite"


@pytest.fixture
def limits(path):
    store = SqliteLimits(path)
    yield store
    store.close()


def passes(limits, of, now_us=NOW) -> bool:
    return bool(limits.take([of], now_us).taken)


def test_accounts_that_count_no_more_are_taken_out(limits, path):
    for number in range(SWEEP_EVERY - 1):
        limits.take([charge(whose=(str(number),), window_us=0 if number % 2 else DAY)], NOW)
    limits.take([charge(whose=("late",))], NOW + SESSION_US + 1)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM limit_accounts").fetchone() == (1,)
        assert db.execute("SELECT count(*) FROM limit_takings").fetchone() == (1,)


def test_a_store_that_cannot_be_used_says_so(limits):
    taken = limits.take([charge()], NOW).taken
    limits.close()
    for use in (
        lambda: limits.take([charge()], NOW),
        lambda: limits.look([charge()], NOW),
        lambda: limits.give_back(taken),
    ):
        with pytest.raises(GatewayError, match="what the limits have counted") as caught:
            use()
        assert (caught.value.kind, caught.value.code) == ("unavailable", "state_unavailable")


def test_a_taking_that_cannot_be_written_takes_nothing_and_the_next_one_can(limits, path):
    limits._db.execute("CREATE TRIGGER full BEFORE INSERT ON limit_takings BEGIN SELECT raise(ABORT, 'disk full'); END")
    with pytest.raises(GatewayError):
        limits.take([charge(limit="session", window_us=0), charge()], NOW)
    limits._db.execute("DROP TRIGGER full")
    assert limits.look([charge(limit="session", window_us=0), charge()], NOW) == (0, 0)
    assert passes(limits, charge())


# -- the reservations of one request ----------------------------------------------------------------------


def test_what_cannot_be_given_back_stays_counted(limits, path, caplog):
    mine = Reservations(limits)
    mine.take([charge()], NOW)
    limits.close()
    mine.give_back()
    assert "stay counted" in caplog.text
    again = SqliteLimits(path)
    assert again.look([charge()], NOW) == (1,)
    again.close()


# -- against a model that remembers everything -------------------------------------------------------------


def test_a_writer_that_does_not_let_go_is_not_waited_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_limits.BUSY_MS", 50)
    store, other = SqliteLimits(tmp_path / "state.sqlite"), SqliteLimits(tmp_path / "state.sqlite")
    other._db.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(Exception, match="what the limits have counted"):
        store.take([charge(1, 1, window_us=0)], NOW)
    assert time.monotonic() - begun < 4  # of its own accord SQLite waits for five seconds
    assert store.look([charge(1, 1, window_us=0)], NOW) == (0,)
    other._db.execute("ROLLBACK")
    assert store.take([charge(1, 1, window_us=0)], NOW).taken
    store.close()
    other.close()
