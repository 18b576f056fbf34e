"""A tail for people who are bound to teams: all of theirs, once each, and not a trace of anybody else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.web.tail import MAX_LINES, OwnLines

TEAMS = st.sampled_from(["red", "blue", "Red", "", None])


def exchange(n: int, team: str | None) -> bytes:
    return json.dumps({"record": "exchange", "id": f"x{n}", "team": team, "agent": f"of {team}"}).encode() + b"\n"


def call(n: int, m: int) -> bytes:
    return json.dumps({"record": "call", "id": f"c{m}", "exchange_id": f"x{n}", "team": "red"}).encode() + b"\n"


@given(st.lists(TEAMS, min_size=1, max_size=5), st.data())
def test_theirs_are_told_once_each_in_whatever_order_they_come_and_others_never(teams, data):
    lines = [(n, exchange(n, team)) for n, team in enumerate(teams)]
    lines += [(n, call(n, m)) for m, n in enumerate(data.draw(st.lists(st.integers(0, len(teams) - 1), max_size=8)))]
    lines = data.draw(st.permutations(lines))
    own = OwnLines(frozenset({"red"}))
    told = [each for _, line in lines for each in own.of(line)]
    assert sorted(told) == sorted(line for n, line in lines if teams[n] == "red")
    for n, line in lines:
        if teams[n] == "red" and line.startswith(b'{"record": "exchange"'):
            before = [other for m, other in lines[: lines.index((n, line))] if m == n]
            assert told[told.index(line) - len(before) : told.index(line)] == before


def test_calls_of_an_exchange_that_has_not_ended_wait():
    own = OwnLines(frozenset({"red"}))
    assert own.of(call(1, 1)) == []
    assert own.of(exchange(1, "red")) == [call(1, 1), exchange(1, "red")]
    assert own.of(call(1, 2)) == [call(1, 2)]


def test_how_much_others_did_is_not_told():
    own = OwnLines(frozenset({"red"}))
    assert own.of(b'{"record":"gap","lines":977}\n') == [b'{"record":"gap"}\n']
    assert own.of(b'{"record":"interrupted","id":"x7"}\n') == []
    assert own.of(b'{"record":"news","team":"red"}\n') == []


def test_what_is_held_is_bounded():
    own = OwnLines(frozenset({"red"}))
    for n in range(MAX_LINES + 50):
        assert own.of(call(n, n)) == []
    assert own.of(exchange(0, "red")) == [exchange(0, "red")]
    assert len(own.of(exchange(MAX_LINES + 49, "red"))) == 2
