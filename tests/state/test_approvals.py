"""What people are asked: one pending approval per call, each used exactly once, also by many processes at once."""

from __future__ import annotations

import multiprocessing

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.installation import open_approvals
from gateway.state.approvals import Approval, Bindings, Ruling
from gateway.state.approving import KEPT_US
from tests.patience import PATIENCE_S

HOUR = 3600 * 1_000_000


def asking(number: int, call: str = "pay 5", session: str = "s", at: int = 1000, **more) -> Approval:
    return Approval(
        id=f"apr_{number}",
        created_us=at,
        expires_us=at + HOUR,
        bindings=Bindings(f"{call} {session} once", f"{call} {session}", call),
        **{"agent": "a", "session": session, "tool": "pay", "arguments": "{}", "policy": "p", "rule": "r", "message": "why"}
        | {"decision": "dec_1", "exchange": "x"}
        | more,
    )


def yes(by: str = "ann", at: int = 2000, until: int = 9 * HOUR, **more) -> Ruling:
    return Ruling(True, by, at, until, **more)


def no(by: str = "ann", at: int = 2000, until: int = 9 * HOUR, **more) -> Ruling:
    return Ruling(False, by, at, until, **more)


@pytest.fixture
def store(kept):
    store = open_approvals(kept)
    yield store
    store.close()


def test_the_same_call_asked_for_again_finds_the_first(store):
    first = store.ask(asking(1), 10)
    assert (first.id, first.state) == ("apr_1", "pending")
    assert store.ask(asking(2, at=1500), 10) == first
    assert store.ask(asking(3, call="pay 6"), 10).id == "apr_3"


def test_an_approval_is_used_once(store):
    store.ask(asking(1), 10)
    store.rule("apr_1", yes(reason="fine"))
    used = store.ask(asking(2, at=3000), 10)
    assert (used.id, used.state, used.decided_by, used.reason, used.used_us) == ("apr_1", "used", "ann", "fine", 3000)
    assert store.ask(asking(3, at=4000), 10).id == "apr_3"


def test_an_approval_survives_a_restart(store, kept):
    store.ask(asking(1), 10)
    store.rule("apr_1", yes(edited='{"a":1}'))
    store.close()
    again = open_approvals(kept)
    assert again.ask(asking(2), 10).edited == '{"a":1}'
    again.close()


def test_a_denial_is_remembered_until_it_ends(store):
    store.ask(asking(1), 10)
    store.rule("apr_1", no(reason="never", until=5000))
    told = store.ask(asking(2, at=4999), 10)
    assert (told.id, told.state, told.reason) == ("apr_1", "denied", "never")
    assert store.ask(asking(3, at=5000), 10).id == "apr_3"


@pytest.mark.parametrize(("scope", "same", "elsewhere"), [("session", "apr_1", "apr_4"), ("agent", "apr_1", "apr_1")])
def test_a_remembered_value_is_granted_as_far_as_its_scope_and_no_further(store, scope, same, elsewhere):
    store.ask(asking(1), 10)
    store.rule("apr_1", yes(scope=scope))
    assert [store.ask(asking(n), 10).id for n in (2, 3)] == [same, same]
    assert store.ask(asking(4, session="other"), 10).id == elsewhere
    assert store.ask(asking(5, call="pay 6"), 10).id == "apr_5"
    assert store.find("apr_1").state == "approved"


def test_an_approval_ends(store):
    store.ask(asking(1), 10)
    store.rule("apr_1", yes(until=5000))
    assert store.ask(asking(2, at=5000), 10).id == "apr_2"


def test_what_nobody_decides_expires_and_cannot_be_decided_any_more(store):
    store.ask(asking(1), 10)
    assert store.expire(1000 + HOUR - 1) == 0
    assert store.expire(1000 + HOUR) == 1
    assert store.find("apr_1").state == "expired"
    with pytest.raises(GatewayError, match="apr_1 is expired"):
        store.rule("apr_1", yes())
    assert store.ask(asking(2, at=1001 + HOUR), 10).id == "apr_2"


def test_a_decision_too_late_is_refused_although_nothing_swept(store):
    store.ask(asking(1), 10)
    with pytest.raises(GatewayError, match="expired"):
        store.rule("apr_1", yes(at=1000 + HOUR))


def test_what_is_decided_stays_so_but_an_unused_approval_can_be_withdrawn(store):
    store.ask(asking(1), 10)
    store.rule("apr_1", yes())
    with pytest.raises(GatewayError, match="apr_1 is approved by ann"):
        store.rule("apr_1", yes(by="bob"))
    assert store.rule("apr_1", no(by="bob")).state == "denied"
    with pytest.raises(GatewayError, match="apr_1 is denied by bob"):
        store.rule("apr_1", no())
    with pytest.raises(GatewayError, match="There is no approval 'apr_9'"):
        store.rule("apr_9", no())


@pytest.mark.parametrize("by", ["ann", " ANN "])
def test_four_eyes_wants_another_person_than_the_one_who_asks(store, by):
    store.ask(asking(1, user="Ann", four_eyes=True), 10)
    with pytest.raises(GatewayError, match="another person must approve it"):
        store.rule("apr_1", yes(by=by))
    assert store.rule("apr_1", yes(by="bob")).state == "approved"


def test_four_eyes_without_a_user_cannot_be_approved_but_denied(store):
    store.ask(asking(1, four_eyes=True), 10)
    with pytest.raises(GatewayError, match="names no user"):
        store.rule("apr_1", yes(by="bob"))
    assert store.rule("apr_1", no(by="ann")).state == "denied"


def test_a_remembered_four_eyes_approval_is_not_used_by_the_one_who_gave_it(store):
    store.ask(asking(1, user="ann", four_eyes=True), 10)
    store.rule("apr_1", yes(by="bob", scope="agent"))
    assert store.ask(asking(2, session="t", user="Bob", four_eyes=True), 10).id == "apr_2"
    assert store.ask(asking(3, session="u", user="eve", four_eyes=True), 10).id == "apr_1"
    assert store.ask(asking(4, session="v", four_eyes=True), 10).id == "apr_4"


def test_a_rule_that_became_four_eyes_does_not_take_what_was_remembered_by_the_one_who_asks(store):
    store.ask(asking(1, user="ann"), 10)
    store.rule("apr_1", yes(by="ann", scope="agent"))
    assert store.ask(asking(2, session="t", user="ann", four_eyes=True), 10).id == "apr_2"
    assert store.ask(asking(3, session="u", user="ann"), 10).id == "apr_1"


def test_an_agent_cannot_pile_up_questions(store):
    for number in range(3):
        store.ask(asking(number, call=f"pay {number}"), 3)
    with pytest.raises(GatewayError, match="3 approvals of the agent 'a' are pending already"):
        store.ask(asking(9, call="pay 9"), 3)
    assert store.ask(asking(9, call="pay 1"), 3).id == "apr_1"
    assert store.ask(asking(9, call="pay 9", agent="b"), 3).id == "apr_9"


@pytest.mark.parametrize("end", ["approve", "deny", "expire", "erase"])
def test_what_waits_no_longer_makes_room_for_other_questions(store, end):
    store.ask(asking(1), 1)
    with pytest.raises(GatewayError, match="pending already"):
        store.ask(asking(2, call="pay 6"), 1)
    if end == "expire":
        assert store.expire(1000 + HOUR) == 1
    elif end == "erase":
        assert store.erase("agent:a", None) == 1
    else:
        store.rule("apr_1", yes() if end == "approve" else no())
    assert store.ask(asking(3, call="pay 6", at=1001 + HOUR), 1).id == "apr_3"


@pytest.mark.parametrize(("behind", "caught_up"), [("unrecorded", "recorded"), ("untold", "told")])
def test_every_change_is_handed_out_until_it_is_recorded_and_told(store, behind, caught_up):
    store.ask(asking(1), 10)
    [asked] = getattr(store, behind)(10)
    store.rule("apr_1", yes())
    getattr(store, caught_up)([asked])
    [approved] = getattr(store, behind)(10)
    assert (approved.state, approved.change) == ("approved", 2)
    getattr(store, caught_up)([approved])
    getattr(store, caught_up)([asked])
    assert getattr(store, behind)(10) == []


def test_only_what_is_on_record_is_forgotten(store):
    store.ask(asking(1), 10)
    store.expire(1000 + HOUR)
    store.expire(2000 + HOUR + KEPT_US)
    assert store.find("apr_1") is not None
    store.recorded(store.unrecorded(10))
    store.expire(2000 + HOUR + KEPT_US)
    assert store.find("apr_1") is None


def test_lists_are_newest_first_and_by_state(store):
    for number in range(3):
        store.ask(asking(number, call=f"pay {number}", at=1000 + number), 10)
    store.rule("apr_1", no())
    assert [each.id for each in store.every()] == ["apr_2", "apr_1", "apr_0"]
    assert [each.id for each in store.every("pending")] == ["apr_2", "apr_0"]
    assert [each.id for each in store.every(limit=1)] == ["apr_2"]
    assert [each.id for each in store.decided(["apr_0", "apr_1", "apr_7"])] == ["apr_1"]


def _use(kept, start, results, number):
    store = open_approvals(kept)
    start.wait()
    for each in range(5):
        results.put(store.ask(asking(100 + 10 * number + each, at=3000), 1000).state)
    store.close()


def test_of_fifty_attempts_by_ten_processes_exactly_one_uses_an_approval(store, kept):
    store.ask(asking(1), 1000)
    store.rule("apr_1", yes())
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    runs = [context.Process(target=_use, args=(kept, start, results, n)) for n in range(10)]
    for run in runs:
        run.start()
    start.set()
    states = [results.get(timeout=60) for _ in range(50)]
    for run in runs:
        run.join(PATIENCE_S)
    assert sorted(states) == ["pending"] * 49 + ["used"]
    assert len(store.every("pending")) == 1


@given(st.lists(st.sampled_from(["ask", "yes", "no", "expire"]), max_size=12))
def test_whatever_happens_uses_never_exceed_approvals(anew, acts):
    store = open_approvals(anew())
    uses = approvals = 0
    for at, act in enumerate(acts, 2000):
        pending = store.every("pending")
        if act == "ask":
            uses += store.ask(asking(at, at=at), 10).state == "used"
        elif act == "expire":
            store.expire(at)
        elif pending:
            approvals += act == "yes"
            store.rule(pending[0].id, msgspec.structs.replace(yes(at=at, until=at + 5), approve=act == "yes"))
        assert uses <= approvals
        assert len(store.every("pending")) <= 1
    store.close()
