"""A chat completion said again as messages: every word, every argument text as it is, and nothing guessed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import anthropic_messages
from gateway.dialects.events import Limits, Proposed
from gateway.errors import GatewayError
from gateway.request import Endpoint
from gateway.upstream import answer_forms
from gateway.upstream.answer_forms import FORMS

MESSAGES, CHAT = FORMS["anthropic.messages"], FORMS["openai.chat"]
BODY = b'{"model": "m", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "x"}]}'
REQUEST = anthropic_messages.decode_request(BODY, {}, frozenset(), Endpoint("POST", "chat", "/messages"))
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400, "cache_write_tokens": 50}}


def call(arguments: str, index: int = 0, **more) -> dict:
    return {"index": index, "id": f"c{index}", "type": "function", "function": {"name": "f", "arguments": arguments}} | more


def completion(finish="stop", **message) -> dict:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "r", "model": "m", "choices": [choice], "usage": USAGE}


def chunk(finish=None, **delta) -> dict:
    return {"id": "r", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def streamed(*chunks: dict, end: bool = True) -> bytes:
    form = MESSAGES.stream()
    said = b"".join(frame for each in chunks for frame in form.chunk(each))
    return said + (b"".join(form.end()) if end else b"")


def read(data: bytes):
    """(calls, answer) as the strict decoder of the dialect reads them."""
    stream = anthropic_messages.stream(REQUEST, Limits(), enforcing=True)
    calls = []
    for event in stream.feed(data):
        if isinstance(event, Proposed):
            calls.append((event.call.name, event.call.arguments, event.call.problem))
            stream.release(event.call)
    assert list(stream.close()) == []
    return calls, stream.answer


def whole(tree: dict):
    return anthropic_messages.decode_answer(MESSAGES.whole(tree), REQUEST, Limits())


def test_words_thoughts_and_refusals_are_said_whole():
    found = json.loads(MESSAGES.whole(completion(content="a", refusal="b", reasoning_content="c")))
    assert [block["type"] for block in found["content"]] == ["thinking", "text", "text"]
    assert (found["id"], found["model"], found["role"], found["stop_reason"]) == ("r", "m", "assistant", "end_turn")
    assert found["usage"] == {
        "input_tokens": 550, "cache_read_input_tokens": 400, "cache_creation_input_tokens": 50, "output_tokens": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "readable"),
    [('{"a": 1.50}', True), ("", True), ('{"a":1,"a":2}', False), ("[1]", False), ('{"a":', False), ("1e999", False)],
)
def test_arguments_are_judged_as_they_were_written(arguments, readable):
    (found,) = whole(completion("tool_calls", tool_calls=[call(arguments)])).calls
    assert (found.problem is None) == readable


def test_a_call_s_text_is_the_provider_s_own():
    assert b'"input":{"a": 1.50}' in MESSAGES.whole(completion("tool_calls", tool_calls=[call('{"a": 1.50}')]))


@pytest.mark.parametrize(
    ("finish", "said"), [("stop", "end_turn"), ("length", "max_tokens"), ("tool_calls", "tool_use"), ("content_filter", "refusal")]
)
def test_reasons_are_translated(finish, said):
    assert json.loads(MESSAGES.whole(completion(finish, content="x")))["stop_reason"] == said
    _, answer = read(streamed(chunk(content="x"), chunk(finish)))
    assert answer.finish == (said,)


@pytest.mark.parametrize(
    "tree",
    [
        completion("made_up", content="x"),
        completion(None, content="x"),
        completion(["stop"], content="x"),
        completion(content="x") | {"choices": []},
        completion(content="x") | {"choices": [{"index": 0}, {"index": 1}]},
        completion("function_call", function_call={"name": "f", "arguments": "{}"}),
    ],
)
def test_what_has_no_place_in_the_dialect_raises(tree):
    with pytest.raises(GatewayError) as caught:
        MESSAGES.whole(tree)
    assert caught.value.kind == "upstream"


def test_a_stream_is_read_by_the_strict_decoder_as_one_answer():
    data = streamed(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="hm"),
        chunk(content="one "),
        chunk(content="two"),
        chunk(tool_calls=[call("")]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": " 1}"}}]),
        chunk("tool_calls"),
        {"id": "r", "model": "m", "choices": [], "usage": USAGE},
    )
    calls, answer = read(data)
    assert calls == [("f", '{"a": 1}', None)]
    assert (answer.text, answer.finish) == ("one two", ("tool_use",))
    assert (answer.usage.input, answer.usage.cache_read, answer.usage.cache_write, answer.usage.output) == (550, 400, 50, 100)


@given(st.lists(st.tuples(st.integers(0, 2), st.text("ab", min_size=1, max_size=3)), max_size=12))
def test_pieces_of_several_calls_are_put_together_however_they_are_mixed(pieces):
    texts = {index: "".join(piece for at, piece in pieces if at == index) for index in {at for at, _ in pieces}}
    heads = [chunk(tool_calls=[call('{"x":"', index)]) for index in sorted(texts)]
    tails = [chunk(tool_calls=[{"index": index, "function": {"arguments": '"}'}}]) for index in sorted(texts)]
    middle = [chunk(tool_calls=[{"index": index, "function": {"arguments": piece}}]) for index, piece in pieces]
    calls, _ = read(streamed(*heads, *middle, *tails, chunk("tool_calls" if texts else "stop")))
    assert [arguments for _, arguments, _ in calls] == ['{"x":"%s"}' % texts[index] for index in sorted(texts)]  # noqa: UP031


def test_a_stream_without_its_end_is_no_answer():
    stream = anthropic_messages.stream(REQUEST, Limits(), enforcing=True)
    list(stream.feed(streamed(chunk(content="x"), chunk("stop"), end=False)))
    assert [event.code for event in stream.close()] == ["truncated"]


def test_calls_that_grow_without_end_are_broken_off(monkeypatch):
    monkeypatch.setattr(answer_forms, "HELD_BYTES", 10)
    with pytest.raises(GatewayError, match="longer than 10 bytes"):
        streamed(chunk(tool_calls=[call("x" * 11)]))


def test_chat_stays_as_it_is():
    tree = completion(content="x")
    assert json.loads(CHAT.whole(tree)) == tree
    form = CHAT.stream()
    assert b"".join(form.chunk(chunk(content="x"))).startswith(b"data: {")
    assert b"".join(form.end()) == b"data: [DONE]\n\n"
    assert b'"message":"oh"' in form.failed("oh")


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (418, "invalid_request_error"), (429, "rate_limit_error")])
def test_errors_have_the_client_s_form(status, kind):
    assert json.loads(MESSAGES.error(status, "oh")) == {"type": "error", "error": {"type": kind, "message": "oh"}}
    assert json.loads(CHAT.error(status, "oh"))["error"]["type"] == kind
    assert json.loads(MESSAGES.error(503, "oh"))["error"]["type"] == "api_error"
    assert json.loads(CHAT.error(503, "oh"))["error"]["type"] == "server_error"
    assert MESSAGES.stream().failed("oh").startswith(b"event: error\n")


NO_COUNTS = [None, {}, {"prompt_tokens": True}, {"prompt_tokens": -1}, {"prompt_tokens": "1"}, {"prompt_tokens_details": 1}]


@pytest.mark.parametrize("counts", NO_COUNTS)
def test_counts_that_the_provider_did_not_give_are_unknown_and_not_zero(counts):
    found = whole(completion(content="x") | {"usage": counts}).answer.usage
    assert (found.input, found.output) == (None, None)
    _, answer = read(streamed(chunk(content="x"), chunk("stop") | {"usage": counts}))
    assert (answer.usage.input, answer.usage.output) == (None, None)


def test_reasoning_stays_counted_apart():
    counts = USAGE | {"completion_tokens_details": {"reasoning_tokens": 30}}
    found = whole(completion(content="x") | {"usage": counts}).answer.usage
    assert (found.output, found.reasoning) == (70, 30)


def test_what_a_provider_says_it_charged_goes_along():
    counts = USAGE | {"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}}
    _, answer = read(streamed(chunk(content="x"), chunk("stop") | {"usage": counts}))
    assert answer.usage.charged == whole(completion(content="x") | {"usage": counts}).answer.usage.charged == Decimal("1.5")
