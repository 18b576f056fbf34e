"""What really reaches a provider of another dialect, what comes back, and what is refused rather than lost."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest

from gateway.dialects import DIALECTS
from gateway.dialects.events import Limits, Proposed
from gateway.errors import GatewayError
from gateway.request import Request
from gateway.upstream import translate
from gateway.upstream.routing import Target
from gateway.upstream.translate import PROVIDERS, Prepared, TranslatedAnswer, prepare

PATHS = {"openai.chat": "/v1/chat/completions", "anthropic.messages": "/v1/messages"}
FUNCTION = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
CHAT = {
    "model": "m-1",
    "max_tokens": 9,
    "temperature": 0.5,
    "stop": ["x"],
    "tools": [{"type": "function", "function": FUNCTION}],
    "messages": [
        {"role": "system", "content": "be"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": f"call_{city}", "type": "function", "function": {"name": "get_weather", "arguments": json.dumps({"city": city})}}
                for city in ("Paris", "Rome")
            ],
        },
        {"role": "tool", "tool_call_id": "call_Paris", "content": "20"},
        {"role": "tool", "tool_call_id": "call_Rome", "content": "25"},
        {"role": "user", "content": "go"},
    ],
}
MESSAGES = {
    "model": "m-1",
    "max_tokens": 9,
    "temperature": 0.5,
    "stop_sequences": ["x"],
    "system": "be",
    "tools": [{"name": "get_weather", "description": "d", "input_schema": FUNCTION["parameters"]}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "ok"},
                {"type": "tool_use", "id": "toolu_Paris", "name": "get_weather", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_Rome", "name": "get_weather", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_Paris", "content": "20"},
                {"type": "tool_result", "tool_use_id": "toolu_Rome", "content": [{"type": "text", "text": "25"}]},
                {"type": "text", "text": "go"},
            ],
        },
    ],
}
TREES = {"openai.chat": CHAT, "anthropic.messages": MESSAGES}


def decoded(client: str, tree: dict) -> Request:
    dialect = DIALECTS[client]
    endpoint = next(e for e in dialect.endpoints(PATHS[client]) if e.method == "POST")
    return dialect.decode_request(json.dumps(tree).encode(), {}, frozenset(), endpoint)


def said(client: str, upstream: str, **more) -> Prepared:
    request = decoded(client, {k: v for k, v in (TREES[client] | more).items() if v is not None})
    return asyncio.run(prepare(request, Target("up", "http://127.0.0.1:9/v1", "provider-key", (upstream,))))


def body(prepared: Prepared) -> dict:
    return json.loads(prepared.body)


def refusal(call) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        call()
    return caught.value


def test_no_worker_holds_litellm_before_it_must_and_none_holds_an_mcp_client():
    """In a process of its own: the data plane comes without litellm; the first translation brings it, without reading `.env`."""
    code = (
        "import sys, gateway.worker; assert 'litellm' not in sys.modules; "
        "import asyncio, os; from gateway.upstream.translate import load; asyncio.run(load()); "
        "assert 'litellm' in sys.modules and 'mcp' not in sys.modules; import litellm; "
        "assert not litellm.telemetry and not litellm.drop_params and not litellm.success_callback and litellm.cache is None; "
        "assert os.environ['LITELLM_MODE'] == 'PRODUCTION'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_stream_is_not_asked_for_counts_where_that_is_refused():
    request = decoded("anthropic.messages", MESSAGES | {"stream": True})
    for asks in (True, False):
        target = Target("up", "http://127.0.0.1:9/v1", "provider-key", ("openai.chat",), asked_for_counts=asks)
        assert ("stream_options" in body(asyncio.run(prepare(request, target)))) is asks


def test_a_chat_reaches_anthropic_whole():
    prepared = said("openai.chat", "anthropic.messages", stream=True)
    found = body(prepared)
    assert (prepared.path, prepared.dropped, prepared.provider) == ("/messages", (), "anthropic")
    assert prepared.headers["x-api-key"] == "provider-key"
    assert prepared.headers["anthropic-version"]
    assert (found["model"], found["max_tokens"], found["temperature"], found["stream"]) == ("m-1", 9, 0.5, True)
    assert (found["system"], found["stop_sequences"]) == ([{"type": "text", "text": "be"}], ["x"])
    assert [(t["name"], t["input_schema"]) for t in found["tools"]] == [("get_weather", FUNCTION["parameters"])]
    user, assistant, results = found["messages"]
    assert user["content"][1]["source"] == {"type": "base64", "media_type": "image/png", "data": "aGk="}
    assert [(b["id"], b["name"], b["input"]) for b in assistant["content"]] == [
        ("call_Paris", "get_weather", {"city": "Paris"}), ("call_Rome", "get_weather", {"city": "Rome"}),
    ]  # fmt: skip
    assert [(b["tool_use_id"], b["content"]) for b in results["content"][:2]] == [("call_Paris", "20"), ("call_Rome", "25")]
    assert results["content"][2]["text"] == "go"


def test_messages_reach_openai_whole():
    prepared = said("anthropic.messages", "openai.chat", stream=True)
    found = body(prepared)
    assert (prepared.path, prepared.dropped, prepared.provider) == ("/chat/completions", (), "openai")
    assert prepared.headers["authorization"] == "Bearer provider-key"
    assert found["stream_options"] == {"include_usage": True}
    assert (found["model"], found["max_tokens"], found["temperature"], found["stop"]) == ("m-1", 9, 0.5, ["x"])
    assert found["tools"] == CHAT["tools"]
    system, user, assistant, paris, rome, go = found["messages"]
    assert (system["role"], system["content"]) == ("system", "be")
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,aGk="
    calls = [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in assistant["tool_calls"]]
    assert calls == [("toolu_Paris", "get_weather", {"city": "Paris"}), ("toolu_Rome", "get_weather", {"city": "Rome"})]
    assert [(m["role"], m["tool_call_id"], m["content"]) for m in (paris, rome)] == [
        ("tool", "toolu_Paris", "20"), ("tool", "toolu_Rome", "25"),
    ]  # fmt: skip
    assert go["role"] == "user"
    assert "thinking_blocks" not in assistant


@pytest.mark.parametrize("client", list(TREES))
@pytest.mark.parametrize("stream", [False, True])
def test_both_reach_gemini_whole(client, stream):
    prepared = said(client, "google.gemini", stream=stream)
    found = body(prepared)
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    assert (prepared.path, prepared.provider) == (f"/v1beta/models/m-1:{verb}", "gcp.gemini")
    assert prepared.headers["x-goog-api-key"] == "provider-key"
    assert found["system_instruction"]["parts"] == [{"text": "be"}]
    assert found["generationConfig"] == {"max_output_tokens": 9, "temperature": 0.5, "stop_sequences": ["x"]}
    (tool,) = found["tools"][0]["function_declarations"]
    assert (tool["name"], tool["parameters"]) == ("get_weather", FUNCTION["parameters"])
    parts = [part for content in found["contents"] for part in content["parts"]]
    calls = [part["function_call"] for part in parts if "function_call" in part]
    assert [(call["name"], call["args"]["city"]) for call in calls] == [("get_weather", "Paris"), ("get_weather", "Rome")]
    results = [part["function_response"] for part in parts if "function_response" in part]
    assert [(result["name"], result["response"]["content"]) for result in results] == [("get_weather", "20"), ("get_weather", "25")]
    assert {"inline_data": {"data": "aGk=", "mime_type": "image/png"}} in parts


CHAT_CHOICES = ["auto", "none", "required", {"type": "function", "function": {"name": "get_weather"}}]
ANTHROPIC_CHOICES = [{"type": "auto"}, {"type": "none"}, {"type": "any"}, {"type": "tool", "name": "get_weather"}]
GEMINI_CHOICES = [{"mode": "AUTO"}, {"mode": "NONE"}, {"mode": "ANY"}, {"mode": "ANY", "allowed_function_names": ["get_weather"]}]


@pytest.mark.parametrize(("chat", "anthropic", "gemini"), list(zip(CHAT_CHOICES, ANTHROPIC_CHOICES, GEMINI_CHOICES, strict=True)))
def test_every_tool_choice_arrives(chat, anthropic, gemini):
    assert body(said("openai.chat", "anthropic.messages", tool_choice=chat))["tool_choice"] == anthropic
    assert body(said("anthropic.messages", "openai.chat", tool_choice=anthropic))["tool_choice"] == chat
    assert body(said("openai.chat", "google.gemini", tool_choice=chat))["toolConfig"] == {"functionCallingConfig": gemini}
    assert body(said("anthropic.messages", "google.gemini", tool_choice=anthropic))["toolConfig"] == {"functionCallingConfig": gemini}


def test_one_call_at_a_time_is_asked_for_in_both_ways():
    found = body(said("openai.chat", "anthropic.messages", tool_choice="auto", parallel_tool_calls=False))
    assert found["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    found = body(said("anthropic.messages", "openai.chat", tool_choice={"type": "auto", "disable_parallel_tool_use": True}))
    assert found["parallel_tool_calls"] is False


def test_the_end_user_s_label_arrives():
    assert body(said("openai.chat", "anthropic.messages", user="u-1"))["metadata"] == {"user_id": "u-1"}
    assert body(said("anthropic.messages", "openai.chat", metadata={"user_id": "u-1"}))["user"] == "u-1"


def test_a_developer_s_word_has_the_system_s_rank():
    tree = [{"role": "developer", "content": "be"}, {"role": "user", "content": "x"}]
    assert body(said("openai.chat", "anthropic.messages", messages=tree))["system"] == [{"type": "text", "text": "be"}]


def test_a_system_prompt_keeps_its_rank_with_gemini_models_that_litellm_does_not_know():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    tree = [{"role": "developer", "content": parts}, {"role": "system", "content": "c"}, {"role": "user", "content": "x"}]
    found = body(said("openai.chat", "google.gemini", model="gemini-99-unheard-of", messages=tree, tools=None))
    assert found["system_instruction"] == {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}
    assert found["contents"] == [{"role": "user", "parts": [{"text": "x"}]}]


def test_what_is_left_out_is_named_in_a_header_that_cannot_be_broken():
    prepared = said("openai.chat", "anthropic.messages", seed=1, **{"a\r\nb, c": 1, "é" * 300: 2})
    header = prepared.dropped_header["x-gateway-dropped-fields"]
    assert header.isascii()
    assert header.isprintable()
    assert header.split(", ")[:2] == ["seed", "a%0D%0Ab%2C%20c"]
    assert "seed" not in body(prepared)


def test_a_tool_whose_name_would_be_changed_refuses():
    tools = [{"type": "function", "function": FUNCTION | {"name": "a.b"}}]
    error = refusal(lambda: said("openai.chat", "anthropic.messages", tools=tools, messages=CHAT["messages"][:2]))
    assert (error.kind, error.code) == ("refused", "untranslatable")


def test_a_tool_name_too_long_for_openai_refuses():
    tools = [MESSAGES["tools"][0] | {"name": "x" * 65}]
    tree = MESSAGES["messages"][:1]
    assert refusal(lambda: said("anthropic.messages", "openai.chat", tools=tools, messages=tree)).code == "untranslatable"


def test_a_translation_that_loses_something_is_refused(monkeypatch):
    """Should another version of litellm drop a tool, a call or a choice, the request is refused and not sent without it."""
    adapter = asyncio.run(translate.load())
    real = adapter.SPEAKERS["anthropic.messages"]

    class Losing:
        def __init__(self, field):
            self.field = field

        def request(self, chat, *, stream):
            call = real.request(chat, stream=stream)
            del call.body[self.field]
            return call

    for field, word in (("tools", "tool"), ("tool_choice", "'tool_choice'")):
        monkeypatch.setitem(adapter.SPEAKERS, "anthropic.messages", Losing(field))
        assert word in refusal(lambda: said("openai.chat", "anthropic.messages", tool_choice="auto")).message


def test_litellm_s_own_words_which_quote_the_request_are_not_passed_on(monkeypatch):
    adapter = asyncio.run(translate.load())

    def failing(*_, **__):
        raise ValueError("Received Messages: secret")

    monkeypatch.setattr(adapter, "to_chat", failing)
    error = refusal(lambda: said("openai.chat", "anthropic.messages"))
    assert "secret" not in error.message
    assert "ValueError" in error.message


def test_remote_media_are_refused_because_they_would_be_fetched_here():
    tree = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://169.254.169.254/x"}}]}]
    error = refusal(lambda: said("openai.chat", "anthropic.messages", messages=tree))
    assert "inline" in error.message


def test_a_pair_that_is_not_translated_is_told_which_are():
    request = decoded("openai.chat", CHAT)
    with pytest.raises(GatewayError, match=r"openai\.chat to anthropic\.messages") as caught:
        asyncio.run(prepare(request, Target("up", "http://x", None, ("made.up",))))
    assert (caught.value.kind, caught.value.code) == ("not_found", "no_upstream")


class Body:
    """A provider's answer that is already here."""

    def __init__(self, *pieces: bytes, status: int = 200, headers: dict | None = None, media: str = "text/event-stream") -> None:
        self.status, self.headers, self.media_type, self.charset = status, headers or {}, media, "utf-8"
        self._pieces = pieces

    async def chunks(self):
        for piece in self._pieces:
            yield piece

    async def read(self, limit: int) -> bytes:
        return b"".join(self._pieces)


def answered(client: str, upstream: str, *pieces: bytes, **more) -> TranslatedAnswer:
    asyncio.run(translate.load())
    return TranslatedAnswer(Body(*pieces, **more), Prepared(client, upstream, "m-1", "/", {}, b"", ()))


def streamed(client: str, upstream: str, *pieces: bytes) -> bytes:
    async def gather() -> bytes:
        return b"".join([chunk async for chunk in answered_now.chunks()])

    answered_now = answered(client, upstream, *pieces)
    return asyncio.run(gather())


def sse(*events: object) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


PARTS = [{"functionCall": {"name": "get_weather", "args": {"city": city}}} for city in ("Paris", "Rome")]
COUNTS = {"promptTokenCount": 1000, "cachedContentTokenCount": 400, "candidatesTokenCount": 80, "thoughtsTokenCount": 20}
HEAD = {"modelVersion": "gemini-2.5-flash", "responseId": "r1", "usageMetadata": COUNTS | {"totalTokenCount": 1100}}


def candidate(*parts: dict, **more) -> dict:
    return HEAD | {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0} | more]}


EARLY = candidate({"text": "Look."})
LATE = candidate(*PARTS, finishReason="STOP")
WHOLE = candidate({"text": "Look."}, *PARTS, finishReason="STOP")


def calls_of(client: str, data: bytes):
    """(calls, answer) as the client's dialect reads a stream."""
    stream = DIALECTS[client].stream(decoded(client, TREES[client] | {"stream": True}), Limits(), enforcing=True)
    calls = []
    for event in stream.feed(data):
        if isinstance(event, Proposed):
            calls.append((event.call.name, event.call.arguments and json.loads(event.call.arguments), event.call.problem))
            stream.release(event.call)
    return calls, stream.answer, [event.code for event in stream.close()]


@pytest.mark.parametrize("client", list(TREES))
def test_gemini_s_stream_is_read_as_the_client_s(client):
    calls, answer, broken = calls_of(client, streamed(client, "google.gemini", sse(EARLY), sse(LATE)))
    assert calls == [("get_weather", {"city": city}, None) for city in ("Paris", "Rome")]
    assert (answer.text, answer.model, answer.id, broken) == ("Look.", "gemini-2.5-flash", "r1", [])
    usage = answer.usage
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == (600, 400, 80, 20)


@pytest.mark.parametrize("client", list(TREES))
def test_gemini_s_stream_cut_before_its_finish_is_not_whole(client):
    data = streamed(client, "google.gemini", sse(EARLY))
    assert b"Look." in data
    assert calls_of(client, data)[2] == ["truncated"]


@pytest.mark.parametrize("client", list(TREES))
def test_gemini_s_whole_answer_is_read_as_the_client_s(client):
    body = asyncio.run(answered(client, "google.gemini", json.dumps(WHOLE).encode(), media="application/json").read(10**6))
    whole = DIALECTS[client].decode_answer(body, decoded(client, TREES[client]), Limits())
    assert [(call.name, dict(call.args or {}), call.problem) for call in whole.calls] == [
        ("get_weather", {"city": "Paris"}, None), ("get_weather", {"city": "Rome"}, None),
    ]  # fmt: skip
    assert (whole.answer.text, whole.answer.usage.input, whole.answer.usage.output) == ("Look.", 600, 80)


def test_a_prompt_that_gemini_blocks_ends_the_answer():
    blocked = HEAD | {"promptFeedback": {"blockReason": "SAFETY"}}
    calls, answer, broken = calls_of("openai.chat", streamed("openai.chat", "google.gemini", sse(blocked)))
    assert (calls, answer.finish, broken) == ([], ("content_filter",), [])


THINKING = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 600, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 50, "output_tokens": 100},
}


def test_anthropic_s_thoughts_and_counts_come_over_as_they_are():
    body = asyncio.run(answered("openai.chat", "anthropic.messages", json.dumps(THINKING).encode(), media="application/json").read(10**6))
    found = json.loads(body)
    message = found["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"], message["tool_calls"][0]["function"]["arguments"]) == ("hm", "a", "{}")
    assert found["usage"]["prompt_tokens_details"] == {"cached_tokens": 400, "cache_write_tokens": 50}
    assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (1050, 100)
    assert found["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}  # the provider did not say: no estimate


@pytest.mark.parametrize("number", ["12345678901234567890123", "0.12345678901234567890"])
def test_a_number_of_a_call_that_would_become_another_ends_a_whole_answer(number):
    body = json.dumps(THINKING).replace('"input": {}', f'"input": {{"n": {number}}}').encode()
    with pytest.raises(GatewayError, match="could not be translated"):
        asyncio.run(answered("openai.chat", "anthropic.messages", body, media="application/json").read(10**6))


@pytest.mark.parametrize("client", list(TREES))
@pytest.mark.parametrize(("body", "words"), [
    (b'[{"error": {"message": "so"}}]', "so"), (b'{"error": "so"}', "so"), (b"<html>", "answered 503"), (b"[]", "answered 503"),
    (b'{"error": {"message": 3}}', "answered 503"), (b'{"a": 1}', "answered 503"),
])  # fmt: skip
def test_whatever_a_provider_says_went_wrong_has_the_client_s_form(client, body, words):
    answer = answered(client, "google.gemini", body, status=503, media="text/html", headers={"retry-after": "3", "set-cookie": "x"})
    assert (answer.status, answer.media_type, answer.headers, answer.charset) == (503, "application/json", {"retry-after": "3"}, "utf-8")
    assert words in json.loads(asyncio.run(answer.read(10**6)))["error"]["message"]


def test_an_error_in_a_whole_answer_is_the_provider_s():
    answer = answered("openai.chat", "anthropic.messages", b'{"type": "error", "error": {"message": "oh"}}', media="application/json")
    with pytest.raises(GatewayError, match="oh") as caught:
        asyncio.run(answer.read(10**6))
    assert caught.value.code == "provider_error"


def test_nothing_is_read_behind_the_end():
    last = {"id": "r", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}
    later = sse({"choices": [{"index": 0, "delta": {"content": "later"}}]})
    data = streamed("anthropic.messages", "openai.chat", sse(last) + b"data: [DONE]\n\n" + later, later)
    assert b"later" not in data
    assert data.count(b"message_stop") == 2  # event and type of one frame


def test_every_dialect_that_is_translated_to_has_a_provider_a_speaker_and_a_proof():
    adapter = asyncio.run(translate.load())
    spoken_there = {upstream for _, upstream in translate.PAIRS}
    for table in (PROVIDERS, adapter.SPEAKERS, translate._READ_BACK, translate._CHOICE_KEYS):
        assert spoken_there <= table.keys()
