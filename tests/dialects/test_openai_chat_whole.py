from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.answer import Usage
from gateway.dialects import openai_chat
from gateway.dialects.events import Limits, WholeAnswer
from gateway.errors import GatewayError, Kind

REQUEST = openai_chat.decode_request(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}', {}, frozenset())


def tool(call_id: Any = "a", name: Any = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def answer(message: Any = None, finish: Any = "tool_calls", **top: Any) -> bytes:
    choice = {"index": 0, "message": message if message is not None else {"role": "assistant", "content": "Hi"}, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], **top}, indent=1).encode()


def decode(body: bytes, limits: Limits | None = None) -> WholeAnswer:
    return openai_chat.decode_answer(body, REQUEST, limits or Limits())


def calling(*tools: Any, limits: Limits | None = None, **message: Any) -> WholeAnswer:
    return decode(answer({"role": "assistant", "content": None, "tool_calls": list(tools), **message}), limits)


def problems(whole: WholeAnswer) -> list[str | None]:
    return [call.problem for call in whole.calls]


def message_of(whole: WholeAnswer, withheld: dict[int, str]) -> Any:
    return json.loads(openai_chat.encode_answer(whole, withheld))["choices"][0]


@pytest.mark.parametrize(
    "body",
    [
        answer(finish="stop"),
        answer({"role": "assistant", "content": None, "tool_calls": [tool(), tool("b")]}),
        answer({"role": "assistant", "content": "x", "tool_calls": [tool()], "function_call": None}),
        answer({"role": "assistant", "content": None, "tool_calls": []}, "stop"),
        answer({"role": "assistant", "content": None, "tool_calls": None, "function_call": None}, "length"),
        answer({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
        answer({"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}, None, extra={"a": 1.50}),
        answer(finish="stop", usage=None, created=1.0),
    ],
)
def test_an_untouched_answer_keeps_every_byte(body: bytes) -> None:
    whole = decode(body)
    assert (whole.broken, whole.findings) == (None, ())
    assert openai_chat.encode_answer(whole, {}) == body


def test_withheld_calls_give_way_to_text_and_the_rest_stays() -> None:
    whole = calling(tool(), tool("b", "g"), content="Look")
    kept = message_of(whole, {1: "no g"})
    assert kept["message"] == {"role": "assistant", "content": "Look\n\nno g", "tool_calls": [tool()]}
    assert kept["finish_reason"] == "tool_calls"
    none = message_of(whole, {0: "no f", 1: "no g"})
    assert none == {"index": 0, "message": {"role": "assistant", "content": "Look\n\nno f\n\nno g"}, "finish_reason": "stop"}


@pytest.mark.parametrize(("content", "after"), [(None, "no"), ("", "no"), ([{"type": "text", "text": "A"}], ...)])
def test_an_explanation_fits_the_form_of_the_content(content: Any, after: Any) -> None:
    text = message_of(calling(tool(), content=content), {0: "no"})["message"]["content"]
    assert text == ([*content, {"type": "text", "text": "no"}] if after is ... else after)


def test_the_signature_that_google_wants_back_goes_and_stays_with_its_call() -> None:
    signed = {"extra_content": {"google": {"thought_signature": "c2ln"}}}
    whole = calling(tool() | signed, tool("b"), **signed)
    assert openai_chat.encode_answer(whole, {}) == whole.body
    left = message_of(whole, {1: "no"})["message"]
    assert [entry.get("extra_content") for entry in left["tool_calls"]] == [signed["extra_content"]]
    left = message_of(whole, {0: "no"})["message"]
    assert [entry.get("extra_content") for entry in left["tool_calls"]] == [None]
    assert left["extra_content"] == signed["extra_content"]
    assert not whole.findings


@pytest.mark.parametrize("key", ["extra_content", "images"])
def test_what_only_some_providers_have_is_left_out_where_it_is_something_else(key: str) -> None:
    entry = {"name": "f", "arguments": "{}"}
    whole = calling(tool(**{key: [entry]}), **{key: [entry]})
    assert {finding.path for finding in whole.findings} == {f"choices[0].message.{key}", f"choices[0].message.tool_calls[0].{key}"}
    assert key.encode() not in openai_chat.encode_answer(whole, {})


def test_a_withheld_legacy_call_leaves_no_key() -> None:
    whole = decode(answer({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"))
    assert (whole.calls[0].type, whole.calls[0].id) == ("function_call", "")
    assert message_of(whole, {0: "no"}) == {"index": 0, "message": {"role": "assistant", "content": "no"}, "finish_reason": "stop"}


def test_both_forms_in_one_message_deny_all() -> None:
    whole = calling(tool(), function_call={"name": "g", "arguments": "{}"})
    assert problems(whole) == ["mixed_forms", "mixed_forms"]


@pytest.mark.parametrize("empty", ["", None])
def test_missing_arguments_are_delivered_as_they_were_judged(empty: Any) -> None:
    whole = calling(tool(arguments=empty))
    assert (whole.calls[0].arguments, whole.calls[0].args) == ("{}", {})
    assert message_of(whole, {})["message"]["tool_calls"] == [tool()]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (tool(arguments='{"a":1,"a":2}'), "dup_key"),
        (tool(arguments="{}{}"), "trailing_data"),
        (tool(arguments="[]"), "type"),
        (tool(arguments={}), "type"),
        (tool(name="dеlete"), "bad_name"),
        (tool(name=None), "bad_name"),
        (tool(call_id=None), "bad_id"),
        (tool(type="computer"), "unknown_type"),
        (tool(arguments='{"a":"' + "x" * 200 + '"}'), "hold_limit"),
    ],
)
def test_a_call_without_one_meaning_is_a_problem(entry: Any, problem: str) -> None:
    assert problems(calling(entry, limits=Limits(call_bytes=100))) == [problem]


def test_the_place_in_the_list_is_the_only_address() -> None:
    whole = calling({**tool("a", "f"), "index": 5}, {**tool("b", "g"), "index": 5})
    assert [(c.name, c.index, c.problem) for c in whole.calls] == [("f", 0, None), ("g", 1, None)]


def test_two_calls_with_one_id_are_both_denied() -> None:
    assert problems(calling(tool(), tool(name="g"), tool("b"))) == ["duplicate_id"] * 3


@pytest.mark.parametrize("calls", [{"0": tool()}, [tool(), None], ["x"], "x", 7])
def test_tool_calls_of_another_shape_stand_as_one_denied_call(calls: Any) -> None:
    whole = decode(answer({"role": "assistant", "content": None, "tool_calls": calls}))
    assert [(c.name, c.problem) for c in whole.calls] == [("unknown", "unknown_type")]
    assert "tool_calls" not in message_of(whole, {0: "no"})["message"]


def test_content_parts_of_an_unknown_kind_are_denied_and_left_out() -> None:
    whole = decode(answer({"role": "assistant", "content": [{"type": "tool_use", "name": "f"}]}, "stop"))
    assert problems(whole) == ["unknown_type"]
    assert message_of(whole, {0: "no"})["message"] == {"role": "assistant", "content": "no"}


@pytest.mark.parametrize("key", ["tool_calls", "Tool-Calls", "function_call", "function", "name", "arguments"])
def test_a_part_of_words_that_holds_what_a_call_holds_is_denied(key: str) -> None:
    whole = decode(answer({"content": [{"type": "text", "text": "x"}, {"type": "text", "text": "x", key: [tool()]}]}, "stop"))
    assert problems(whole) == ["unknown_type"]
    assert message_of(whole, {0: "No."})["message"] == {"content": "No."}


def test_all_words_of_an_unknown_kind_are_left_out_not_only_the_first() -> None:
    part = {"type": "tool_use", "name": "delete_file"}
    whole = decode(answer({"content": [part], "refusal": part, "reasoning": True, "reasoning_content": [part]}, "stop"))
    assert problems(whole) == ["unknown_type"]
    assert "`content`, `reasoning`, `reasoning_content`, `refusal`" in whole.calls[0].detail
    assert message_of(whole, {0: "No."})["message"] == {"content": "No."}


def test_calls_beyond_the_limit_are_denied_as_one() -> None:
    whole = calling(*[tool(f"c{n}") for n in range(9)], limits=Limits(calls=2))
    assert problems(whole) == [None, None, "call_limit"]
    assert len(message_of(whole, {2: "no"})["message"]["tool_calls"]) == 2


def test_each_choice_has_its_own_calls_and_ids() -> None:
    choices = [{"index": n, "message": {"content": None, "tool_calls": [tool()]}, "finish_reason": "tool_calls"} for n in (0, 1)]
    whole = decode(json.dumps({"choices": choices}).encode())
    assert [(c.choice, c.index, c.problem) for c in whole.calls] == [(0, 0, None), (1, 1, None)]
    sent = json.loads(openai_chat.encode_answer(whole, {1: "no"}))["choices"]
    assert [c["finish_reason"] for c in sent] == ["tool_calls", "stop"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (answer({"content": "x", "Tool_Calls": [tool()]}, "stop"), "choices[0].message.Tool_Calls"),
        (answer({"content": "x"}, "stop", Choices=[]), "Choices"),
        (b'{"choices":[{"delta":{"tool_calls":[]},"message":{"content":"x"},"finish_reason":"stop"}]}', "choices[0].delta"),
        (answer({"content": None, "tool_calls": [tool(Function={})]}), "choices[0].message.tool_calls[0].Function"),
        (answer({"content": None, "function_call": {"name": "f", "Name": "g"}}), "choices[0].message.function_call.Name"),
    ],
)
def test_keys_that_might_be_read_as_calls_are_stripped_and_noted(body: bytes, path: str) -> None:
    whole = decode(body)
    assert [(f.code, f.path, f.action) for f in whole.findings] == [("stripped_field", path, "stripped")]
    assert f'"{path.rpartition(".")[2]}"'.encode() not in openai_chat.encode_answer(whole, {})


@pytest.mark.parametrize("reason", ["length", "content_filter", None, "error"])
def test_a_call_under_a_reason_that_may_have_cut_it_is_truncated(reason: Any) -> None:
    whole = decode(answer({"content": None, "tool_calls": [tool()]}, reason))
    assert whole.broken is not None
    assert whole.broken.code == "truncated"


def test_a_reason_that_promises_a_call_without_one_becomes_stop() -> None:
    assert message_of(decode(answer()), {})["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b"{}", b'{"choices":null}', b'{"choices":{}}', b'{"choices":[1]}', b'{"choices":[{}]}',
        b'{"choices":[{"message":[]}]}', b'{"choices":[{"message":{},"finish_reason":1}]}', b'{"choices":[{"index":1,"message":{}}]}',
        b'{"choices":[{"index":false,"message":{}}]}', b'{"choices":[{"index":"0","message":{}}]}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_completion_is_broken(body: bytes) -> None:
    whole = decode(body)
    assert whole.broken is not None
    assert (whole.broken.code, whole.calls) == ("protocol", ())
    assert whole.broken.detail


def test_a_body_with_an_error_is_the_providers_error_alone() -> None:
    whole = decode(answer({"content": None, "tool_calls": [tool()]}, error={"message": "m"}))
    assert whole.broken is not None
    assert (whole.broken.code, whole.broken.detail, whole.broken.raw) == ("provider_error", "m", b'{"error":{"message":"m"}}')


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (answer({"content": None, "tool_calls": [tool()]}).replace(b'"name"', b'"name": "get_weather", "name"'), "dup_key"),
        (answer() + answer(), "trailing_data"),
        (answer(x=float("nan")), "number"),
        (answer(x="\ud800"), "encoding"),
        (b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "depth"),
    ],
)
def test_a_body_that_readers_disagree_about_is_one_denied_call_and_nothing_else(body: bytes, problem: str) -> None:
    whole = decode(body)
    assert [(c.name, c.problem, c.args) for c in whole.calls] == [("unknown", problem, None)]
    sent = json.loads(openai_chat.encode_answer(whole, {0: "no"}))
    assert sent["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "no"}, "finish_reason": "stop"}]


# Usage


@pytest.mark.parametrize(
    ("block", "usage"),
    [
        (None, None),
        ("x", None),
        ({}, Usage()),
        ({"prompt_tokens": 10, "completion_tokens": 5}, Usage(input=10, output=5)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(input=30, cache_read=60, cache_write=10, output=30, reasoning=20),
        ),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(cache_read=2)),
        ({"prompt_tokens": -1, "completion_tokens": 1.5}, Usage()),
        ({"prompt_tokens": True, "completion_tokens": "5", "completion_tokens_details": []}, Usage()),
        ({"prompt_tokens": 2**60}, Usage()),
    ],
)
def test_usage_is_counted_in_classes_that_do_not_overlap(block: Any, usage: Usage | None) -> None:
    whole = decode(answer(finish="stop", usage=block))
    assert whole.answer.usage == usage
    assert (whole.answer.usage_raw is None) == (block is None)


def test_the_usage_block_is_kept_as_it_came() -> None:
    whole = decode(b'{"choices":[],"usage":{ "prompt_tokens": 1.0 }}')
    assert whole.answer.usage_raw == b'{ "prompt_tokens": 1.0 }'


def test_the_answer_says_what_the_provider_said() -> None:
    said = decode(answer({"content": "Hi", "refusal": " no", "reasoning_content": "hm"}, "stop")).answer
    assert (said.id, said.model, said.finish, said.text) == ("c", "m", ("stop",), "Hi no")
    odd = decode(b'{"id":1,"model":[],"choices":[]}').answer
    assert (odd.id, odd.model, odd.finish) == (None, None, ())


# Errors in OpenAI's form


STATUSES: list[tuple[Kind, int]] = [
    ("bad_request", 400), ("authentication", 401), ("refused", 400), ("not_found", 404), ("method", 405), ("upgrade", 426),
    ("timeout", 408), ("too_large", 413), ("upstream", 502), ("upstream_timeout", 504), ("unavailable", 503),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status"), STATUSES)
def test_every_kind_of_error_has_its_status_and_body(kind: Kind, status: int) -> None:
    error = openai_chat.error_answer(GatewayError(kind, "some_code", "what; do", param="p"))
    assert error.status == status
    body = json.loads(error.body)["error"]
    assert set(body) == {"message", "type", "param", "code"}
    assert (body["message"], body["param"], body["code"]) == ("what; do", "p", "some_code")


def test_a_refusal_is_not_to_be_retried() -> None:
    error = openai_chat.error_answer(GatewayError("refused", "policy_denied", "no"))
    assert (json.loads(error.body)["error"]["type"], error.headers["x-should-retry"]) == ("policy_violation", "false")


@pytest.mark.parametrize("kind", ["upstream", "upstream_timeout"])
def test_a_cut_answer_is_not_to_be_retried_but_an_unreached_provider_is(kind: Kind) -> None:
    assert openai_chat.error_answer(GatewayError(kind, "truncated", "m")).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in openai_chat.error_answer(GatewayError(kind, "unreachable", "m")).headers


@pytest.mark.parametrize(("given", "sent"), [(None, "5"), (0, "0"), (30, "30")])
def test_an_unavailable_gateway_says_when_to_come_back(given: int | None, sent: str) -> None:
    assert openai_chat.error_answer(GatewayError("unavailable", "c", "m", retry_after=given)).headers["retry-after"] == sent


def test_other_errors_say_when_to_come_back_only_if_they_know() -> None:
    assert "retry-after" not in openai_chat.error_answer(GatewayError("refused", "c", "m")).headers
    assert openai_chat.error_answer(GatewayError("refused", "rate", "m", retry_after=7)).headers["retry-after"] == "7"


@pytest.mark.parametrize("key", ["tool_calls", "Tool_Calls", "function_call"])
def test_a_content_part_that_carries_what_looks_like_a_call_is_no_word(key: str) -> None:
    plain = decode(answer({"content": [{"type": "text", "text": "Hi"}]}, "stop"))
    assert plain.calls == ()
    hiding = decode(answer({"content": [{"type": "text", "text": "Hi", key: [{"id": "a"}]}]}, "stop"))
    assert problems(hiding) == ["unknown_type"]
