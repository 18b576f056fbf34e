"""Every budget that can be written: per whom × of what × in which window, through the data plane. All of them stand in one gateway, each
for a model of its own, so that a request concerns exactly one."""

from __future__ import annotations

import datetime as dt
from itertools import product

import pytest

from gateway import clock
from gateway.clock import now_us
from gateway.installation import open_keys

PER = ("all", "key", "agent", "team", "org", "user", "session", "tag:project", "tag:ticket")
OF = {"money": "1.20", "tokens": 4000, "requests": 1, "calls": 1}
"""So much that one request fits, and after it no second one."""
WINDOWS = ("1m", "1h", "30d", "day", "month", "session", "total")
EVERY = list(product(PER, OF, WINDOWS))
BEGIN = dt.datetime(2027, 3, 10, 12, tzinfo=dt.UTC)
"""In the middle of a day and of a month."""
ENDS = {
    "1m": BEGIN + dt.timedelta(minutes=1),
    "1h": BEGIN + dt.timedelta(hours=1),
    "30d": BEGIN + dt.timedelta(days=30),
    "day": dt.datetime(2027, 3, 11, tzinfo=dt.UTC),
    "month": dt.datetime(2027, 4, 1, tzinfo=dt.UTC),
}
"""Of a window that began then; the others have no end."""
LONG = dt.timedelta(minutes=20)
"""More than the test takes."""

CALL = {"id": "t", "type": "function", "function": {"name": "get", "arguments": "{}"}}
USED = {"prompt_tokens": 500, "completion_tokens": 300, "total_tokens": 800}
ANSWER = {
    "id": "a", "object": "chat.completion", "created": 1, "model": "m", "usage": USED,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}],
}  # fmt: skip
TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]


def model(per, of, window, action="hard"):
    return f"{action}.{per.replace(':', '-')}.{of}.{window}"


def budget(per, of, window, action="hard"):
    name = model(per, of, window, action)
    return {"id": name, "per": per, "of": of, "max": OF[of], "window": window, "action": action, "models": [name]}


@pytest.fixture
def steady(monkeypatch):
    """`steady(moment)`: what the store's clock says from then on. The store must be open: its time goes on from when it is opened."""
    real, offset = clock.boot_us, 0
    base = now_us()

    def at(moment):
        nonlocal offset
        offset = int(moment.timestamp() * 1e6) - base

    monkeypatch.setattr(clock, "boot_us", lambda: real() + offset)
    return at


@pytest.fixture
def matrix(start, provider):
    """`matrix(budgets)`: a gateway with them, and what asks it."""

    def made(budgets):
        prices = {each["id"]: {"input": "1", "output": "1000"} for each in budgets}
        gateway = start(prices=prices, budgets=budgets, keys="required", durability="interval")
        provider.answer = provider.json(ANSWER)
        return Asking(gateway)

    return made


class Asking:
    def __init__(self, gateway):
        self.gateway = gateway
        self.http = gateway.client()
        self._keys = open_keys(gateway.settings)
        self.ana = self.caller()

    def caller(self, session="s1", ticket="t1", key=None, **other):
        """Headers of somebody who is like the first one but for what is said."""
        who = {"agent": "bot", "team": "red", "org": "acme", "user": "ann", "project": "p1"} | other
        project = who.pop("project")
        made = key or self._keys.create(now_us=now_us(), labels={"project": project}, expires_us=None, **who)
        return {"authorization": f"Bearer {made}", "x-session-id": session, "x-tollhouse-tag-ticket": ticket}

    def same_key(self, **other):
        return self.caller(key=self.ana["authorization"].removeprefix("Bearer "), **other)

    def status(self, name, caller):
        body = {"model": name, "messages": [{"role": "user", "content": "go"}], "max_tokens": 1000, "tools": TOOLS}
        found = self.http.post("/v1/chat/completions", json=body, headers=caller)
        assert found.status_code == 200 or found.json()["error"]["code"] == "budget_exceeded", found.text
        return found.status_code


OTHERS = {"agent": "bat", "team": "blue", "org": "beta", "user": "bea", "project": "p2", "session": "s2", "ticket": "t2"}
FIELD = {"tag:project": "project", "tag:ticket": "ticket"}
NAMED = ("agent", "team", "user")
"""Those of two organisations may have the same names."""


def _all_but(*fields):
    return {name: value for name, value in OTHERS.items() if name not in fields}


def test_each_counts_for_whom_it_is_and_for_nobody_else(matrix, steady):
    asking = matrix([budget(*each) for each in EVERY])
    steady(BEGIN)
    other_key = asking.caller()
    differing = {field: asking.caller(**{field: value}) for field, value in OTHERS.items() if field not in ("session", "ticket")}
    differing |= {field: asking.same_key(**{field: OTHERS[field]}) for field in ("session", "ticket")}
    strangers = {field: asking.caller(**_all_but(field, *(["org"] if field in NAMED else []))) for field in OTHERS}
    namesake = asking.caller(org="beta", project="p2", session="s3", ticket="t3")
    wrong = []
    for per, of, window in EVERY:
        name, full = model(per, of, window), 429 if window in ENDS else 402
        field = FIELD.get(per, per)
        expected = {"first": (asking.ana, 200), "again": (asking.ana, full)}
        if "session" in (per, window):  # sessions are told apart by agent and key, whoever else they are
            expected |= {"another key": (other_key, 200), "another session": (differing["session"], 200)}
        elif per == "all":
            expected |= {f"another {each}": (caller, full) for each, caller in differing.items()}
        elif per == "key":
            expected |= {"another key": (other_key, 200), "the key elsewhere": (asking.same_key(session="s3", ticket="t3"), full)}
        else:
            expected |= {f"another {field}": (differing[field], 200), f"the {field} of another": (strangers[field], full)}
            expected |= {f"another organisation's {field} of that name": (namesake, 200)} if field in NAMED else {}
        found = {what: asking.status(name, caller) for what, (caller, _) in expected.items()}
        wrong += [(name, what, found[what], status) for what, (_, status) in expected.items() if found[what] != status]
    assert wrong == []


def test_each_has_room_again_when_its_window_ends_and_not_before(matrix, steady):
    asking = matrix([budget(*each) for each in EVERY if each[0] in ("agent", "session")])
    steady(BEGIN)
    mine = [each for each in EVERY if each[0] in ("agent", "session")]
    assert {asking.status(model(*each), asking.ana) for each in mine} == {200}
    for window, end in sorted(ENDS.items(), key=lambda each: each[1]):
        ending = [model(*each) for each in mine if each[2] == window]
        steady(max(BEGIN, end - LONG))
        assert (window, {asking.status(name, asking.ana) for name in ending}) == (window, {429})
        steady(end + LONG)
        assert (window, {asking.status(name, asking.ana) for name in ending}) == (window, {200})
    steady(BEGIN + dt.timedelta(days=30))
    assert {asking.status(model(*each), asking.ana) for each in mine if each[2] in ("session", "total")} == {402}


def test_each_that_is_soft_lets_pass_and_says_so_once_for_each_subject(matrix, steady):
    every = [(per, of, "day", "soft") for per in PER for of in OF]
    asking = matrix([budget(*each) for each in every])
    steady(BEGIN)
    for each in every:
        assert [asking.status(model(*each), asking.ana) for _ in range(7)] == [200] * 7
    found = {}
    for ended in asking.gateway.ended(7 * len(every)):
        codes = [finding.code for finding in ended.findings if finding.validator == "budget"]
        found.setdefault(ended.exchange.request_model, []).extend(codes)
    once = {model(*each): found[model(*each)].count("soft_limit_reached") for each in every}
    assert once == {model(*each): 1 for each in every}
    assert {name: codes.count("soft_limit") >= 1 for name, codes in found.items()} == dict.fromkeys(once, True)
