"""What limits have counted: exact, sliding, never turned back, given back when not used."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.installation import open_limits
from gateway.policy.amounts import LARGEST, UNIT
from gateway.policy.limits import Charge
from gateway.state.limit_accounts import SESSION_US
from gateway.state.reservations import Reservations

NOW = 1_700_000_000_000_000
HOUR = 3600 * 1_000_000
DAY = 24 * HOUR


def charge(amount=1, most=3, window_us=DAY, limit="few", whose=("user", "ada"), **more) -> Charge:
    return Charge("p", limit, "calls", whose, amount, most, window_us, **more)


@pytest.fixture
def limits(kept):
    store = open_limits(kept)
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


AMOUNTS = st.integers(0, LARGEST * UNIT) | st.integers(10**9 - 3, 10**9 + 3) | st.integers(10**18 - 3, 10**18 + 3) | st.integers(0, 9)


@given(most=AMOUNTS, amounts=st.lists(AMOUNTS, max_size=8), back=st.integers(0, 7), window=st.sampled_from([0, DAY]))
@settings(max_examples=40, deadline=None)
def test_numbers_of_any_size_are_added_and_taken_away_exactly(anew, most, amounts, back, window):
    store, out = open_limits(anew()), []
    for amount in amounts:
        taking = store.take([charge(amount, most, window)], NOW)
        assert taking.spent == (sum(taken.amount for taken in out),)
        assert bool(taking.taken) is (taking.spent[0] + amount <= most)
        out += taking.taken
    store.give_back(out[:back])
    assert store.look([charge(1, most, window)], NOW) == (sum(taken.amount for taken in out[back:]),)
    assert store.look([charge(1, most, window)], NOW + DAY) == (sum(taken.amount for taken in out[back:]) if not window else 0,)
    store.close()


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


def test_what_a_shorter_window_has_let_go_does_not_come_back_with_a_longer_one_nor_is_it_given_back(limits):
    taken = [limits.take([charge()], NOW).taken for _ in range(3)]
    limits.give_back(taken[0])
    assert passes(limits, charge(window_us=HOUR), NOW + 2 * HOUR)
    assert limits.look([charge()], NOW + 2 * HOUR) == (1,)
    limits.give_back(taken[1])
    assert limits.look([charge()], NOW + 2 * HOUR) == (1,)


@pytest.mark.parametrize("digits", range(1, 18))
def test_what_was_taken_in_one_moment_ends_in_one_moment(limits, digits):
    for amount in (10**digits - 1, 1, 1):
        assert passes(limits, charge(amount, LARGEST * UNIT))
    assert limits.look([charge()], NOW + DAY - 1) == (10**digits + 1,)
    assert limits.look([charge()], NOW + DAY) == (0,)


def test_taking_nothing_leaves_what_was_taken_before_where_it_was(limits):
    assert passes(limits, charge(2))
    assert passes(limits, charge(0), NOW + HOUR)
    assert limits.look([charge()], NOW + DAY) == (0,)


def test_of_many_that_expire_at_once_or_bit_by_bit_none_counts_too_long_or_too_short(limits):
    """More than any store takes out at once."""
    most, minute, taken = 5000, 60 * 1_000_000, [limits.take([charge(most=5000)], NOW + at * 1000).taken for at in range(2500)]
    limits.give_back([each for one in taken[100:120] for each in one])
    assert limits.look([charge()], NOW + minute) == (2480,)
    assert limits.look([charge()], NOW + DAY + 109_500) == (2500 - 110 - 10,)
    for past in (1_200_000, 1_200_500, 1_300_000, 1_499_999):
        left = 2499 - past // 1000
        assert limits.look([charge()], NOW + DAY + past) == (left,)
        assert limits.take([charge(0, most=most)], NOW + DAY + past).spent == (left,)
    assert limits.look([charge()], NOW + 3 * DAY) == (0,)
    assert limits.take([charge(most=1)], NOW + 3 * DAY).taken
    assert limits.look([charge()], NOW + 3 * DAY) == (1,)


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


def test_counts_outlive_the_process_and_are_shared(limits, kept):
    assert passes(limits, charge(most=2))
    other = open_limits(kept)
    assert passes(other, charge(most=2))
    assert not passes(limits, charge(most=2))
    other.close()
    again = open_limits(kept)
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


def test_a_request_gives_back_what_was_not_delivered(limits):
    mine = Reservations(limits)
    assert mine.take([charge(most=2)], NOW) == (0,)
    mine.settle()
    assert mine.take([charge(most=2)], NOW) == (1,)
    assert mine.look([charge(most=2)], NOW) == (2,)
    mine.give_back()
    mine.give_back()
    assert limits.look([charge()], NOW) == (1,)


class AgainstAList(RuleBasedStateMachine):
    """The store counts like a list of everything that was ever taken, with a clock that never runs back."""

    @initialize(window=st.sampled_from([0, 10, 1000]), most=st.integers(0, 50))
    def begin(self, window, most):
        self.kept = self.anew()
        self.store, self.window, self.most = open_limits(self.kept), window, most
        self.now, self.seen, self.lasting, self.taken = NOW, 0, {}, []

    def live(self):
        return sum(amount for at, amount in self.lasting.values() if not self.window or at > self.time() - self.window)

    def time(self):
        return max(self.now, self.seen)

    @rule(amount=st.integers(0, 20))
    def take(self, amount):
        taking = self.store.take([charge(amount, self.most, self.window)], self.now)
        assert taking.spent == (self.live(),)
        assert bool(taking.taken) is (self.live() + amount <= self.most)
        if taking.taken:
            self.seen = self.time()
            self.lasting[len(self.taken)] = (self.seen, amount)
            self.taken.append(taking.taken)

    @rule(data=st.data())
    def give_back(self, data):
        if not self.lasting:
            return
        which = data.draw(st.sampled_from(sorted(self.lasting)))
        self.store.give_back(self.taken[which])
        del self.lasting[which]

    @rule(by=st.integers(-2000, 2000))
    def clock_moves(self, by):
        self.now += by

    @rule()
    def restart(self):
        self.store.close()
        self.store = open_limits(self.kept)

    @invariant()
    def the_same_is_spent(self):
        if hasattr(self, "store"):
            assert self.store.look([charge(0, self.most, self.window)], self.now) == (self.live(),)

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()


def test_the_store_counts_like_a_list(anew):
    AgainstAList.anew = staticmethod(anew)
    run_state_machine_as_test(AgainstAList, settings=settings(max_examples=60, stateful_step_count=30, deadline=None))
