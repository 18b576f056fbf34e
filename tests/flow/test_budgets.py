"""Budgets through the data plane: reserved before a provider is asked, settled with what it took, refused in the client's own form."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from gateway.installation import open_limits
from gateway.state.sqlite_limits import SqliteLimits
from tests.patience import until

PRICES = {"m": {"input": "1", "output": "1000"}}
USED = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
"""Of which the exact price is 100 * $0.000001 + 10 * $0.001 = $0.0101."""
WORST = 100 * 1_000_000
"""100 tokens of answer; what is read adds a little."""


def budget(**more):
    return {"id": "b", "per": "agent", "of": "money", "max": "1.00", "window": "1h"} | more


def body(**more):
    return {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 100} | more


def whole(usage=USED, **more):
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage} | more


def streamed(usage=USED):
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    said = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    trees = [head | {"choices": [said]}, head | {"choices": [last]}, head | {"choices": [], "usage": usage}]
    return [*(b"data: " + json.dumps(tree).encode() + b"\n\n" for tree in trees), b"data: [DONE]\n\n"]


def ask(gateway, headers=None, **more):
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=body(**more), headers=headers or {})


def spent(gateway):
    """Of all accounts, in billionths of a dollar."""
    store = SqliteLimits(gateway.settings.data_path / "state.sqlite")
    rows = store._db.execute("SELECT spent FROM limit_accounts").fetchall()
    leases = store._db.execute("SELECT count(*) FROM limit_leases").fetchone()[0]
    store.close()
    return [amount for (amount,) in rows], leases


def findings(gateway, count):
    return [finding.code for ended in gateway.ended(count) for finding in ended.findings if finding.validator == "budget"]


@pytest.mark.parametrize("stream", [False, True])
def test_what_an_answer_cost_takes_the_place_of_what_it_could_cost(start, provider, stream):
    gateway = start(prices=PRICES, budgets=[budget()])
    provider.answer = provider.sse(*streamed()) if stream else provider.json(whole())
    for n in (1, 2, 3):
        assert ask(gateway, stream=stream).status_code == 200
        assert spent(gateway) == ([n * 10_100_000], 0)
    assert [ended.exchange.budgets for ended in gateway.ended(3)] == [("b=anonymous",)] * 3


def test_a_budget_that_is_used_up_refuses_and_says_when_there_is_room(start, provider):
    gateway = start(prices=PRICES, budgets=[budget(max="0.11", window="1h")])
    provider.answer = provider.json(whole())
    assert ask(gateway).status_code == 200
    refused = ask(gateway)
    assert refused.status_code == 429
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    error = refused.json()["error"]
    assert (error["code"], error["type"]) == ("budget_exceeded", "rate_limit_error")
    told = ("'b'", "money per agent, in 1h", "allows $0.11", "$0.0101 are taken", "may take $0.1", "room again at", "Ask for less")
    for words in told:
        assert words in error["message"]
    assert gateway.ended(2)[-1].exchange.error_code == "budget_exceeded"
    assert findings(gateway, 2) == ["hard_limit"]
    assert ask(gateway, max_tokens=10).status_code == 200


@pytest.mark.parametrize(
    ("window", "status"), [("day", 429), ("month", 429), ("session", 402), ("total", 402), ("1m", 429)]
)
def test_what_waiting_cannot_free_is_no_rate_limit(start, provider, window, status):
    gateway = start(budgets=[budget(of="requests", max=1, window=window)])
    provider.answer = provider.json(whole())
    assert ask(gateway).status_code == 200
    refused = ask(gateway)
    assert refused.status_code == status
    assert ("retry-after" in refused.headers) is (status == 429)


def test_each_dialect_says_it_in_its_own_form(start, provider):
    dialects = ["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]
    upstream = {"dialect": dialects, "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}
    gateway = start(budgets=[budget(of="requests", max=0, window="total")], upstreams={"all": upstream})
    with gateway.client() as client:
        messages = client.post("/v1/messages", json=body(), headers={"anthropic-version": "2023-06-01"})
        gemini = client.post("/v1beta/models/m:generateContent", json={"contents": [{"role": "user", "parts": [{"text": "go"}]}]})
        responses = client.post("/v1/responses", json={"model": "m", "input": "go"})
    assert (messages.status_code, messages.json()["error"]["type"]) == (402, "billing_error")
    assert (gemini.status_code, gemini.json()["error"]["details"][0]["reason"]) == (402, "budget_exceeded")
    assert (responses.status_code, responses.json()["error"]["code"]) == (402, "budget_exceeded")


@pytest.mark.parametrize(("of", "most"), [("money", "1.01"), ("requests", 10)])
def test_of_fifty_at_once_exactly_ten_pass(start, provider, of, most):
    gateway = start(prices=PRICES, budgets=[budget(of=of, max=most)])
    provider.answer = provider.json(whole({"prompt_tokens": 100, "completion_tokens": 100, "total_tokens": 200}))
    with ThreadPoolExecutor(25) as pool:
        codes = list(pool.map(lambda _: ask(gateway).status_code, range(50)))
    assert (codes.count(200), codes.count(429)) == (10, 40)
    assert spent(gateway)[1] == 0


def test_tokens_are_held_by_the_bytes_of_the_request_and_the_length_of_the_answer(start, provider):
    gateway = start(budgets=[budget(of="tokens", max=1000)])
    provider.answer = provider.json(whole())
    assert ask(gateway, max_tokens=2000).status_code == 402
    assert ask(gateway, max_tokens=500, messages=[{"role": "user", "content": "x" * 500}]).status_code == 402
    assert ask(gateway, max_tokens=400, n=3).status_code == 402
    assert ask(gateway, max_tokens=500).status_code == 200
    assert spent(gateway)[0] == [110]


@pytest.mark.parametrize(("named", "model", "cost"), [("xai", "xai/m", "10.1"), ("x_ai", "xai/m", "10.1"), (None, "m", "0.0101")])
def test_the_prices_of_whoever_speaks_the_dialect_count(start, provider, named, model, cost):
    upstream = {"dialect": "openai.chat", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}, "provider": named}
    prices = {"xai/m": {"input": "1000", "output": "1000000"}} if named else {"m": {"input": "1", "output": "1000"}}
    gateway = start(prices=prices, budgets=[budget(max="200.00")], upstreams={"up": upstream})
    provider.answer = provider.json(whole())
    assert ask(gateway).status_code == 200
    (ended,) = gateway.ended(1)
    assert (ended.exchange.provider, ended.exchange.price_model) == (named or "openai", model)
    assert Decimal(ended.exchange.cost) == Decimal(cost)
    assert spent(gateway) == ([int(Decimal(cost) * 10**9)], 0)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_provider_says_it_charged_is_what_was_spent(start, provider, stream):
    upstream = {"dialect": "openai.chat", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}, "provider": "openrouter"}
    gateway = start(prices={"x/other": {"input": "1", "output": "1"}}, upstreams={"up": upstream})
    counts = USED | {"cost": 0.0125, "is_byok": False, "num_search_queries": 3}
    provider.answer = provider.sse(*streamed(counts)) if stream else provider.json(whole(counts))
    assert ask(gateway, stream=stream).status_code == 200
    (ended,) = gateway.ended(1)
    assert Decimal(ended.exchange.cost) == Decimal("0.0125")
    assert (ended.exchange.price_model, ended.exchange.not_priced) == ("stated", ())


def test_an_answer_whose_total_has_more_than_its_counts_takes_the_worst_case(start, provider):
    gateway = start(prices=PRICES, budgets=[budget(of="tokens", max=1000), budget(id="m", max="1.00")])
    provider.answer = provider.json(whole(USED | {"total_tokens": 111}))
    assert ask(gateway).status_code == 200
    tokens, money = sorted(spent(gateway)[0])
    assert 110 < tokens < 1000
    assert money > 10_100_000
    (ended,) = gateway.ended(1)
    assert (ended.exchange.cost, ended.exchange.not_priced) == (None, ("total_tokens",))


def test_what_never_reached_a_provider_or_was_refused_by_it_costs_nothing(start, provider):
    gateway = start(prices=PRICES, budgets=[budget(), budget(id="n", of="requests", max=5)])
    provider.answer = provider.json({"error": {"message": "no", "type": "x"}}, "400 Bad Request")
    assert ask(gateway).status_code == 400
    assert sorted(spent(gateway)[0]) == [0, 1]


def test_what_nobody_said_afterwards_counts_as_the_worst_case(start, provider):
    gateway = start(prices=PRICES, budgets=[budget()])
    provider.answer = provider.json(whole(usage=None))
    assert ask(gateway).status_code == 200
    (amount,), leases = spent(gateway)
    assert amount > WORST
    assert leases == 0


def test_a_client_that_leaves_gives_its_lease_back(start, provider):
    gateway = start(prices=PRICES, budgets=[budget()])
    provider.answer = provider.sse(streamed()[0], hang=True)
    with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=body(stream=True)) as answer:
        pieces = answer.iter_bytes()  # one that nobody holds closes its connection
        assert next(pieces)
        assert spent(gateway)[1] == 1
    gateway.ended(1)
    until(lambda: spent(gateway)[1] == 0)


def test_a_hard_budget_refuses_what_it_cannot_bound_and_a_soft_one_does_not(start, provider):
    provider.answer = provider.json(whole())
    gateway = start(budgets=[budget()])
    refused = ask(gateway)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_unbounded")
    assert "what its model costs" in refused.json()["error"]["message"]


def test_an_answer_without_a_bound_is_refused_where_the_table_does_not_bound_it(start, provider):
    gateway = start(prices=PRICES, budgets=[budget()])
    provider.answer = provider.json(whole())
    refused = ask(gateway, max_tokens=None)
    assert "how long its answer may become" in refused.json()["error"]["message"]


def test_a_soft_budget_notes_and_tells_once(start, provider):
    gateway = start(prices=PRICES, budgets=[budget(action="soft", max="0.02", window="day")])
    provider.answer = provider.json(whole())
    assert [ask(gateway).status_code for _ in range(4)] == [200] * 4
    assert findings(gateway, 4) == ["soft_limit_reached", "soft_limit"]


def test_budgets_count_apart_for_each_subject_model_and_tag(start, provider):
    budgets = [
        budget(id="tagged", per="tag:project", of="requests", max=1),
        budget(id="dear", per="all", of="requests", max=2, models=["m-large*"]),
        budget(id="elsewhere", per="all", of="requests", max=0, routes=["/v1/embeddings"]),
    ]
    gateway = start(budgets=budgets)
    provider.answer = provider.json(whole())
    red, blue = ({"x-tollhouse-tag-project": name} for name in ("red", "blue"))
    assert [ask(gateway, red).status_code, ask(gateway, red).status_code, ask(gateway, blue).status_code] == [200, 429, 200]
    large = [ask(gateway, {"x-tollhouse-tag-project": str(n)}, model="m-large-2").status_code for n in range(3)]
    assert large == [200, 200, 429]


def test_what_one_budget_refuses_takes_nothing_from_another(start, provider):
    gateway = start(budgets=[budget(id="wide", of="requests", max=9), budget(id="narrow", of="requests", max=1)])
    provider.answer = provider.json(whole())
    assert [ask(gateway).status_code for _ in range(3)] == [200, 429, 429]
    assert spent(gateway)[0] == [1, 1]


def test_steps_of_a_session_are_requests_in_it(start, provider):
    gateway = start(budgets=[budget(id="steps", per="session", of="requests", max=2, window="session")])
    provider.answer = provider.json(whole())
    one, two = ({"x-session-id": name} for name in ("one", "two"))
    assert [ask(gateway, h).status_code for h in (one, one, one, two)] == [200, 200, 402, 200]


def test_without_budgets_the_state_store_is_asked_nothing(start, provider):
    gateway = start(prices=PRICES)
    provider.answer = provider.json(whole())
    assert ask(gateway).status_code == 200
    store = open_limits(gateway.settings)
    assert store._db.execute("SELECT count(*) FROM limit_accounts").fetchone() == (0,)
    store.close()
    assert gateway.ended(1)[0].exchange.budgets == ()


def test_while_the_state_store_is_away_a_hard_budget_refuses_and_a_soft_one_notes_it(start, provider, own_redis_server):
    provider.answer = provider.json(whole())
    away = {"state": own_redis_server.url(), "keys": "optional"}
    hard, soft = (start(**away, budgets=[budget(of="requests", max=5, action=action)]) for action in ("hard", "soft"))
    assert [ask(hard).status_code, ask(soft).status_code] == [200, 200]
    own_redis_server.kill()
    assert ask(hard).status_code == 503
    assert ask(soft).status_code == 200
    assert findings(soft, 2) == ["not_counted"]


def test_a_model_that_is_asked_again_holds_and_counts_each_time(start, provider):
    """A denial steers it: what both answers took is counted, and two requests were made."""
    call = {"id": "c", "type": "function", "function": {"name": "burn", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    first = whole() | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    answers = [provider.json(first), provider.json(whole())]

    async def answer(reader, writer, sent):
        await answers.pop(0)(reader, writer, sent)

    policy = "policy: 1\nid: p\nagents: ['*']\nallow: [look]\non_deny: steer\n"
    gateway = start({"p.yaml": policy}, prices=PRICES, budgets=[budget(), budget(id="n", of="requests", max=9)])
    provider.answer = answer
    tools = [{"type": "function", "function": {"name": "burn", "parameters": {"type": "object"}}}]
    assert ask(gateway, tools=tools).status_code == 200
    assert answers == []
    assert sorted(spent(gateway)[0]) == [2, 20_200_000]
    assert spent(gateway)[1] == 0
    assert gateway.ended(1)[0].exchange.rounds == 2


@pytest.mark.parametrize("by_s", [3 * 3600, -3 * 3600, 40 * 86_400])
@pytest.mark.parametrize("window", ["1h", "day", "month"])
def test_setting_the_clock_frees_nothing_and_takes_nothing(start, provider, monkeypatch, window, by_s):
    gateway = start(budgets=[budget(of="requests", max=1, window=window), budget(id="free", of="requests", max=9, window=window)])
    provider.answer = provider.json(whole())
    assert ask(gateway).status_code == 200
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + by_s * 10**9)
    assert ask(gateway).status_code == 429
    assert spent(gateway)[0] == [1, 1]
