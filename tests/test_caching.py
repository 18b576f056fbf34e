"""For whom an answer is kept, and which decisions about its calls let it be kept. The way of a request with a cache is in `flow/`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import identify
from gateway.cache_settings import Cache
from gateway.caching import _clean, whose
from gateway.exchange import Caller
from gateway.verdict import Verdict

NAMES = st.sampled_from(["", "a", "b", "team:a", "agent:a", "a\0b"])
CALLERS = st.builds(Caller, agent=NAMES, key_id=st.none() | NAMES, team=st.none() | NAMES, user=st.none() | NAMES, session=NAMES)


@given(CALLERS, CALLERS)
def test_no_answer_crosses_tenants_unless_that_is_written(one: Caller, other: Caller) -> None:
    same_tenant = identify.tenant(one) == identify.tenant(other)
    for per in ("key", "agent", "team"):
        if whose(one, Cache(per=per)) == whose(other, Cache(per=per)):
            assert same_tenant
    assert whose(one, Cache(per="all")) == whose(other, Cache(per="all"))


@given(CALLERS, CALLERS)
def test_an_answer_is_shared_by_those_who_are_the_same_as_far_as_is_written(one: Caller, other: Caller) -> None:
    team = identify.tenant(one) == identify.tenant(other)
    agent = team and one.agent == other.agent
    key = agent and (one.key_id or "") == (other.key_id or "")
    assert [whose(one, Cache(per=per)) == whose(other, Cache(per=per)) for per in ("key", "agent", "team")] == [key, agent, team]


@given(CALLERS, CALLERS)
def test_no_two_scopes_have_a_name_in_common(one: Caller, other: Caller) -> None:
    scopes = [whose(one, Cache(per=per)) for per in ("key", "agent", "team", "all")]
    others = [whose(other, Cache(per=per)) for per in ("key", "agent", "team", "all")]
    assert not any(mine == theirs for at, mine in enumerate(scopes) for to, theirs in enumerate(others) if at != to)


def verdict(effect: str, *, released: bool = True, approval: str = "", by: str = "") -> Verdict:
    return Verdict(effect, released=released, code="c", reason="r", approval=approval, decided_by=by)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("made", "kept", "kept_where_written"),
    [(verdict("allow"), True, True), (verdict("warn"), True, True), (verdict("unevaluated"), True, True),
     (verdict("redact"), False, False), (verdict("deny", released=False), False, False), (verdict("repair", released=False), False, False),
     (verdict("ask", approval="apr_1", by="ada"), False, True), (verdict("allow", approval="apr_1"), False, True),
     (verdict("ask", released=False, approval="apr_1"), False, False)],
)  # fmt: skip
def test_only_an_answer_whose_calls_all_left_as_they_came_is_kept(made: Verdict, kept: bool, kept_where_written: bool) -> None:
    assert _clean(made, Cache()) is kept
    assert _clean(made, Cache(held_calls=True)) is kept_where_written
