"""Converse: what of a request gets there, by Amazon's own description of it, and what of an answer comes back, whole and in pieces."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys

import botocore.eventstream
import botocore.parsers
import botocore.session
import botocore.validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.platform_settings import CONVERSE
from gateway.upstream import translate
from gateway.upstream.converse import Chunks, completion
from gateway.upstream.routing import Target
from gateway.upstream.translate import Prepared, prepare
from tests.amazon import USAGE, converse_frames, converse_whole
from tests.upstream.test_translate import CHAT, CHAT_CHOICES, TREES, body, decoded, refusal

NOVA, CLAUDE = "amazon.nova-pro-v1:0", "us.anthropic.claude-sonnet-4-6"
MODELS = (NOVA, CLAUDE, "us.meta.llama3-3-70b-instruct-v1:0", "mistral.mistral-large-2402-v1:0", "us.deepseek.r1-v1:0", "made-up.model")
AMAZON = botocore.session.Session().get_service_model("bedrock-runtime")


def said(client: str, model: str = NOVA, *, stream: bool = False, **more) -> Prepared:
    tree = {key: value for key, value in (TREES[client] | {"model": model, "stream": stream} | more).items() if value is not None}
    return asyncio.run(prepare(decoded(client, tree), Target("up", "http://127.0.0.1:9", None, (CONVERSE,))))


def told(client: str, model: str = NOVA, **more) -> dict:
    """The body of a request, which Amazon's own client would have sent too."""
    found = body(said(client, model, **more))
    shape = AMAZON.operation_model("Converse").input_shape
    assert found.keys() <= shape.members.keys()
    assert not botocore.validate.ParamValidator().validate(found | {"modelId": model}, shape).generate_report()
    return found


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("client", list(TREES))
def test_a_conversation_reaches_converse_whole(client, model):
    found = told(client, model)
    ids = {"openai.chat": "call_", "anthropic.messages": "toolu_"}[client]
    assert (found["system"], found["inferenceConfig"]) == ([{"text": "be"}], {"maxTokens": 9, "temperature": 0.5, "stopSequences": ["x"]})
    [tool] = found["toolConfig"]["tools"]
    assert (tool["toolSpec"]["name"], tool["toolSpec"]["description"]) == ("get_weather", "d")
    assert tool["toolSpec"]["inputSchema"]["json"]["properties"] == {"city": {"type": "string"}}
    user, assistant, results = found["messages"]
    assert user == {"role": "user", "content": [{"text": "hi"}, {"image": {"format": "png", "source": {"bytes": "aGk="}}}]}
    uses = [block["toolUse"] for block in assistant["content"] if "toolUse" in block]
    cities = ("Paris", "Rome")
    assert uses == [{"toolUseId": ids + city, "name": "get_weather", "input": {"city": city}} for city in cities]
    answers = [{"toolUseId": ids + city, "content": [{"text": text}]} for city, text in zip(cities, ("20", "25"), strict=True)]
    assert results["content"] == [{"toolResult": answers[0]}, {"toolResult": answers[1]}, {"text": "go"}]


@pytest.mark.parametrize(("stream", "path"), [(False, "/converse"), (True, "/converse-stream")])
def test_its_verb_says_whether_it_streams_and_its_body_says_no_model(stream, path):
    prepared = said("openai.chat", stream=stream)
    assert (prepared.path, prepared.provider, prepared.dropped) == (path, "aws.bedrock", ())
    assert body(prepared).keys() == {"messages", "system", "inferenceConfig", "toolConfig"}


ARRIVES = [(CHAT_CHOICES[0], {"auto": {}}), (CHAT_CHOICES[2], {"any": {}}), (CHAT_CHOICES[3], {"tool": {"name": "get_weather"}})]


@pytest.mark.parametrize(("chat", "there"), ARRIVES)
def test_a_tool_choice_arrives(chat, there):
    assert told("openai.chat", tool_choice=chat)["toolConfig"]["toolChoice"] == there


def test_a_late_word_of_the_system_keeps_its_rank():
    late = [*CHAT["messages"][:2], {"role": "developer", "content": [{"type": "text", "text": "late"}]}]
    found = told("openai.chat", messages=late)
    assert found["system"] == [{"text": "be"}, {"text": "late"}]
    assert [message["role"] for message in found["messages"]] == ["user"]


SCHEMA = {"type": "json_schema", "json_schema": {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}


def test_a_form_of_the_answer_is_asked_for_where_the_model_has_it_and_never_by_a_tool_of_nobodys():
    found = told("openai.chat", CLAUDE, response_format=SCHEMA)
    structure = found["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert json.loads(structure["schema"])["properties"] == {"name": {"type": "string"}}
    assert [tool["toolSpec"]["name"] for tool in found["toolConfig"]["tools"]] == ["get_weather"]
    assert "outputConfig" not in told("openai.chat", response_format={"type": "text"})


def test_hints_that_converse_has_no_word_for_are_left_out_and_named():
    prepared = said("openai.chat", seed=7, logprobs=True, user="u", parallel_tool_calls=False, service_tier="flex", reasoning_effort="low")
    assert set(prepared.dropped) == {"seed", "logprobs", "user", "parallel_tool_calls", "service_tier", "reasoning_effort"}
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    assert set(said("anthropic.messages", tool_choice=choice, top_k=3).dropped) == {"tool_choice.disable_parallel_tool_use", "top_k"}


def image(url):
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


def named(name):
    return [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]


UNSAYABLE = {
    "no call at all": ({"tool_choice": "none"}, "tool_choice 'none'"),
    "earlier calls and no tools": ({"tools": None}, "earlier calls without 'tools'"),
    "a name with a dot": ({"tools": named("a.b"), "messages": CHAT["messages"][:2]}, "a tool name"),
    "a name that begins with _": ({"tools": named("_get"), "messages": CHAT["messages"][:2]}, "a tool name"),
    "a long name": ({"tools": named("x" * 65), "messages": CHAT["messages"][:2]}, "a tool name"),
    "JSON of any form": ({"response_format": {"type": "json_object"}}, "response_format"),
    "a form that the model has not": ({"response_format": SCHEMA}, "'response_format' with this model"),
    "a drawing": ({"messages": image("data:image/svg+xml;base64,aGk=")}, "an image other than"),
    "a paper": ({"messages": image("data:application/pdf;base64,aGk=")}, "an image other than"),
    "an address in a data URL": ({"messages": image("data:,http://169.254.169.254/")}, "an image other than"),
    "an address": ({"messages": image("http://169.254.169.254/")}, "Media by URL"),
    "two answers": ({"n": 2}, "'n'"),
    "search": ({"web_search_options": {}}, "'web_search_options'"),
    "nothing but the system": ({"messages": CHAT["messages"][:1]}, "cannot be translated"),
    "a result twice": ({"messages": [*CHAT["messages"][:5], CHAT["messages"][4]]}, "would lose a tool, a call or a result"),
}


@pytest.mark.parametrize("what", UNSAYABLE)
def test_what_converse_has_no_word_for_is_refused_and_never_left_out(what):
    more, word = UNSAYABLE[what]
    error = refusal(lambda: said("openai.chat", **more))
    assert (error.kind, error.code) == ("refused", "untranslatable")
    assert word in error.message


def test_what_litellm_would_change_without_a_word_is_refused():
    """It raises small numbers of tokens for these models; and what else it may one day add is none of the client's words."""
    assert "so few tokens" in refusal(lambda: said("openai.chat", "openai.gpt-5.5", max_tokens=3, temperature=None)).message


@pytest.mark.parametrize("changed", [{"additionalModelRequestFields": {}}, {"toolConfig": {"tools": []}}, {"inferenceConfig": {}}])
def test_a_translation_that_adds_or_loses_something_is_refused(monkeypatch, changed):
    adapter = asyncio.run(translate.load())
    real = adapter.litellm.AmazonConverseConfig.transform_request
    monkeypatch.setattr(adapter.litellm.AmazonConverseConfig, "transform_request", lambda *given: real(*given) | changed)
    assert refusal(lambda: said("openai.chat")).code == "untranslatable"


def test_litellm_asks_nobody_and_looks_for_no_credentials():
    """In a process of its own, with all that botocore would find laid out."""
    code = """
import os, sys
heard, names = [], set()
def hear(event, given):
    if event in {"socket.connect", "socket.getaddrinfo"} or (event == "open" and ".aws" in str(given[0])):
        heard.append((event, str(given)))
class Spied(type(os.environ)):
    def __getitem__(self, name):
        names.add(name)
        return super().__getitem__(name)
import asyncio
from gateway.upstream import translate
adapter = asyncio.run(translate.load())
os.environ.__class__ = Spied
sys.addaudithook(hear)
from tests.amazon import converse_whole
speaker = adapter.SPEAKERS["aws.converse"]
chat = {"model": "us.anthropic.claude-sonnet-4-6", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}]}
for stream in (False, True):
    speaker.request(chat, stream=stream)
speaker.answer(converse_whole(["Hi"]), "m")
print(heard, sorted(name for name in names if not name.startswith(("PYDANTIC", "USE_LITELLM_PROXY", "TIKTOKEN"))), "boto3" in sys.modules)
"""
    found = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_PROFILE": "made-up", "AWS_REGION": "eu-west-1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=os.environ | found)
    assert (done.returncode, done.stdout) == (0, "[] [] False\n"), done.stderr


BLOCKS = [("hm ", ), "Look: ", {"name": "get", "input": {"city": "Zürich"}}, {"name": "get", "input": {}}]
CALLS = [("tooluse_2", "get", {"city": "Zürich"}), ("tooluse_3", "get", {})]


def read(frames) -> list[dict]:
    """The chunks of a stream."""
    buffer, reader, chunks = botocore.eventstream.EventStreamBuffer(), Chunks(NOVA), []
    buffer.add_data(b"".join(frames))
    for message in buffer:
        chunks += reader.read({message.headers[":event-type"]: json.loads(message.payload)})
    assert reader.finished
    return chunks


def test_the_frames_of_these_tests_are_amazons():
    """Its own client reads out of them what they say."""
    shape = AMAZON.operation_model("ConverseStream").output_shape.members["stream"]
    raw = io.BytesIO(b"".join(converse_frames(BLOCKS)))
    raw.stream = lambda: iter([raw.getvalue()])
    stream = botocore.eventstream.EventStream(raw, shape, botocore.parsers.EventStreamJSONParser(), "ConverseStream")
    found = list(stream)
    assert [next(iter(each)) for each in found][:3] == ["messageStart", "contentBlockDelta", "contentBlockDelta"]
    assert found[-2:] == [{"messageStop": {"stopReason": "tool_use"}}, {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 7}}}]
    inputs = [each["contentBlockDelta"]["delta"] for each in found if each.get("contentBlockDelta", {}).get("contentBlockIndex") == 2]
    assert json.loads("".join(delta["toolUse"]["input"] for delta in inputs)) == {"city": "Zürich"}


def test_a_stream_says_words_thoughts_calls_in_pieces_its_end_and_amazons_counts():
    chunks = read(converse_frames(BLOCKS))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm "
    assert "".join(delta.get("content", "") for delta in deltas) == "Look: "
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls", ())]
    begun = [piece for piece in pieces if "id" in piece]
    arguments = ["".join(piece["function"]["arguments"] for piece in pieces if piece["index"] == index) for index in (0, 1)]
    assert [(each["id"], each["function"]["name"]) for each in begun] == [call[:2] for call in CALLS]
    assert [json.loads(text) for text in arguments] == [call[2] for call in CALLS]
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "tool_calls"
    assert chunks[-1]["choices"] == []
    counts = chunks[-1]["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]) == (1050, 100, 1150)
    assert counts["prompt_tokens_details"] == {"cached_tokens": 400, "cache_write_tokens": 50}
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_a_whole_answer_says_the_same():
    found = completion(converse_whole(BLOCKS, serviceTier={"type": "flex"}), NOVA)
    [choice] = found["choices"]
    message = choice["message"]
    assert (message["reasoning_content"], message["content"], choice["finish_reason"]) == ("hm ", "Look: ", "tool_calls")
    calls = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message["tool_calls"]]
    assert calls == CALLS
    assert (found["usage"]["prompt_tokens"], found["model"], found["service_tier"]) == (1050, NOVA, "flex")
    assert read(converse_frames(BLOCKS, serviceTier={"type": "flex"}))[-1]["service_tier"] == "flex"


WORDS = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=12)
VALUES = st.one_of(st.booleans(), st.none(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False), WORDS)
BLOCK = st.one_of(
    WORDS, st.tuples(WORDS), st.fixed_dictionaries({"name": st.just("get"), "input": st.dictionaries(WORDS, VALUES, max_size=3)})
)


@given(st.lists(BLOCK, max_size=6), st.sampled_from(["end_turn", "tool_use", "max_tokens", "content_filtered"]))
def test_whatever_is_said_a_stream_and_a_whole_answer_say_the_same(blocks, stop):
    whole = completion(converse_whole(blocks, stop), NOVA)
    chunks = read(converse_frames(blocks, stop))
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    [choice], counts = whole["choices"], chunks[-1]["usage"]
    message = choice["message"]
    for kind in ("content", "reasoning_content"):
        assert "".join(delta.get(kind) or "" for delta in deltas) == (message.get(kind) or "")
    calls: dict[int, list] = {}
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", ())):
        told = calls.setdefault(piece["index"], ["", "", ""])
        told[0] += piece.get("id", "")
        told[1] += piece["function"].get("name", "")
        told[2] += piece["function"]["arguments"]
    found = [(identity, name, json.loads(text)) for identity, name, text in calls.values()]
    said = [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in message.get("tool_calls", ())]
    assert found == said
    assert (chunks[-2]["choices"][0]["finish_reason"], counts) == (choice["finish_reason"], whole["usage"])


def test_what_looks_like_thoughts_or_calls_in_a_text_stays_text():
    for text in ("<thinking>no</thinking>yes", '{"type": "function", "name": "get", "parameters": {}}'):
        assert completion(converse_whole([text], "end_turn"), NOVA)["choices"][0]["message"] == {"role": "assistant", "content": text}


def test_pieces_of_several_calls_may_come_mixed():
    reader = Chunks(NOVA)
    uses = [{"contentBlockIndex": at, "start": {"toolUse": {"toolUseId": f"t{at}", "name": f"n{at}"}}} for at in (1, 5)]
    pieces = [(5, '{"b"'), (1, '{"a"'), (5, ":2}"), (1, ":1}")]
    events = [{"messageStart": {"role": "assistant"}}, *({"contentBlockStart": use} for use in uses)]
    events += [{"contentBlockDelta": {"contentBlockIndex": at, "delta": {"toolUse": {"input": piece}}}} for at, piece in pieces]
    said = [piece for event in events for chunk in reader.read(event) for piece in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert "".join(piece["function"]["arguments"] for piece in said if piece["index"] == 0) == '{"a":1}'
    assert "".join(piece["function"]["arguments"] for piece in said if piece["index"] == 1) == '{"b":2}'


FINISHES = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
    "malformed_model_output": None, "malformed_tool_use": None,
}  # fmt: skip


def test_every_end_that_amazon_knows_has_its_word_or_is_none():
    assert set(FINISHES) == set(AMAZON.shape_for("StopReason").enum)
    for stop, finish in FINISHES.items():
        if finish is None:
            with pytest.raises(KeyError):
                completion(converse_whole(["x"], stop), NOVA)
            with pytest.raises(KeyError):
                read(converse_frames(["x"], stop))
        else:
            assert completion(converse_whole(["x"], stop), NOVA)["choices"][0]["finish_reason"] == finish


START, STOP = {"messageStart": {"role": "assistant"}}, {"messageStop": {"stopReason": "end_turn"}}
USE = {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "n"}}}}
THEIRS = {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": "t", "name": "n", "type": "server_tool_use"}}}}
ARGUMENTS = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"toolUse": {"input": "{}"}}}}


def delta(**said):
    return {"contentBlockDelta": {"contentBlockIndex": 0, "delta": said}}


NONSENSE = {
    "words before the start": [delta(text="x")],
    "two starts": [START, START],
    "of the user": [{"messageStart": {"role": "user"}}],
    "an end without a start": [STOP],
    "two ends": [START, STOP, STOP],
    "words after the end": [START, STOP, delta(text="x")],
    "counts before the end": [START, {"metadata": {"usage": USAGE}}],
    "counts twice": [START, STOP, {"metadata": {"usage": USAGE}}, {"metadata": {"usage": USAGE}}],
    "no counts": [START, STOP, {"metadata": {}}],
    "arguments of no call": [START, ARGUMENTS],
    "arguments after their call": [START, USE, {"contentBlockStop": {"contentBlockIndex": 0}}, ARGUMENTS],
    "a call twice": [START, USE, USE],
    "words in a call": [START, USE, delta(text="x")],
    "a call without an end": [START, USE, ARGUMENTS, {"messageStop": {"stopReason": "tool_use"}}],
    "a call that Amazon runs": [START, THEIRS],
    "a result": [START, {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolResult": {"toolUseId": "t"}}}}],
    "a citation": [START, delta(citation={"title": "x"})],
    "a picture": [START, delta(image={"source": {"bytes": "aGk="}})],
    "two things at once": [START, delta(text="x", toolUse={"input": "y"})],
    "another kind of thought": [START, delta(reasoningContent={"drawing": "x"})],
    "a text that is none": [START, delta(text=1)],
    "an unknown event": [START, {"contentBlockDream": {}}],
    "a list": [[]],
}  # fmt: skip


@pytest.mark.parametrize("what", NONSENSE)
def test_a_stream_that_is_none_of_converse_raises_and_says_no_end(what):
    reader, (*before, last) = Chunks(NOVA), NONSENSE[what]
    for event in before:
        list(reader.read(event))
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        list(reader.read(last))
    assert reader.finished == (STOP in before)


WRONG = [
    {}, {"output": {}}, converse_whole(["x"]) | {"usage": {}}, converse_whole(["x"], "what"), converse_whole([1]),
    *(
        converse_whole([]) | {"output": {"message": {"role": "assistant", "content": [block]}}}
        for block in (
            {"image": {}}, {"citationsContent": {}}, {"text": "x", "toolUse": {}}, {"toolUse": {"name": "n", "toolUseId": "t"}},
            {"toolUse": {"name": "n", "toolUseId": "t", "input": {}, "type": "server_tool_use"}},
            {"reasoningContent": {"drawing": "x"}}, {},
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("tree", WRONG)
def test_a_whole_answer_that_is_none_raises(tree):
    with pytest.raises((ValueError, KeyError, TypeError)):
        completion(tree, NOVA)


def test_thoughts_that_are_hidden_and_empty_pieces_say_nothing():
    hidden = converse_whole(["x"], "end_turn")
    hidden["output"]["message"]["content"].insert(0, {"reasoningContent": {"redactedContent": "aGk="}})
    assert completion(hidden, NOVA)["choices"][0]["message"] == {"role": "assistant", "content": "x"}
    reader = Chunks(NOVA)
    events = [START, {"contentBlockStart": {"contentBlockIndex": 0, "start": {}}}, delta(reasoningContent={"redactedContent": "aGk="})]
    assert [len(list(reader.read(event))) for event in events] == [1, 0, 0]
