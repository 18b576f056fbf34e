"""One dialect asked, another one spoken: a gateway whose upstream speaks the other dialect, on real sockets, with the real SDKs."""

from __future__ import annotations

import json
import time

import anthropic
import httpx
import openai
import pytest

from gateway.rehearsal import RunningRehearsal
from gateway.trace.record import Decided
from tests.patience import until

POLICY = """
policy: 1
id: test
agents: ["*"]
on_deny: explain
allow: [get_weather]
tests:
- {name: weather, call: {get_weather: {city: Paris}}, expect: {effect: allow}}
"""
ENFORCE = {"policy.yaml": POLICY}
NAMES = ("get_weather", "delete_file")
CHAT_TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in NAMES]
MESSAGES_TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in NAMES]
HELLO = [{"role": "user", "content": "hello"}]
MODELS = {"openai.chat": "gpt-4o-mini", "anthropic.messages": "claude-sonnet-4-5"}
SCRIPT = """
rehearsal: 1
scenes:
- turns:
  - {TURN}
"""
USAGE = "usage: {input: 600, cache_read: 400, output: 100}"
GOOD = "{name: get_weather, args: {city: Paris}}"
BAD = "{name: delete_file, args: {path: /srv/secret-name}}"
TURNS = {
    "text": f"{{text: 'Grüß dich.', {USAGE}}}",
    "calls": f"{{text: Look., calls: [{BAD}, {GOOD}, {GOOD}], {USAGE}}}",
    "mixed": f"{{calls: [{GOOD}, {BAD}], interleave: true, {USAGE}}}",
    "denied": f"{{calls: [{BAD}], {USAGE}}}",
}


@pytest.fixture(scope="module")
def rehearsal():
    with RunningRehearsal(SCRIPT.replace("{TURN}", TURNS["text"])) as running:
        yield running


@pytest.fixture
def plays(rehearsal):
    def play(turn: str) -> None:
        rehearsal.reset()
        rehearsal.play(SCRIPT.replace("{TURN}", TURNS.get(turn, turn)))

    return play


@pytest.fixture
def translating(start):
    """`translating("openai.chat", url)`: a gateway whose only upstream speaks that dialect, and a route for every model."""

    def begin(spoken: str, base_url: str, policies=ENFORCE, **more):
        upstream = {"dialect": spoken, "base_url": base_url, "key": {"env": "CANARY_KEY"}}
        return start(policies, upstreams={"other": upstream}, routes=[{"models": ["*"], "upstream": "other"}], **more)

    return begin


def chat(gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=gateway.url + "/v1", api_key="x", max_retries=0, http_client=httpx.Client(trust_env=False))


def messages(gateway) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=gateway.url, api_key="x", max_retries=0)


def ask_chat(gateway, *, stream: bool, **more):
    """(text, calls, finish reason, usage) as the SDK understands the answer."""
    asked = {"model": MODELS["anthropic.messages"], "messages": HELLO, "tools": CHAT_TOOLS, "max_tokens": 50} | more
    if not stream:
        answer = chat(gateway).chat.completions.create(**asked)
        choice = answer.choices[0]
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
        return choice.message.content or "", calls, choice.finish_reason, answer.usage
    with chat(gateway).chat.completions.stream(**asked, stream_options={"include_usage": True}) as running:
        answer = running.get_final_completion()
    choice = answer.choices[0]
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    return choice.message.content or "", calls, choice.finish_reason, answer.usage


def ask_messages(gateway, *, stream: bool, **more):
    asked = {"model": MODELS["openai.chat"], "messages": HELLO, "tools": MESSAGES_TOOLS, "max_tokens": 50} | more
    if stream:
        with messages(gateway).messages.stream(**asked) as running:
            answer = running.get_final_message()
    else:
        answer = messages(gateway).messages.create(**asked)
    text = "".join(block.text for block in answer.content if block.type == "text")
    calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
    return text, calls, answer.stop_reason, answer.usage


ASK = {"openai.chat": ask_chat, "anthropic.messages": ask_messages}
SPOKEN = {"openai.chat": "anthropic.messages", "anthropic.messages": "openai.chat"}
FINISH = {"openai.chat": ("stop", "tool_calls"), "anthropic.messages": ("end_turn", "tool_use")}
PARIS = ("get_weather", {"city": "Paris"})

CLIENTS = pytest.mark.parametrize("client", ["openai.chat", "anthropic.messages"])
FORMS = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@CLIENTS
@FORMS
def test_text_comes_through_with_usage_and_the_upstream_s_price(translating, rehearsal, plays, client, stream):
    plays("text")
    gateway = translating(SPOKEN[client], rehearsal.base_url)
    text, calls, finish, usage = ASK[client](gateway, stream=stream)
    assert (text, calls, finish) == ("Grüß dich.", [], FINISH[client][0])
    counted = {
        "openai.chat": lambda: (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens),
        "anthropic.messages": lambda: (usage.input_tokens + 400, usage.cache_read_input_tokens, usage.output_tokens),
    }
    assert counted[client]() == (1000, 400, 100)
    row = gateway.ended()[0].exchange
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (600, 400, 100)
    assert (row.dialect, row.upstream_dialect, row.provider) == (client, SPOKEN[client], SPOKEN[client].partition(".")[0])
    assert float(row.cost) == {"openai.chat": 0.00342, "anthropic.messages": 0.00018}[client]


@CLIENTS
@FORMS
def test_of_parallel_calls_the_granted_ones_arrive_and_the_denied_one_does_not(translating, rehearsal, plays, client, stream):
    plays("calls")
    gateway = translating(SPOKEN[client], rehearsal.base_url)
    text, calls, finish, _ = ASK[client](gateway, stream=stream)
    assert calls == [PARIS, PARIS]
    assert finish == FINISH[client][1]
    assert text.startswith("Look.")
    assert "delete_file" in text
    assert "secret-name" not in text
    assert gateway.ended()[0].exchange.state == "denied"


@CLIENTS
@FORMS
def test_when_the_only_call_is_denied_the_answer_ends_normally(translating, rehearsal, plays, client, stream):
    plays("denied")
    _, calls, finish, _ = ASK[client](translating(SPOKEN[client], rehearsal.base_url), stream=stream)
    assert (calls, finish) == ([], FINISH[client][0])


def test_calls_whose_pieces_come_mixed_are_put_together(translating, rehearsal, plays):
    plays("mixed")
    _, calls, _, _ = ask_messages(translating("openai.chat", rehearsal.base_url, None), stream=True)
    assert calls == [PARIS, ("delete_file", {"path": "/srv/secret-name"})]


@CLIENTS
def test_words_leave_while_the_answer_is_still_being_written(translating, rehearsal, plays, client):
    plays("{text: 'one two three four five six seven', chunk: 4, gap_ms: 60}")
    gateway = translating(SPOKEN[client], rehearsal.base_url)
    ASK[client](gateway, stream=False)  # litellm is loaded now
    path, body = WIRE[client]
    arrived = []
    with gateway.client() as http, http.stream("POST", path, json=body | {"stream": True}, headers=HEADERS) as answer:
        arrived.extend((time.monotonic(), piece) for piece in answer.iter_raw())
    first = next(at for at, piece in arrived if b"one" in piece)
    assert arrived[-1][0] - first > 0.2


HEADERS = {"anthropic-version": "2023-06-01"}
WIRE = {
    "openai.chat": ("/v1/chat/completions", {"model": "claude-sonnet-4-5", "messages": HELLO, "tools": CHAT_TOOLS}),
    "anthropic.messages": ("/v1/messages", {"model": "gpt-4o-mini", "max_tokens": 9, "messages": HELLO, "tools": MESSAGES_TOOLS}),
}


def post(gateway, client, **more) -> httpx.Response:
    path, body = WIRE[client]
    with gateway.client() as http:
        return http.post(path, json=body | more, headers=HEADERS)


@CLIENTS
@FORMS
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_a_provider_s_error_keeps_its_status_and_its_words(translating, provider, client, stream, status):
    gateway = translating(SPOKEN[client], provider.base_url)
    provider.answer = provider.json({"type": "error", "error": {"type": "t", "message": "so it is"}}, f"{status} X", "retry-after: 7\r\n")
    answer = post(gateway, client, stream=stream)
    assert (answer.status_code, answer.headers["retry-after"]) == (status, "7")
    error = answer.json()["error"]
    assert error["message"] == "so it is"
    assert ("code" in error) == (client == "openai.chat")
    assert answer.json().get("type") == (None if client == "openai.chat" else "error")
    row = gateway.ended()[0].exchange
    assert (row.state, row.upstream_status) == ("upstream_error", status)


def test_the_sdks_raise_their_own_exceptions(translating, provider):
    provider.answer = provider.json({"error": {"message": "slow down"}}, "429 X")
    with pytest.raises(openai.RateLimitError, match="slow down"):
        ask_chat(translating("anthropic.messages", provider.base_url), stream=False)
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        ask_messages(translating("openai.chat", provider.base_url), stream=True)


@CLIENTS
@pytest.mark.parametrize("turn", ["calls", "text"])
@pytest.mark.parametrize("cut", [150, 400, 700, 900])
def test_a_stream_cut_anywhere_never_looks_whole(translating, rehearsal, plays, client, cut, turn):
    plays(TURNS[turn][:-1] + f", cut_after: {cut}}}")
    gateway = translating(SPOKEN[client], rehearsal.base_url)
    path, body = WIRE[client]
    with gateway.client() as http:
        answer = http.post(path, json=body | {"stream": True}, headers=HEADERS)
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content
    assert b"secret-name" not in answer.content
    assert gateway.ended()[0].exchange.state == "upstream_reset"


@CLIENTS
def test_an_error_inside_a_stream_is_one_for_the_client(translating, provider, client):
    gateway = translating(SPOKEN[client], provider.base_url)
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "overloaded now"}}
    frame = b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"
    provider.answer = provider.sse(BEGINNING[SPOKEN[client]], frame)
    answer = post(gateway, client, stream=True)
    assert b"early" in answer.content
    assert b"error" in answer.content
    assert (b"overloaded now" in answer.content) == (client == "openai.chat")  # messages name the kind of error only
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content
    assert gateway.ended()[0].exchange.state == "upstream_error"


def _frames(*events: dict) -> bytes:
    return b"".join(f"event: {e.get('type')}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


BEGINNING = {
    "anthropic.messages": _frames(
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "early"}},
    ),
    "openai.chat": _frames(
        {"id": "r", "model": "g", "created": 1, "choices": [{"index": 0, "delta": {"content": "early"}, "finish_reason": None}]}
    ),
}


NONSENSE = [b"[]", b"{}", b'{"choices": 1}', b'{"content": 1}', b"nonsense", b'{"a": 1, "a": 2}', b"null"]


@CLIENTS
@FORMS
@pytest.mark.parametrize("body", NONSENSE)
def test_an_answer_that_is_none_is_an_error_and_never_half_an_answer(translating, provider, client, stream, body):
    gateway = translating(SPOKEN[client], provider.base_url)
    provider.answer = provider.sse(b"data: " + body + b"\n\n") if stream else provider.json(body)
    answer = post(gateway, client, stream=stream)
    assert answer.status_code in (200, 502)
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content
    assert "error" in answer.text
    assert gateway.ended()[0].exchange.state in ("incomplete", "upstream_reset")


@CLIENTS
def test_what_cannot_be_said_is_named_to_the_client_and_in_the_record(translating, rehearsal, plays, client):
    plays("text")
    gateway = translating(SPOKEN[client], rehearsal.base_url)
    more = {
        "openai.chat": {"seed": 7, "messages": [{"role": "user", "content": "hi", "name": "bob"}]},
        "anthropic.messages": {"top_k": 3, "system": [{"type": "text", "text": "be", "cache_control": {"type": "ephemeral"}}]},
    }[client]
    names = {"openai.chat": {"seed", "messages[].name"}, "anthropic.messages": {"top_k", "system[].cache_control"}}[client]
    answer = post(gateway, client, **more)
    assert answer.status_code == 200
    assert set(answer.headers["x-gateway-dropped-fields"].split(", ")) == names
    assert set(gateway.ended()[0].exchange.dropped_fields) == names
    assert not names & rehearsal.requests()[0].body.keys()


SIGNATURE = "Q0FGRSsv" * 1000
"""Of thoughts, as long as Gemini's are; litellm makes it a part of the call's id."""


def gemini_proposes(provider, stream):
    parts = [{"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}, "thoughtSignature": SIGNATURE}]
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
    counts = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    answer = {"candidates": [candidate], "modelVersion": "gemini-3-pro", "responseId": "r", "usageMetadata": counts}
    return provider.sse(b"data: " + json.dumps(answer).encode() + b"\n\n") if stream else provider.json(answer)


def next_turn(client, call_id):
    """What the client asks next, with the call and what its tool said."""
    if client == "openai.chat":
        function = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
        turn = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call_id, "type": "function", "function": function}],
        }
        return [*HELLO, turn, {"role": "tool", "tool_call_id": call_id, "content": "sunny"}]
    used = {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {"city": "Paris"}}
    told = {"type": "tool_result", "tool_use_id": call_id, "content": "sunny"}
    return [*HELLO, {"role": "assistant", "content": [used]}, {"role": "user", "content": [told]}]


@CLIENTS
@FORMS
def test_the_signature_of_gemini_s_thoughts_comes_to_the_client_and_goes_back(translating, provider, client, stream):
    gateway = translating("google.gemini", provider.base_url.removesuffix("/v1"))
    provider.answer = gemini_proposes(provider, stream)
    assert ASK[client](gateway, stream=stream)[1:3] == ([PARIS], FINISH[client][1])
    [ended] = gateway.ended()
    [call] = ended.calls or [each.call for each in gateway.records() if isinstance(each, Decided)]
    assert call.call_id.endswith(SIGNATURE)
    ASK[client](gateway, stream=stream, messages=next_turn(client, call.call_id))
    [_, proposed, answered] = json.loads(provider.received[1][1])["contents"]
    assert proposed["parts"][0]["thoughtSignature"] == SIGNATURE
    assert "sunny" in json.dumps(answered)


@CLIENTS
def test_nothing_is_said_to_be_dropped_when_nothing_was(translating, rehearsal, plays, client):
    plays("text")
    answer = post(translating(SPOKEN[client], rehearsal.base_url), client)
    assert "x-gateway-dropped-fields" not in answer.headers


@CLIENTS
def test_only_the_upstream_s_own_key_and_address_are_used(translating, provider, client, monkeypatch):
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_API_KEY", "from-the-environment")
        monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv(f"{name}_API_BASE", "http://127.0.0.1:9")
    gateway = translating(SPOKEN[client], provider.base_url)
    provider.answer = provider.json({"error": {"message": "enough"}}, "418 X")
    assert post(gateway, client).status_code == 418
    head, _ = provider.received[0]
    assert b"from-the-environment" not in head
    assert b"sk-canary-provider-key-1234" in head
    assert (b"anthropic-version" in head) == (client == "openai.chat")


@CLIENTS
def test_a_redirect_is_not_followed(translating, provider, client):
    provider.answer = provider.raw(b"", "307 X", f"location: {provider.base_url}/elsewhere\r\n")
    assert post(translating(SPOKEN[client], provider.base_url), client).status_code == 502
    assert len(provider.received) == 1


@CLIENTS
def test_a_client_that_leaves_ends_the_provider_s_work(translating, provider, client):
    gateway = translating(SPOKEN[client], provider.base_url)
    provider.answer = provider.sse(BEGINNING[SPOKEN[client]], hang=True)
    path, body = WIRE[client]
    with gateway.client() as http, http.stream("POST", path, json=body | {"stream": True}, headers=HEADERS) as answer:
        assert b"early" in next(piece for piece in answer.iter_raw() if b"early" in piece)
    assert gateway.ended()[0].exchange.state == "client_gone"
    until(lambda: provider.closed, seconds=20)
    assert provider.closed == 1


def test_other_operations_are_refused_with_a_reason(translating, rehearsal):
    with translating("anthropic.messages", rehearsal.base_url).client() as http:
        answer = http.post("/v1/embeddings", json={"model": "m", "input": "x"})
    assert answer.status_code == 404
    assert "Only conversations are translated" in answer.json()["error"]["message"]
    with translating("openai.chat", rehearsal.base_url).client() as http:
        answer = http.post("/v1/messages/count_tokens", json={"model": "m", "messages": HELLO}, headers=HEADERS)
    assert answer.status_code == 404
    assert rehearsal.requests() == [] or all(r.path.endswith(("completions", "messages")) for r in rehearsal.requests())


def test_what_must_not_be_lost_refuses_the_request(translating, provider):
    gateway = translating("anthropic.messages", provider.base_url)
    sound = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    for more in ({"n": 2}, {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, sound]}]}):
        answer = post(gateway, "openai.chat", **more)
        assert answer.status_code == 400
        assert "cannot be said" in answer.json()["error"]["message"]
    assert provider.received == []
