"""What a provider keeps between exchanges: only its caller builds on it, and withheld calls get the answer they are owed."""

from __future__ import annotations

import json

import pytest

from gateway.clock import Clock

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\non_deny: explain\nallow: [get_weather]\n'}
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in ("get_weather", "delete_file")
]


def call(number: int, name: str, arguments: str) -> dict:
    head = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}"}
    return head | {"name": name, "arguments": arguments, "status": "completed"}


GOOD, BAD = call(1, "get_weather", '{"city":"Paris"}'), call(2, "delete_file", '{"path":"/x"}')
WORDS = {
    "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
    "content": [{"type": "output_text", "text": "Well.", "annotations": []}],
}  # fmt: skip
USAGE = {
    "input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
    "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip


def response(*output, name="resp_1", status="completed", usage=USAGE, **more) -> dict:
    head = {"id": name, "object": "response", "created_at": 1, "model": "gpt-5", "error": None, "incomplete_details": None}
    return head | {
        "instructions": None, "metadata": {}, "output": list(output), "parallel_tool_calls": True, "temperature": 1.0,
        "tool_choice": "auto", "tools": TOOLS, "top_p": 1.0, "status": status, "usage": usage,
    } | more  # fmt: skip


def events(whole: dict) -> list[bytes]:
    def frame(kind: str, number: int, **more) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': number, **more})}\n\n".encode()

    begun = whole | {"output": [], "status": "in_progress", "usage": None}
    out, number = [frame("response.created", 0, response=begun), frame("response.in_progress", 1, response=begun)], 2
    for at, item in enumerate(whole["output"]):
        place = {"output_index": at}
        started = item | ({"arguments": ""} if "arguments" in item else {"content": []}) | {"status": "in_progress"}
        run = [("response.output_item.added", {**place, "item": started})]
        of = {**place, "item_id": item["id"]}
        if "arguments" in item:
            run += [
                ("response.function_call_arguments.delta", {**of, "delta": item["arguments"]}),
                ("response.function_call_arguments.done", {**of, "name": item["name"], "arguments": item["arguments"]}),
            ]
        else:
            part, text = {**of, "content_index": 0}, item["content"][0]["text"]
            run += [
                ("response.content_part.added", {**part, "part": {"type": "output_text", "text": "", "annotations": []}}),
                ("response.output_text.delta", {**part, "delta": text, "logprobs": []}),
                ("response.output_text.done", {**part, "text": text, "logprobs": []}),
                ("response.content_part.done", {**part, "part": item["content"][0]}),
            ]
        for kind, more in [*run, ("response.output_item.done", {**place, "item": item})]:
            out.append(frame(kind, number, **more))
            number += 1
    return [*out, frame("response.completed", number, response=whole)]


def ask(gateway, key="", method="POST", path="/v1/responses", **body):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    with gateway.client() as client:
        if method != "POST":
            return client.request(method, path, headers=headers)
        given = {"model": "gpt-5", "input": "go", "tools": TOOLS} if path == "/v1/responses" else {}
        return client.post(path, json=given | body, headers=headers)


def sent(provider, at: int = -1) -> dict:
    return json.loads(provider.received[at][1])


@pytest.fixture
def house(start, provider):
    upstreams = {"openai": {"dialect": "openai.responses", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}}
    return lambda policy=POLICY, **more: start(policy, upstreams=upstreams, **more)


def key_of(gateway, agent: str, **more) -> str:
    keys = gateway.plane.gateway.keys
    return keys.create(agent=agent, now_us=Clock().now_us(), **more)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_withheld_call_is_answered_when_the_conversation_goes_on(house, provider, stream):
    gateway = house()
    first = response(GOOD, BAD)
    provider.answer = provider.sse(*events(first)) if stream else provider.json(first)
    answer = ask(gateway, stream=stream)
    assert answer.status_code == 200
    assert "/x" not in answer.text
    provider.answer = provider.json(response(WORDS, name="resp_2"))
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    assert ask(gateway, previous_response_id="resp_1", input=[result]).status_code == 200
    items = sent(provider)["input"]
    assert [(item["type"], item["call_id"]) for item in items] == [("function_call_output", "call_2"), ("function_call_output", "call_1")]
    assert "delete_file" in items[0]["output"]
    provider.answer = provider.json(response(WORDS, name="resp_3"))
    assert ask(gateway, previous_response_id="resp_2", input="and now?").status_code == 200
    assert sent(provider)["input"] == "and now?"


def test_an_allowed_call_leaves_the_next_request_as_it_is(house, provider):
    gateway = house()
    provider.answer = provider.json(response(GOOD))
    ask(gateway)
    provider.answer = provider.json(response(WORDS, name="resp_2"))
    body = {"previous_response_id": "resp_1", "input": [{"type": "function_call_output", "call_id": "call_1", "output": "sunny"}]}
    ask(gateway, **body)
    assert sent(provider)["input"] == body["input"]


def test_nobody_builds_on_an_answer_that_was_not_made_here(house, provider):
    gateway = house()
    answer = ask(gateway, previous_response_id="resp_unknown")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "previous_response_not_found")
    assert provider.received == []


@pytest.mark.parametrize("policy", [POLICY, None], ids=["enforcing", "observing"])
def test_nobody_builds_on_fetches_or_deletes_what_is_anothers(house, provider, policy):
    gateway = house(policy)
    mine, yours = key_of(gateway, "a"), key_of(gateway, "b")
    provider.answer = provider.json(response(WORDS))
    assert ask(gateway, mine).status_code == 200
    asked = len(provider.received)
    refusals = [
        ask(gateway, yours, previous_response_id="resp_1"),
        ask(gateway, yours, "GET", "/v1/responses/resp_1"),
        ask(gateway, yours, "DELETE", "/v1/responses/resp_1"),
        ask(gateway, yours, path="/v1/responses/resp_1/cancel"),
    ]
    assert [each.status_code for each in refusals] == [400, 404, 404, 404]
    assert len(provider.received) == asked
    assert ask(gateway, mine, "GET", "/v1/responses/resp_1").status_code == 200


def test_another_key_of_the_same_agent_goes_on_and_another_user_does_not(house, provider):
    gateway = house()
    provider.answer = provider.json(response(WORDS))
    ask(gateway, key_of(gateway, "a", user="ann"))
    assert ask(gateway, key_of(gateway, "a", user="ann"), previous_response_id="resp_1").status_code == 200
    assert ask(gateway, key_of(gateway, "a", user="bob"), previous_response_id="resp_1").status_code == 400


def test_what_is_unknown_and_what_is_anothers_look_the_same(house, provider):
    gateway = house()
    mine, yours = key_of(gateway, "a"), key_of(gateway, "b")
    provider.answer = provider.json(response(WORDS))
    ask(gateway, mine)
    theirs = ask(gateway, yours, previous_response_id="resp_1").json()["error"]["message"]
    nobodys = ask(gateway, yours, previous_response_id="resp_9").json()["error"]["message"]
    assert theirs.replace("resp_1", "resp_9") == nobodys


def test_an_observer_lets_unknown_ids_pass_and_says_so(house, provider):
    gateway = house(None)
    provider.answer = provider.json(response(WORDS))
    assert ask(gateway, previous_response_id="resp_before").status_code == 200
    assert "stored:previous_response_id" in gateway.ended()[0].exchange.unevaluated


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_answer_that_is_fetched_is_judged_like_one_that_is_asked_for(house, provider, stream):
    gateway = house()
    provider.answer = provider.json(response(name="resp_1", status="queued", usage=None))
    assert ask(gateway, background=True, store=True).json()["status"] == "queued"
    done = response(GOOD, BAD)
    provider.answer = provider.sse(*events(done)) if stream else provider.json(done)
    for _ in range(2):
        fetched = ask(gateway, method="GET", path="/v1/responses/resp_1" + ("?stream=true" if stream else ""))
        assert fetched.status_code == 200
        assert "get_weather" in fetched.text
        assert "/x" not in fetched.text
    rows = [row.exchange for row in gateway.ended(3)]
    assert [row.operation for row in rows] == ["chat", "retrieve", "retrieve"]
    assert [row.input_tokens for row in rows] == [None, 100, None]
    provider.answer = provider.json(response(WORDS, name="resp_2"))
    ask(gateway, previous_response_id="resp_1", input=[{"type": "function_call_output", "call_id": "call_1", "output": "ok"}])
    assert [item["call_id"] for item in sent(provider)["input"]] == ["call_2", "call_1"]


def test_a_fetched_answer_proposes_only_tools_its_request_declared(house, provider):
    gateway = house()
    provider.answer = provider.json(response(name="resp_1", status="queued", usage=None))
    ask(gateway, background=True, tools=TOOLS[1:])
    provider.answer = provider.json(response(GOOD))
    fetched = ask(gateway, method="GET", path="/v1/responses/resp_1")
    assert [item["type"] for item in fetched.json()["output"]] == ["message"]
    assert gateway.ended(2)[1].calls[0].code == "undeclared_tool"


def test_a_fetched_answer_that_was_paid_before_costs_nothing(house, provider):
    gateway = house()
    provider.answer = provider.json(response(WORDS))
    ask(gateway)
    ask(gateway, method="GET", path="/v1/responses/resp_1")
    assert [row.exchange.input_tokens for row in gateway.ended(2)] == [100, None]


def test_a_background_stream_is_its_callers_even_when_the_caller_leaves(house, provider):
    gateway = house()
    frames = events(response(WORDS))
    provider.answer = provider.sse(*frames[:2], hang=True)
    with gateway.client() as client:
        body = {"model": "gpt-5", "input": "go", "background": True, "stream": True}
        with client.stream("POST", "/v1/responses", json=body) as answer:
            next(answer.iter_raw())
    gateway.ended(1)
    provider.answer = provider.json(response(WORDS))
    assert ask(gateway, method="GET", path="/v1/responses/resp_1").status_code == 200


def test_an_answer_that_is_not_stored_cannot_be_built_on(house, provider):
    gateway = house()
    provider.answer = provider.json(response(WORDS))
    ask(gateway, store=False)
    assert ask(gateway, previous_response_id="resp_1").status_code == 400


def test_what_is_deleted_is_nobodys(house, provider):
    gateway = house()
    provider.answer = provider.json(response(WORDS))
    ask(gateway)
    provider.answer = provider.json({"id": "resp_1", "object": "response", "deleted": True})
    assert ask(gateway, method="DELETE", path="/v1/responses/resp_1").status_code == 200
    assert ask(gateway, method="GET", path="/v1/responses/resp_1").status_code == 404


def test_a_conversation_is_its_callers_and_takes_the_answers_along(house, provider):
    gateway = house()
    provider.answer = provider.json({"id": "conv_1", "object": "conversation", "created_at": 1, "metadata": {}})
    assert ask(gateway, path="/v1/conversations").status_code == 200
    provider.answer = provider.json(response(BAD, conversation={"id": "conv_1"}))
    ask(gateway, conversation="conv_1")
    provider.answer = provider.json(response(WORDS, name="resp_2", conversation={"id": "conv_1"}))
    ask(gateway, conversation={"id": "conv_1"}, input="go on")
    assert [item["type"] for item in sent(provider)["input"]] == ["function_call_output", "message"]
    ask(gateway, conversation="conv_1", input="once more")
    assert sent(provider)["input"] == "once more"
    assert ask(gateway, conversation="conv_2").status_code == 400


def test_an_answer_kept_by_one_upstream_is_not_continued_at_another(start, provider):
    def upstream() -> dict:
        return {"dialect": "openai.responses", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}

    routes = [{"models": ["gpt-*"], "upstream": "one"}, {"models": ["*"], "upstream": "two"}]
    gateway = start(POLICY, upstreams={"one": upstream(), "two": upstream()}, routes=routes)
    provider.answer = provider.json(response(WORDS))
    ask(gateway)
    asked = len(provider.received)
    answer = ask(gateway, model="other", previous_response_id="resp_1")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "kept_elsewhere")
    assert len(provider.received) == asked


def test_items_are_their_callers_and_the_gateways_own_words_are_spelled_out(house, provider):
    """Clients name earlier items by id; the provider never saw the text that stands in the place of a withheld call."""
    gateway = house()
    mine, yours = key_of(gateway, "a"), key_of(gateway, "b")
    provider.answer = provider.json(response(GOOD, BAD))
    told = ask(gateway, mine).json()["output"]
    provider.answer = provider.json(response(WORDS, name="resp_2"))
    result = {"type": "function_call_output", "call_id": "call_1", "output": "sunny"}
    named = [{"type": "item_reference", "id": item["id"]} for item in told]
    assert ask(gateway, mine, input=[*named, result]).status_code == 200
    first, second, third = sent(provider)["input"]
    assert (first, third) == ({"type": "item_reference", "id": "fc_1"}, result)
    assert second["role"] == "assistant"
    assert "delete_file" in second["content"][0]["text"]
    assert ask(gateway, yours, input=named).status_code == 400
    assert ask(gateway, mine, input=[{"type": "item_reference", "id": "fc_2"}]).status_code == 400
