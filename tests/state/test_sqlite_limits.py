"""What limits have counted, in SQLite: exact, sliding, never turned back, given back when not used."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.errors import GatewayError
from gateway.policy.amounts import LARGEST, UNIT
from gateway.policy.limits import Charge
from gateway.state.reservations import Reservations
from gateway.state.sqlite_limits import SESSION_US, SWEEP_EVERY, SqliteLimits

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


@pytest.mark.parametrize("window", [0, DAY])
def test_exactly_as_much_passes_as_fits(limits, window):
    assert [passes(limits, charge(window_us=window)) for _ in range(5)] == [True, True, True, False, False]
    assert limits.look([charge(window_us=window)], NOW) == (3,)


def test_sums_have_no_rounding(limits):
    tenth = charge(UNIT // 10, most=UNIT)
    assert sum(passes(limits, tenth) for _ in range(20)) == 10


def test_the_largest_amounts_are_held(limits):
    most = LARGEST * UNIT
    assert passes(limits, charge(most, most))
    assert not passes(limits, charge(1, most))
    assert not passes(limits, charge(10**300, most, limit="other"))


def test_what_does_not_fit_takes_nothing_from_its_siblings(limits):
    narrow, wide = charge(most=1, limit="narrow"), charge(most=9, limit="wide")
    assert limits.take([wide, narrow], NOW).spent == (0, 0)
    second = limits.take([wide, narrow], NOW)
    assert (second.spent, second.taken) == ((1, 1), ())
    assert limits.look([wide, narrow], NOW) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        charge(whose=("user", "bob")),
        charge(whose=("user", None)),
        charge(limit="more"),
        charge(shadow=True),
        charge(window_us=0),
        msgspec.structs.replace(charge(), policy="q"),
        msgspec.structs.replace(charge(), what="args.amount"),
    ],
)
def test_each_subject_of_each_limit_has_its_own_count(limits, other):
    assert passes(limits, charge())
    assert limits.look([other, charge()], NOW) == (0, 1)


def test_a_changed_maximum_or_window_goes_on_counting(limits):
    assert passes(limits, charge())
    assert not passes(limits, charge(most=1))
    assert not passes(limits, charge(most=1, window_us=HOUR))


def test_a_window_slides(limits):
    for at in (NOW, NOW + HOUR, NOW + 2 * HOUR):
        assert passes(limits, charge(), at)
    assert not passes(limits, charge(), NOW + DAY - 1)
    assert passes(limits, charge(), NOW + DAY)
    assert not passes(limits, charge(), NOW + DAY)
    assert passes(limits, charge(), NOW + DAY + HOUR)


def test_a_session_does_not_slide(limits):
    for _ in range(3):
        assert passes(limits, charge(window_us=0))
    assert not passes(limits, charge(window_us=0), NOW + SESSION_US - 1)


@pytest.mark.parametrize("back", [1, HOUR, 365 * DAY])
def test_a_clock_that_is_set_back_frees_nothing(limits, back):
    for _ in range(3):
        assert passes(limits, charge())
    assert not passes(limits, charge(), NOW - back)
    assert not passes(limits, charge(), NOW - back + DAY - 1)


def test_what_is_taken_while_the_clock_stands_back_stays_as_long(limits):
    assert passes(limits, charge(), NOW)
    assert passes(limits, charge(most=2), NOW - HOUR)
    assert not passes(limits, charge(most=2), NOW + DAY - 1)


def test_counts_outlive_the_process_and_are_shared(limits, path):
    assert passes(limits, charge(most=2))
    other = SqliteLimits(path)
    assert passes(other, charge(most=2))
    assert not passes(limits, charge(most=2))
    other.close()
    again = SqliteLimits(path)
    assert not passes(again, charge(most=2), NOW - HOUR)
    again.close()


@pytest.mark.parametrize("window", [0, DAY])
def test_what_is_given_back_can_be_taken_again(limits, window):
    taken = [limits.take([charge(window_us=window)], NOW).taken for _ in range(3)]
    limits.give_back(taken[1])
    assert passes(limits, charge(window_us=window))
    assert not passes(limits, charge(window_us=window))


def test_what_has_expired_is_not_given_back_a_second_time(limits):
    first = limits.take([charge()], NOW).taken
    assert passes(limits, charge(), NOW + DAY)
    limits.give_back(first)
    assert limits.look([charge()], NOW + DAY) == (1,)


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


def test_a_request_gives_back_what_was_not_delivered(limits):
    mine = Reservations(limits)
    assert mine.take([charge(most=2)], NOW) == (0,)
    mine.settle()
    assert mine.take([charge(most=2)], NOW) == (1,)
    assert mine.look([charge(most=2)], NOW) == (2,)
    mine.give_back()
    mine.give_back()
    assert limits.look([charge()], NOW) == (1,)


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


class AgainstAList(RuleBasedStateMachine):
    """The store counts like a list of everything that was ever taken, with a clock that never runs back."""

    @initialize(window=st.sampled_from([0, 10, 1000]), most=st.integers(0, 50))
    def begin(self, window, most):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.sqlite"
        self.store, self.window, self.most = SqliteLimits(self.path), window, most
        self.now, self.seen, self.kept, self.taken = NOW, 0, {}, []

    def live(self):
        return sum(amount for at, amount in self.kept.values() if not self.window or at > self.time() - self.window)

    def time(self):
        return max(self.now, self.seen)

    @rule(amount=st.integers(0, 20))
    def take(self, amount):
        taking = self.store.take([charge(amount, self.most, self.window)], self.now)
        assert taking.spent == (self.live(),)
        assert bool(taking.taken) is (self.live() + amount <= self.most)
        if taking.taken:
            self.seen = self.time()
            self.kept[len(self.taken)] = (self.seen, amount)
            self.taken.append(taking.taken)

    @rule(data=st.data())
    def give_back(self, data):
        if not self.kept:
            return
        which = data.draw(st.sampled_from(sorted(self.kept)))
        self.store.give_back(self.taken[which])
        del self.kept[which]

    @rule(by=st.integers(-2000, 2000))
    def clock_moves(self, by):
        self.now += by

    @rule()
    def restart(self):
        self.store.close()
        self.store = SqliteLimits(self.path)

    @invariant()
    def the_same_is_spent(self):
        if hasattr(self, "store"):
            assert self.store.look([charge(0, self.most, self.window)], self.now) == (self.live(),)

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


TestAgainstAList = AgainstAList.TestCase
TestAgainstAList.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
