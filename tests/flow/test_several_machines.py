"""Two gateways with one Redis: each knows at once what the other was told, and neither lets anything pass that it cannot ask about."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, pairwise
from typing import Any

import pytest

from gateway.clock import now_us
from gateway.installation import open_approvals, open_keys, open_sessions
from gateway.state.approvals import Ruling
from tests.patience import until

HEAD = "policy: 1\nid: p\nagents: ['*']\nallow: [pay]\n"
FEW = {"p.yaml": HEAD + "limits:\n- {id: few, tools: [pay], per: agent, window: 1h, max: 10}\n"}
MANY = {"p.yaml": HEAD + "limits:\n- {id: many, tools: [pay], per: agent, window: 1h, max: 100000}\n"}
ASK = {"p.yaml": HEAD + "rules:\n- {id: big, tools: [pay], effect: ask}\n"}
STOP = {"p.yaml": HEAD + "on_deny: stop\nrules:\n- {id: never, tools: [pay], message: No}\n"}
HISTORY = {"p.yaml": HEAD + "verify_history: true\n"}
TOOLS = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 50}'}}


def whole() -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def streamed() -> list[bytes]:
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [({"role": "assistant", "tool_calls": [{"index": 0, **CALL}]}, None), ({}, "tool_calls")]
    frames = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in deltas]
    return [b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames] + [b"data: [DONE]\n\n"]


class Machines:
    """Two gateways with folders of their own, one secret and one server."""

    def __init__(self, start, tmp_path, url: str, policies: dict[str, str], **more: Any) -> None:
        folders = [tmp_path / "one", tmp_path / "two"]
        settings = {"state": url, "approvals": {"hold": 0, "hold_whole": 0}} | more
        self.both = [start(policies, data=str(folders[0]), **settings)]
        folders[1].mkdir()
        shutil.copy2(folders[0] / "secret", folders[1] / "secret")
        self.both.append(start(policies, data=str(folders[1]), **settings))
        self.settings = self.both[0].settings
        self.keys = open_keys(self.settings)
        self.key = self.keys.create(agent="bot", now_us=now_us(), user="ada")

    def ask(self, at: int = 0, *, stream: bool = False, messages: list[Any] | None = None, key: str | None = None):
        body = {"model": "m", "messages": messages or [{"role": "user", "content": "go"}], "tools": TOOLS, "stream": stream}
        with self.both[at].client(headers={"authorization": f"Bearer {key or self.key}", "x-session-id": "s1"}) as client:
            return client.post("/v1/chat/completions", json=body)


def delivered(answer) -> bool:
    assert answer.status_code == 200, answer.text
    return '"tool_calls"' in answer.text


@pytest.fixture
def machines(start, tmp_path, redis_server, provider):
    provider.answer = provider.json(whole())
    return lambda policies, **more: Machines(start, tmp_path, redis_server.url(), policies, **more)


@pytest.mark.parametrize("stream", [False, True])
def test_of_fifty_requests_at_two_gateways_exactly_ten_get_their_call(machines, provider, stream):
    both = machines(FEW)
    provider.answer = provider.sse(*streamed()) if stream else provider.json(whole())
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda at: both.ask(at, stream=stream), [0, 1] * 25))
    assert sum(map(delivered, answers)) == 10
    assert sum("rule few" in answer.text for answer in answers) == 40
    recorded = [call.released for gateway in both.both for ended in gateway.ended(25) for call in ended.calls]
    recorded += [record.call.released for gateway in both.both for record in gateway.records() if type(record).__name__ == "Decided"]
    assert sorted(recorded) == [False] * 40 + [True] * 10


def test_a_key_that_is_revoked_is_refused_by_all_within_a_second_and_a_new_one_works_at_once(machines):
    both = machines(FEW)
    assert [both.ask(at).status_code for at in (0, 1)] == [200, 200]
    both.keys.revoke(both.key.split("_")[1], now_us())
    revoked = begun = time.monotonic()
    while any(both.ask(at).status_code != 401 for at in (0, 1)):
        assert begun - revoked < 1, "a request that begins a second later still gets in"
        begun = time.monotonic()
    another = both.keys.create(agent="bot", now_us=now_us())
    assert [both.ask(at, key=another).status_code for at in (0, 1)] == [200, 200]


def test_an_approval_that_is_asked_for_at_one_is_used_at_the_other_exactly_once(machines):
    both = machines(ASK)
    assert not delivered(both.ask(0))
    assert not delivered(both.ask(1))
    people, now = open_approvals(both.settings), now_us()
    [pending] = people.every("pending")
    people.rule(pending.id, Ruling(True, "ann", now, now + 10**9))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda at: both.ask(at), [1, 0] * 25))
    assert sum(map(delivered, answers)) == 1
    assert people.find(pending.id).state == "used"
    assert len(people.every("pending")) == 1


def test_an_answer_that_is_held_at_one_leaves_when_somebody_decides_at_the_other(machines):
    both = machines(ASK, approvals={"hold_whole": 20})
    people = open_approvals(both.both[1].settings)

    def decide() -> None:
        found = until(lambda: people.every("pending"))
        people.rule(found[0].id, Ruling(True, "ann", now_us(), now_us() + 10**9))

    person = threading.Thread(target=decide)
    person.start()
    assert delivered(both.ask(0))
    person.join()


def test_a_session_that_is_stopped_at_one_is_refused_at_the_other_until_it_is_resumed(machines):
    both = machines(STOP)
    assert "stopped" in both.ask(0).text
    assert both.ask(1).status_code == 400
    assert "This session is stopped" in both.ask(1).text
    store = open_sessions(both.settings)
    [stopped] = store.every()
    assert store.resume(stopped.owner, stopped.session, by="eve", at_us=now_us())
    assert both.ask(1).status_code == 200


def test_a_conversation_that_happened_at_one_is_known_to_the_other(machines):
    both = machines(HISTORY)
    assert delivered(both.ask(0))
    told = [{"role": "user", "content": "go"}, whole()["choices"][0]["message"], {"role": "tool", "tool_call_id": "c1", "content": "done"}]
    assert both.ask(1, messages=told).status_code == 200
    told[1] = {"role": "assistant", "content": None, "tool_calls": [CALL | {"function": {"name": "pay", "arguments": '{"amount": 5}'}}]}
    assert "forged_history" in both.ask(1, messages=told).text


def test_without_a_key_nobody_gets_in_where_state_is_shared(machines):
    both = machines(FEW)
    assert both.ask(key="sk-another").status_code == 401
    with both.both[0].client() as client:
        assert client.post("/v1/chat/completions", json={}).status_code == 401


def test_a_server_that_goes_in_the_middle_of_load_closes_both_until_it_is_back(start, tmp_path, own_redis_server, provider):
    provider.answer = provider.json(whole())
    both = Machines(start, tmp_path, own_redis_server.url(), MANY)
    codes: list[int] = []
    stop = threading.Event()

    def load(at: int) -> None:
        while not stop.is_set():
            codes.append(both.ask(at).status_code)

    threads = [threading.Thread(target=load, args=(at,)) for at in (0, 1, 0, 1)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    own_redis_server.kill()
    time.sleep(1.0)  # keys are held for half a second
    with both.both[0].client() as client:
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["state"]["healthy"]) == (503, False)
        assert str(own_redis_server.port) in ready.json()["state"]["problem"]
        refused = both.ask(0)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert "state_unavailable" in refused.text
        assert client.get("/livez").status_code == 200
        own_redis_server.start()
        until(lambda: client.get("/readyz").status_code == 200)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(codes) <= {200, 401, 503}
    assert both.ask(0).status_code == 401, "the server has lost the keys: nobody gets in"
    key = both.keys.create(agent="bot", now_us=now_us())
    assert [both.ask(at, key=key).status_code for at in (0, 1)] == [200, 200]


def test_a_server_that_is_emptied_lets_nobody_in_and_limits_count_anew(start, tmp_path, own_redis_server, provider):
    provider.answer = provider.json(whole())
    both = Machines(start, tmp_path, own_redis_server.url(), FEW)
    assert sum(delivered(both.ask(at)) for at, _ in zip(cycle([0, 1]), range(11), strict=False)) == 10
    with both.keys._line.asking("") as redis:
        redis.flushall()
    time.sleep(0.6)
    assert [both.ask(at).status_code for at in (0, 1)] == [401, 401]
    key = both.keys.create(agent="bot", now_us=now_us())
    assert delivered(both.ask(1, key=key))


def test_a_server_that_hangs_holds_up_nobody_who_streams(start, tmp_path, own_redis_server, provider, monkeypatch):
    """A stream of words goes on while other requests wait for the server in vain."""
    monkeypatch.setattr("gateway.state.redis_line.PATIENCE_S", 2.0)
    provider.answer = provider.json(whole())
    both = Machines(start, tmp_path, own_redis_server.url(), MANY)
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    words = [{"role": "assistant", "content": "a"}, *[{"content": "b"}] * 60]
    choices = [{"index": 0, "delta": word, "finish_reason": None} for word in words] + [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    frames = [b"data: " + json.dumps(head | {"choices": [choice]}).encode() + b"\n\n" for choice in choices]
    provider.answer = provider.sse(*frames, b"data: [DONE]\n\n", gap=0.05)
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": True}
    at: list[float] = []
    others: list[int] = []
    with (
        both.both[0].client(headers={"authorization": f"Bearer {both.key}"}) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as answer,
    ):
        for line in answer.iter_lines():
            at.append(time.monotonic())
            if len(at) == 5:
                own_redis_server.process.send_signal(signal.SIGSTOP)
                provider.answer = provider.json(whole())
                pool = [threading.Thread(target=lambda: others.append(both.ask(0).status_code)) for _ in range(8)]
                for thread in pool:
                    thread.start()
            assert "error" not in line
    for thread in pool:
        thread.join()
    own_redis_server.process.send_signal(signal.SIGCONT)
    assert set(others) == {503}
    assert max(later - earlier for earlier, later in pairwise(at)) < 1.2
