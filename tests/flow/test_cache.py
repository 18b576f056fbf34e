"""Answers given again, through the data plane: judged anew, on record as what they are, to nobody but whom they are for."""

from __future__ import annotations

import asyncio
import base64
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from gateway.clock import now_us
from gateway.installation import open_keys, open_vault
from gateway.policy import load
from gateway.state.approvals import Ruling
from gateway.upstream import translate
from tests.patience import PATIENCE_S, until

PRICES = {"gpt-4o-mini": {"input": "1", "output": "1000"}}
SAVED = Decimal("0.00501")
"""Of 10 tokens read and 5 written."""


def body(wire, *, stream=False, said="go", **more):
    """A request of the wire's dialect whose answer depends on nothing but itself."""
    match wire.path:
        case "/v1/messages":
            asked = {"model": "claude-sonnet-4-5", "max_tokens": 99, "messages": [{"role": "user", "content": said}], "temperature": 0}
        case "/v1/responses":
            asked = {"model": "gpt-4o-mini", "input": said, "store": False, "temperature": 0}
        case "/v1/chat/completions":
            asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": said}], "temperature": 0}
        case _:
            contents = [{"role": "user", "parts": [{"text": said}]}]
            return {"contents": contents, "generationConfig": {"temperature": 0}, **more}
    return asked | ({"stream": True} if stream else {}) | more


def path(wire, stream):
    return wire.path.replace("generateContent", "streamGenerateContent") + "?alt=sse" if stream and "gemini" in wire.path else wire.path


def ask(gateway, wire, *, stream=False, headers=None, **more):
    with gateway.client() as client:
        return client.post(path(wire, stream), json=body(wire, stream=stream, **more), headers=headers or {})


def settled(gateway):
    """Until what went well is kept: it is when the answer has left."""
    until(lambda: not gateway.plane.active)


def twice(gateway, wire, **more):
    """What the cache said, both times."""
    found = []
    for _ in range(2):
        found.append(ask(gateway, wire, **more).headers.get("x-tollhouse-cache"))
        settled(gateway)
    return found


FORMS = [(name, stream) for name in ("chat", "messages", "responses", "gemini") for stream in (False, True)]


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_an_equal_request_gets_the_same_answer_and_the_provider_is_not_asked(
    start, provider, all_upstreams, wires, answer, redis_server, where
):
    state = {"state": redis_server.url(), "keys": "optional"} if where == "redis" else {}
    gateway = start(upstreams=all_upstreams, cache={"store": where}, prices=PRICES, **state)
    for number, (name, stream) in enumerate(FORMS, 1):
        wire = wires[name]
        answer(wire, ["Hel", "lo"], stream=stream)
        first = ask(gateway, wire, stream=stream)
        settled(gateway)
        answer(wire, ["other"], stream=stream)
        again = ask(gateway, wire, stream=stream)
        assert (first.status_code, again.status_code) == (200, 200)
        assert (first.headers["x-tollhouse-cache"], again.headers["x-tollhouse-cache"]) == ("miss", "hit")
        assert first.content == again.content
        assert first.headers["content-type"] == again.headers["content-type"]
        assert len(provider.received) == number
        made, given = (each.exchange for each in gateway.ended(2 * number)[-2:])
        assert (made.cache, given.cache, given.cached_from) == ("miss", "hit", made.id)
        assert (given.state, given.output_preview, given.upstream, given.upstream_status) == ("complete", "Hello", None, None)
        assert (given.cost, given.input_tokens, given.output_tokens) == ("0", None, None)
        assert given.saved_cost == made.cost
        assert name != "chat" or Decimal(given.saved_cost) == SAVED


SCHEMA = {"type": "object"}
TOOLS = [{"type": "function", "function": {"name": "get", "parameters": SCHEMA}}]
TOOLS_OF = {
    "chat": TOOLS,
    "messages": [{"name": "get", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "get", "parameters": SCHEMA, "strict": False}],
    "gemini": [{"functionDeclarations": [{"name": "get", "parameters": {"type": "OBJECT"}}]}],
}
ALLOWING = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\n"


def test_calls_of_an_answer_that_is_given_again_are_judged_again(start, provider, all_upstreams, wires, answer):
    gateway = start({"p.yaml": ALLOWING}, upstreams=all_upstreams, cache={})
    for number, (name, stream) in enumerate(FORMS, 1):
        wire, tools = wires[name], TOOLS_OF[name]
        answer(wire, ["Hel", "lo"], stream=stream, call=True)
        first = ask(gateway, wire, stream=stream, tools=tools)
        settled(gateway)
        assert ask(gateway, wire, stream=stream, tools=tools).content == first.content
        assert b"get" in first.content
        assert len(provider.received) == number
        made, given = (each.exchange for each in gateway.ended(2 * number)[-2:])
        assert (made.calls, given.calls, given.denied, given.cache) == (1, 1, 0, "hit")
    verdicts = [row for record in gateway.records() for row in ([record.call] if hasattr(record, "call") else getattr(record, "calls", ()))]
    assert [row.effect for row in verdicts] == ["allow"] * 2 * len(FORMS)


def test_without_the_setting_nothing_is_kept_and_no_header_says_so(start, provider, wires, answer):
    gateway = start()
    answer(wires["chat"], ["Hi"], stream=False)
    assert twice(gateway, wires["chat"], headers={"x-tollhouse-cache": "nonsense"}) == [None, None]
    assert len(provider.received) == 2
    assert gateway.ended(2)[1].exchange.cache is None


def test_no_store_and_refresh_are_the_clients_to_say(start, provider, wires, answer):
    gateway, wire = start(cache={}), wires["chat"]
    answer(wire, ["old"], stream=False)
    assert twice(gateway, wire) == ["miss", "hit"]
    answer(wire, ["new"], stream=False)
    past = ask(gateway, wire, headers={"x-tollhouse-cache": "no-store"})
    assert (past.headers["x-tollhouse-cache"], "new" in past.text) == ("off", True)
    settled(gateway)
    assert "old" in ask(gateway, wire).text
    anew = ask(gateway, wire, headers={"X-Tollhouse-Cache": "Refresh"})
    assert (anew.headers["x-tollhouse-cache"], "new" in anew.text) == ("miss", True)
    settled(gateway)
    assert "new" in ask(gateway, wire).text
    assert len(provider.received) == 3


@pytest.mark.parametrize("said", [[("x-tollhouse-cache", "yes")], [("x-tollhouse-cache", "refresh"), ("x-tollhouse-cache", "no-store")]])
def test_a_wish_that_is_not_understood_is_refused(start, provider, wires, answer, said):
    gateway, wire = start(cache={}), wires["chat"]
    answer(wire, ["Hi"], stream=False)
    with gateway.client() as client:
        refused = client.post(wire.path, json=body(wire), headers=said)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cache_header")
    assert "no-store" in refused.json()["error"]["message"]
    assert provider.received == []


def keyed(gateway, **more):
    store = open_keys(gateway.settings)
    made = store.create(**({"agent": "bot", "now_us": now_us(), "team": None, "user": None, "labels": {}, "expires_us": None} | more))
    store.close()
    return {"authorization": f"Bearer {made}"}


CALLERS = [
    {"agent": "bot", "team": "red"}, {"agent": "bot", "team": "red"}, {"agent": "bat", "team": "red"}, {"agent": "bot", "team": "blue"},
    {"agent": "bot"}, {"agent": "bat"}, {"agent": "bot", "team": "red", "org": "acme"}, {"agent": "bat", "team": "red", "org": "acme"},
    {"agent": "bot", "org": "acme"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("per", "alike"),
    [
        ("key", [[0], [1], [2], [3], [4], [5], [6], [7], [8]]),
        ("agent", [[0, 1], [2], [3], [4], [5], [6], [7], [8]]),
        ("team", [[0, 1, 2], [3], [4], [5], [6, 7], [8]]),
        ("all", [[0, 1, 2, 3, 4, 5, 6, 7, 8]]),
    ],
)
def test_an_answer_is_given_to_nobody_but_whom_it_is_for(start, provider, wires, answer, per, alike):
    gateway, wire = start(cache={"per": per}), wires["chat"]
    keys = [keyed(gateway, **caller) for caller in CALLERS]
    found = []
    for number, key in enumerate(keys):
        answer(wire, [f"said to {number}"], stream=False)
        found.append(json.loads(ask(gateway, wire, headers=key).content)["choices"][0]["message"]["content"])
        settled(gateway)
    assert found == [f"said to {next(group[0] for group in alike if n in group)}" for n in range(len(CALLERS))]


def test_what_costs_nothing_takes_no_money_and_is_a_step_all_the_same(start, provider, wires, answer):
    budgets = [
        {"id": "money", "per": "agent", "of": "money", "max": "0.02", "window": "1h"},
        {"id": "steps", "per": "agent", "of": "requests", "max": 4, "window": "1h"},
    ]
    gateway, wire = start(cache={}, prices=PRICES, budgets=budgets), wires["chat"]
    answer(wire, ["Hi"], stream=False)
    codes = []
    for _ in range(5):
        codes.append(ask(gateway, wire, max_tokens=10).status_code)
        settled(gateway)
    assert codes == [200, 200, 200, 200, 429]
    assert gateway.ended(5)[1].exchange.budgets == ("steps=anonymous",)
    assert ask(gateway, wire, max_tokens=10, said="something else").status_code == 429


def test_an_answer_that_a_budget_does_not_let_be_given_is_no_hit_and_stays_where_it_is(start, provider, all_upstreams, wires, answer):
    for name, stream in FORMS:
        steps = {"id": "steps", "per": "all", "of": "requests", "max": 2, "window": "total"}
        gateway, wire = start(upstreams=all_upstreams, cache={}, budgets=[steps]), wires[name]
        before = gateway.plane.gateway
        answer(wire, ["Hi"], stream=stream)
        found = [*twice(gateway, wire, stream=stream), *twice(gateway, wire, stream=stream)]
        assert (name, stream, found) == (name, stream, ["miss", "hit", "off", "off"])
        refused = gateway.ended(4)[3].exchange
        assert (refused.state, refused.error_code) == ("rejected", "budget_exceeded")
        assert (refused.cache, refused.cached_from, refused.cost, refused.saved_cost) == (None, None, None, None)
        without = before.settings.model_copy(update={"budgets": []})
        gateway.plane.gateway = replace(before, settings=without)
        assert ask(gateway, wire, stream=stream).headers["x-tollhouse-cache"] == "hit"
    assert len(provider.received) == len(FORMS)


def finished(wire, reason):
    tree = wire.whole("Hi")
    tree["choices"][0]["finish_reason"] = reason
    return tree


RESULTS = {"messages": [
    {"role": "user", "content": "go"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": {"name": "get", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "t", "content": "42"},
]}  # fmt: skip
PICTURE = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
NEVER = {
    "sampled": {"temperature": 0.7},
    "no temperature": {"temperature": None},
    "a provider's tool": {"web_search_options": {}},
    "an image by its address": {"messages": [{"role": "user", "content": [PICTURE]}]},
    "results of tools": RESULTS,
    "kept by the provider": {"store": True},
    "another model": {"model": "gpt-4o"},
    "not known to anybody": {"new_field": 1},
}


def test_nobody_looks_for_an_answer_that_depends_on_more_than_the_request(start, provider, wires, answer):
    gateway = start(cache={"models": ["*-mini"]})
    answer(wires["chat"], ["Hi"], stream=False)
    found = {why: twice(gateway, wires["chat"], **changes) for why, changes in NEVER.items()}
    assert found == {why: ["off", "off"] for why in NEVER}
    assert len(provider.received) == 2 * len(NEVER)
    assert {each.exchange.cache for each in gateway.ended(2 * len(NEVER))} == {None}
    unclear = json.dumps(body(wires["chat"])).replace('"temperature": 0', '"temperature": 0, "top_p": 0.10000000000000000001')
    with gateway.client() as client:
        found = client.post("/v1/chat/completions", content=unclear, headers={"content-type": "application/json"})
    assert (found.status_code, found.headers["x-tollhouse-cache"]) == (200, "off")


@pytest.mark.parametrize(
    "settings", [{"cache": {"agents": ["bot"]}}, {"cache": {"routes": ["/v1/messages"]}}, {"cache": {}, "storing": "metadata"}]
)
def test_nobody_looks_where_the_settings_say_so(start, provider, wires, answer, settings):
    gateway = start(**settings)
    answer(wires["chat"], ["Hi"], stream=False)
    assert twice(gateway, wires["chat"]) == ["off", "off"]


def test_what_is_written_lifts_what_is_left_out(start, provider, wires, answer):
    gateway, wire = start(cache={"sampled": True, "tool_results": True}), wires["chat"]
    answer(wire, ["Hi"], stream=False)
    assert twice(gateway, wire, **(RESULTS | {"temperature": 1})) == ["miss", "hit"]


REPLACING = """policy: 1
id: p
agents: ['*']
allow: [get]
rules:
- {id: r, at: output, detect: [iban], effect: %s}
"""
DENYING = ALLOWING.replace("get", "other")
IBAN = "pay to DE89 3704 0044 0532 0130 00"


def test_what_rules_have_changed_or_withheld_is_not_kept(start, provider, wires):
    wire = wires["chat"]
    said = {REPLACING % "redact": wire.whole(IBAN), REPLACING % "deny": wire.whole(IBAN), DENYING: wire.whole("Hi", call=True)}
    for policy, tree in said.items():
        gateway = start({"p.yaml": policy}, cache={})
        provider.answer = provider.json(tree)
        assert twice(gateway, wire, tools=TOOLS) == ["miss", "miss"]


def test_what_was_cut_off_failed_or_holds_the_gateways_own_secrets_is_not_kept(start, provider, wires):
    gateway, wire = start(cache={"answer_bytes": 4000}), wires["chat"]
    answers = [finished(wire, reason) for reason in ("length", "content_filter", "tired", None)]
    answers += [wire.whole("it is sk-canary-provider-key-1234"), wire.whole("x" * 5000), b'{"choices": [', {"choices": []}]
    for number, tree in enumerate(answers):
        provider.answer = provider.json(tree)
        assert (number, twice(gateway, wire, said=str(number))) == (number, ["miss", "miss"])


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Internal Server Error"])
def test_an_error_of_the_provider_is_not_kept(start, provider, wires, answer, status):
    gateway = start(cache={})
    provider.answer = provider.json({"error": {"message": "no", "type": "x"}}, status)
    assert twice(gateway, wires["chat"]) == ["miss", "miss"]
    answer(wires["chat"], ["Hi"], stream=False)
    assert twice(gateway, wires["chat"]) == ["miss", "hit"]


def test_a_stream_that_breaks_off_or_that_the_client_leaves_is_not_kept(start, provider, wires, answer):
    gateway, wire = start(cache={}), wires["chat"]
    pieces = wire.stream(["Hel", "lo"])
    provider.answer = provider.sse(*pieces[:2], end=False)
    assert ask(gateway, wire, stream=True).status_code == 200
    settled(gateway)
    provider.answer = provider.sse(*pieces[:2], hang=True)
    with gateway.client() as client, client.stream("POST", wire.path, json=body(wire, stream=True)) as left:
        assert next(left.iter_bytes())
    gateway.ended(2)
    settled(gateway)
    answer(wire, ["Hel", "lo"], stream=True)
    assert twice(gateway, wire, stream=True) == ["miss", "hit"]


LIMITED = ALLOWING + "limits:\n- {id: few, tools: [get], max: 2, per: agent, window: 1h}\n"


@pytest.mark.parametrize(("stream", "more"), [(False, ""), (True, ""), (False, "on_deny: steer\n"), (True, "on_deny: steer\n")])
def test_what_may_not_be_given_again_is_replaced_and_forgotten(start, provider, wires, answer, stream, more):
    """A limit of calls counts those of kept answers, too; then nobody is asked in its place, and the next request goes to the provider."""
    gateway, wire = start({"p.yaml": LIMITED + more}, cache={}), wires["chat"]
    answer(wire, ["Hi"], stream=stream, call=True)
    assert twice(gateway, wire, stream=stream, tools=TOOLS) == ["miss", "hit"]
    denied = ask(gateway, wire, stream=stream, tools=TOOLS)
    settled(gateway)
    assert (denied.headers["x-tollhouse-cache"], "limit" in denied.text) == ("hit", True)
    assert gateway.ended(3)[2].exchange.state == "denied"
    assert len(provider.received) == 1
    assert ask(gateway, wire, stream=stream, tools=TOOLS).headers["x-tollhouse-cache"] == "miss"


def test_another_policy_finds_nothing_and_the_old_one_finds_its_own(start, provider, wires, answer):
    gateway, wire = start({"p.yaml": ALLOWING}, cache={}), wires["chat"]
    old, new = gateway.plane.gateway, replace(gateway.plane.gateway, policies=load({"p.yaml": (ALLOWING + "# new\n").encode()}))
    answer(wire, ["Hi"], stream=False)
    assert twice(gateway, wire) == ["miss", "hit"]
    gateway.plane.gateway = new
    assert twice(gateway, wire) == ["miss", "hit"]
    gateway.plane.gateway = old
    assert twice(gateway, wire) == ["hit", "hit"]


ASKING = "policy: 1\nid: p\nagents: ['*']\nallow: [get]\nrules:\n- {id: r, tools: [get], effect: ask, message: look}\n"


@pytest.mark.parametrize(("cache", "found"), [({}, "miss"), ({"held_calls": True}, "hit")])
def test_an_answer_with_a_call_that_people_approved_is_kept_where_that_is_written_and_people_are_asked_again(
    start, provider, wires, answer, cache, found
):
    gateway, wire = start({"p.yaml": ASKING}, cache=cache, approvals={"hold_whole": 20}), wires["chat"]
    answer(wire, ["Hi"], stream=False, call=True)
    for number, expected in enumerate(("miss", found)):
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(ask, gateway, wire, tools=TOOLS)
            approve(gateway, number)
            got = asked.result(PATIENCE_S)
        settled(gateway)
        assert (got.headers["x-tollhouse-cache"], b"tool_calls" in got.content) == (expected, True)


def approve(gateway, number):
    """The one that comes next."""
    store = gateway.plane.gateway.approvals
    waiting = until(lambda: store.every("pending"))
    store.rule(waiting[0].id, Ruling(approve=True, by=f"ada{number}", at_us=now_us(), expires_us=now_us() + 10**9))


def test_a_server_that_is_away_costs_an_answer_nothing(start, provider, wires, answer, own_redis_server):
    gateway, wire = start(state=own_redis_server.url(), keys="optional", cache={"store": "redis"}), wires["chat"]
    answer(wire, ["Hi"], stream=False)
    assert twice(gateway, wire) == ["miss", "hit"]
    own_redis_server.kill()
    assert twice(gateway, wire) == ["off", "off"]
    assert len(provider.received) == 3


@pytest.mark.parametrize("policies", [None, {"p.yaml": ALLOWING}])
@pytest.mark.parametrize("keys", ["auto", "optional"])
def test_with_a_server_that_is_away_what_its_state_is_wanted_for_is_refused(
    start, provider, wires, answer, own_redis_server, policies, keys
):
    gateway, wire = start(policies, state=own_redis_server.url(), keys=keys, cache={"store": "redis"}), wires["chat"]
    held, new = keyed(gateway), keyed(gateway)
    answer(wire, ["Hi"], stream=False)
    assert twice(gateway, wire, headers=held) == ["miss", "hit"]
    own_redis_server.kill()
    refused = ask(gateway, wire, headers=new)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "state_unavailable")
    assert len(provider.received) == 1


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_what_is_erased_is_not_given_again(start, provider, wires, answer, redis_server, tmp_path, where):
    master = tmp_path / "master"
    master.write_text(base64.b64encode(bytes(range(32))).decode())
    master.chmod(0o600)
    state = redis_server.url() if where == "redis" else "sqlite"
    more = {"encryption": {"keys": {"file": str(master)}}, "state": state}
    gateway, wire = start(cache={"store": where, "per": "agent"}, **more), wires["chat"]
    ada, bob = (keyed(gateway, team="red", user=user) for user in ("ada", "bob"))
    answer(wire, ["Hi"], stream=False)
    assert twice(gateway, wire, headers=ada) == ["miss", "hit"]
    assert twice(gateway, wire, headers=bob, said="another thing") == ["miss", "hit"]
    assert twice(gateway, wire, headers=bob) == ["hit", "hit"]
    vault = open_vault(gateway.settings)
    assert len(vault.keys.erase("team:red", "ada", now_us())) == 1
    assert twice(gateway, wire, headers=bob) == ["miss", "hit"]
    assert twice(gateway, wire, headers=bob, said="another thing") == ["hit", "hit"]


def test_what_was_translated_is_given_again_as_it_was_told(start, provider, wires):
    asyncio.run(translate.load())  # takes longer on a busy machine than a client waits
    upstream = {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}
    routes, prices = [{"models": ["*"], "upstream": "other"}], {"claude-sonnet-4-5": {"input": "1", "output": "1000"}}
    gateway = start(upstreams={"other": upstream}, routes=routes, prices=prices, cache={})
    for number, stream in enumerate((False, True), 1):
        provider.answer = provider.sse(*wires["messages"].stream(["Hi"])) if stream else provider.json(wires["messages"].whole("Hi"))
        asked = {"model": "claude-sonnet-4-5", "seed": 7, "max_tokens": 9}
        first = ask(gateway, wires["chat"], stream=stream, **asked)
        settled(gateway)
        again = ask(gateway, wires["chat"], stream=stream, **asked)
        assert (again.headers["x-tollhouse-cache"], again.content) == ("hit", first.content)
        assert again.headers["x-gateway-dropped-fields"] == first.headers["x-gateway-dropped-fields"] == "seed"
        made, given = (each.exchange for each in gateway.ended(2 * number)[-2:])
        assert (given.upstream_dialect, given.dropped_fields, given.provider) == ("anthropic.messages", ("seed",), "anthropic")
        assert (given.saved_cost, Decimal(given.saved_cost)) == (made.cost, SAVED)
    assert len(provider.received) == 2


def test_vectors_are_given_again(start, provider):
    gateway = start(cache={}, prices={"e": {"input": "1", "output": "0"}})
    vectors = {"object": "list", "model": "e", "data": [], "usage": {"prompt_tokens": 1000, "total_tokens": 1000}}
    provider.answer = provider.json(vectors)
    with gateway.client() as client:
        found = []
        for _ in range(2):
            found.append(client.post("/v1/embeddings", json={"model": "e", "input": "a text"}))
            settled(gateway)
    assert [(each.headers["x-tollhouse-cache"], each.json()) for each in found] == [("miss", vectors), ("hit", vectors)]
    assert Decimal(gateway.ended(2)[1].exchange.saved_cost) == Decimal("0.001")


def test_of_what_has_no_price_nobody_knows_what_it_saved(start, provider, wires):
    gateway, wire = start(cache={}), wires["chat"]
    provider.answer = provider.json(wire.whole("Hi") | {"model": "house-model"})
    assert twice(gateway, wire, model="house-model") == ["miss", "hit"]
    made, given = (each.exchange for each in gateway.ended(2))
    assert (made.cost, given.cost, given.saved_cost) == (None, "0", None)
