"""However many ask and decide at once, each approval is used once, and each question has one answer: threads against a model."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway.errors import GatewayError
from gateway.installation import open_approvals
from gateway.state.approvals import Approval, Bindings, Ruling

HOUR = 3600 * 1_000_000
CALLS = st.sampled_from(["pay 5", "pay 6"])


class ManyAsk(RuleBasedStateMachine):
    """`standing` holds of each call what stands about it: (id, state, until). Three stores ask, as three workers do."""

    @initialize()
    def begin(self):
        kept = self.anew()
        self.stores = [open_approvals(kept) for _ in range(3)]
        self.standing, self.now, self.ids = {}, 1000, count()
        self.approved = self.used = 0

    def at_once(self, work, times):
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(lambda n: work(self.stores[n % 3]), range(times)))

    def asked(self, store, call) -> Approval:
        new = Approval(
            f"apr_{next(self.ids)}", self.now, self.now + HOUR, Bindings(call, call + " s", call + " a"), "a", "s", "pay", "{}", "p", "r",
            "why", "d", "x",
        )  # fmt: skip
        return store.ask(new, 1000)

    def stands(self, call):
        name, state, until = self.standing.get(call, ("", "", 0))
        return (name, state) if until > self.now else ("", "")

    @rule(call=CALLS, times=st.integers(1, 12))
    def ask(self, call, times):
        name, state = self.stands(call)
        answers = self.at_once(lambda store: self.asked(store, call), times)
        states = sorted(answer.state for answer in answers)
        if state == "denied":
            assert {(answer.id, answer.state) for answer in answers} == {(name, "denied")}
            return
        used = [answer.id for answer in answers if answer.state == "used"]
        assert used == ([name] if state == "approved" else [])
        self.used += len(used)
        pending = {answer.id for answer in answers if answer.state == "pending"}
        assert states == sorted(["used"] * len(used) + ["pending"] * (times - len(used)))
        assert len(pending) == min(1, times - len(used))
        assert state != "pending" or pending == {name}
        if used:
            del self.standing[call]
        if pending and state != "pending":
            self.standing[call] = (pending.pop(), "pending", self.now + HOUR)

    @rule(call=CALLS, approve=st.booleans(), people=st.integers(1, 5), lasts=st.integers(1, HOUR))
    def decide(self, call, approve, people, lasts):
        name, state = self.stands(call)
        if not name:
            return
        ruling = Ruling(approve, "ann", self.now, self.now + lasts)

        def said(store):
            try:
                return store.rule(name, ruling).state
            except GatewayError as error:
                return error.code

        heard = self.at_once(said, people)
        taken = state == "pending" or (state == "approved" and not approve)
        outcome = "approved" if approve else "denied"
        assert sorted(heard) == sorted(([outcome] if taken else []) + ["not_pending"] * (people - taken))
        if taken:
            self.standing[call] = (name, outcome, self.now + lasts)
            self.approved += approve

    @rule(by=st.integers(0, 2 * HOUR))
    def time_passes(self, by):
        self.now += by

    @rule()
    def expire(self):
        over = [name for name, state, until in self.standing.values() if state == "pending" and until <= self.now]
        assert sum(self.at_once(lambda store: store.expire(self.now), 4)) <= len(over)
        assert {self.stores[0].find(name).state for name in over} <= {"expired"}

    @invariant()
    def no_more_was_used_than_approved_and_no_more_waits_than_is_asked(self):
        if hasattr(self, "stores"):
            assert self.used <= self.approved
            live = sorted(name for name, state, until in self.standing.values() if state == "pending" and until > self.now)
            assert sorted(each.id for each in self.stores[0].every("pending") if each.expires_us > self.now) == live

    def teardown(self):
        for store in getattr(self, "stores", ()):
            store.close()


def test_whoever_asks_and_decides_at_once_each_approval_is_used_once(anew):
    ManyAsk.anew = staticmethod(anew)
    bounds = settings(max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(ManyAsk, settings=bounds)
