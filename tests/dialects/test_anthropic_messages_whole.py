"""Answers of the Messages API in one piece, and the gateway's own answers: errors, headers, keys."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from gateway.dialects import anthropic_messages as dialect
from gateway.dialects.events import Limits, WholeAnswer
from gateway.errors import GatewayError, Kind
from gateway.request import Request

REQUEST = Request("anthropic.messages", "m", False, (), (), b"")
TEXT = '{"type":"text","text":"Hi"}'
CALL = '{"type":"tool_use","id":"t1","name":"get_weather","input":{"city":"Paris"}}'
OTHER = '{"type":"tool_use","id":"t2","name":"delete_file","input":{}}'


def body(*blocks: str, reason: str = '"tool_use"', head: str = '"type":"message","role":"assistant"') -> bytes:
    return f'{{"id":"m1",{head},"model":"claude-x",\n "content":[{", ".join(blocks)}],"stop_reason":{reason}}}'.encode()


def decode(wire: bytes, limits: Limits | None = None) -> WholeAnswer:
    return dialect.decode_answer(wire, REQUEST, limits or Limits())


def delivered(whole: WholeAnswer, withheld: dict[int, str]) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(dialect.encode_answer(whole, withheld))
    return answer


@pytest.mark.parametrize(
    "wire",
    [
        body(TEXT, reason='"end_turn"'),
        body(reason="null"),
        body(TEXT, CALL, OTHER),
        body('{"type":"tool_use","id":"a","name":"n","input":{},"caller":null,"toolset_name":null}'),
        body('{"type":"tool_use","id":"a","name":"n","input":{"x":[1,2.5]},"caller":{"type":"direct"}}'),
        body('{"type":"thinking","thinking":"hm","signature":"s"}', TEXT, reason='"refusal"'),
        body(CALL, TEXT, reason='"max_tokens"'),
    ],
)
def test_an_untouched_answer_leaves_as_the_bytes_that_came(wire: bytes) -> None:
    whole = decode(wire)
    assert (whole.broken, whole.findings) == (None, ())
    assert dialect.encode_answer(whole, {}) == wire


def test_a_withheld_call_becomes_text_in_its_place() -> None:
    whole = decode(body(TEXT, OTHER, CALL))
    assert [(call.name, call.args, call.index) for call in whole.calls] == [
        ("delete_file", {}, 0),
        ("get_weather", {"city": "Paris"}, 1),
    ]
    one = delivered(whole, {0: "No."})
    assert one["content"] == [json.loads(TEXT), {"type": "text", "text": "No."}, json.loads(CALL)]
    assert one["stop_reason"] == "tool_use"
    none = delivered(whole, {0: "No.", 1: "No."})
    assert [block["type"] for block in none["content"]] == ["text"] * 3
    assert (none["stop_reason"], none["id"], none["model"]) == ("end_turn", "m1", "claude-x")


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ('{"type":"tool_use","id":"a","name":"get_weather","name":"delete_file","input":{}}', "dup_key"),
        ('{"type":"tool_use","id":"a","name":"n","input":{"path":"/srv","path":"/etc"}}', "dup_key"),
        ('{"type":"tool_use","id":"a","name":"n","input":{"x":0.10000000000000000001}}', "number"),
        ('{"type":"tool_use","id":"a","name":"n","input":{"x":99999999999999999999}}', "number"),
        ('{"type":"tool_use","id":"a","name":"n","input":' + '{"a":' * 70 + "1" + "}" * 71, "depth"),
        ('{"type":"tool_use","id":"a","name":"n","input":"{}"}', "type"),
        ('{"type":"tool_use","id":"a","name":"dеlete","input":{}}', "bad_name"),
        ('{"type":"tool_use","name":"n","input":{}}', "bad_id"),
        ('{"type":"tool_use_v2","id":"a","name":"n","input":{}}', "unknown_type"),
        ('{"type":["text"]}', "unknown_type"),
        ('{"type":"server_tool_use","id":"a","name":"web_search","input":{}}', "executed_upstream"),
    ],
)
def test_a_call_without_a_single_meaning_is_withheld_alone(block: str, problem: str) -> None:
    whole = decode(body(block, CALL))
    assert [call.problem for call in whole.calls] == [problem, None]
    assert whole.calls[0].args is None
    kinds = [item["type"] for item in delivered(whole, {0: "No."})["content"]]
    assert kinds == ["text", "tool_use"]
    with pytest.raises(ValueError, match="withhold it"):
        dialect.encode_answer(whole, {})


def test_two_calls_with_one_id_are_both_unreadable() -> None:
    whole = decode(body(CALL, OTHER.replace("t2", "t1")))
    assert [call.problem for call in whole.calls] == ["duplicate_id", "duplicate_id"]


def test_results_of_what_ran_unasked_go_with_it() -> None:
    ran = '{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}}'
    result = '{"type":"web_search_tool_result","tool_use_id":"s","content":[]}'
    whole = decode(body(ran, result, TEXT, reason='"pause_turn"'))
    answer = delivered(whole, {0: "No."})
    assert answer["content"] == [{"type": "text", "text": "No."}, json.loads(TEXT)]
    assert answer["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("wire", "path"),
    [
        (body(TEXT, reason='"end_turn","Tool_Calls":[]'), "message.Tool_Calls"),
        (body(TEXT[:-1] + ',"Name":"x"}', reason='"end_turn"'), "content[0].Name"),
        (body(CALL[:-1] + ',"Input":{"x":1}}'), "content[0].Input"),
    ],
)
def test_unknown_keys_are_stripped_and_noted(wire: bytes, path: str) -> None:
    whole = decode(wire)
    assert [finding.path for finding in whole.findings] == [path]
    sent = dialect.encode_answer(whole, {})
    assert path.rsplit(".")[-1].encode() not in sent
    assert json.loads(sent)["content"][0]["type"] == json.loads(wire)["content"][0]["type"]


@pytest.mark.parametrize("given", ['"input":"",', ""])
def test_a_call_without_arguments_is_delivered_with_the_empty_object_that_was_judged(given: str) -> None:
    whole = decode(body('{"type":"tool_use","id":"a",' + given + '"name":"n"}'))
    assert (whole.calls[0].arguments, whole.calls[0].args) == ("{}", {})
    assert delivered(whole, {})["content"][0]["input"] == {}


def test_a_tool_stop_without_a_call_becomes_an_ordinary_end() -> None:
    assert delivered(decode(body(TEXT)), {})["stop_reason"] == "end_turn"


THOUGHT = '{"type":"thinking","thinking":"Hm.","signature":"c2ln"}'
HIDDEN = '{"type":"redacted_thinking","data":"x"}'


@pytest.mark.parametrize(
    ("blocks", "thoughts"),
    [
        ((TEXT, CALL), ()),
        ((THOUGHT, HIDDEN, TEXT, CALL), (json.loads(THOUGHT), json.loads(HIDDEN))),
        ((THOUGHT, CALL, HIDDEN), None),
        ((TEXT, THOUGHT, THOUGHT, CALL), None),
        ((THOUGHT.replace('"c2ln"', "7"), CALL), None),
        ((THOUGHT.replace("Hm.", "Hm." * 100_000), CALL), None),
    ],
)
def test_thoughts_before_words_and_calls_are_kept_to_be_given_back(blocks: tuple[str, ...], thoughts: Any) -> None:
    assert decode(body(*blocks)).answer.thoughts == thoughts


def test_a_call_that_a_limit_may_have_cut_breaks_the_answer_but_its_cost_is_known() -> None:
    wire = body(CALL, reason='"max_tokens","usage":{"input_tokens":3,"output_tokens":4}')
    whole = decode(wire)
    assert whole.broken is not None
    assert (whole.broken.code, whole.calls) == ("truncated", ())
    assert whole.answer.usage is not None
    assert (whole.answer.usage.input, whole.answer.usage.output) == (3, 4)
    with pytest.raises(ValueError, match="send an error"):
        dialect.encode_answer(whole, {})


def test_an_error_body_is_the_providers_error() -> None:
    for error in ('{"type":"overloaded_error","message":"x"}', "3"):
        wire = f'{{"type":"error","error":{error}}}'.encode()
        whole = decode(wire)
        assert whole.broken is not None
        assert (whole.broken.code, whole.broken.raw) == ("provider_error", wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"[" * 2000,
        b"\xff\xfe{}",
        body(TEXT).decode().encode("utf-16"),
        body(TEXT) + b"{}",
        body(TEXT, head='"type":"completion","role":"assistant"'),
        body(TEXT, head='"type":"message","role":"user"'),
        body(TEXT, reason="7"),
        body("3"),
        body('{"type":"text","text":{"type":"tool_use"}}'),
        body('{"type":"text","text":"a","text":"b"}'),
        body('{"type":"tool_use","type":"text","text":"x"}'),
        body('{"type":"tool_use","id":"a","name":"n","input":{"x":NaN}}'),
        body('{"type":"tool_use","id":"a","name":"n","input":{"x":1e999}}'),
        body(TEXT, reason='"end_turn","content":[' + CALL + "]"),
        b'{"type":"message","role":"assistant","content":"text","stop_reason":"end_turn"}',
        b'{"type":"message","role":"assistant","stop_reason":"end_turn"}',
    ],
)
def test_a_body_that_can_be_read_in_two_ways_or_none_is_unusable(wire: bytes) -> None:
    whole = decode(wire)
    assert whole.broken is not None
    assert (whole.broken.code, whole.calls, whole.tree) == ("protocol", (), None)


def test_an_ambiguous_call_quoted_in_another_block_does_not_hide_it() -> None:
    twice = '{"type":"tool_use","id":"a","name":"x","name":"y","input":{}}'
    whole = decode(body('{"type":"compaction","content":null,"tool_changes":[' + twice + "]}", twice))
    assert whole.broken is not None
    assert whole.broken.code == "protocol"


def test_calls_beyond_the_limit_are_left_out_and_reported_once() -> None:
    blocks = [CALL.replace("t1", f"c{i}") for i in range(9)]
    whole = decode(body(*blocks), Limits(calls=2))
    assert [call.problem for call in whole.calls] == [None, None, "call_limit"]
    assert len(delivered(whole, {2: "No."})["content"]) == 3


# --- the gateway's own answers ---


@pytest.mark.parametrize(
    ("kind", "status", "type_"),
    [
        ("bad_request", 400, "invalid_request_error"),
        ("authentication", 401, "authentication_error"),
        ("refused", 451, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("method", 405, "invalid_request_error"),
        ("upgrade", 426, "invalid_request_error"),
        ("timeout", 408, "timeout_error"),
        ("too_large", 413, "request_too_large"),
        ("upstream", 502, "api_error"),
        ("upstream_timeout", 504, "timeout_error"),
        ("unavailable", 503, "overloaded_error"),
    ],
)
def test_every_kind_of_error_has_its_status_and_type(kind: Kind, status: int, type_: str) -> None:
    answer = dialect.error_answer(GatewayError(kind, "a_code", "What happened. What to do.", param="tools[0]"))
    assert answer.status == status
    assert json.loads(answer.body) == {
        "type": "error",
        "error": {
            "type": type_,
            "message": "What happened. What to do.",
            "code": "a_code",
            "details": {"error_code": "a_code"},
            "param": "tools[0]",
        },
    }
    assert answer.headers["content-type"] == "application/json"
    assert ("x-should-retry" in answer.headers) == (kind == "refused")
    assert answer.headers.get("retry-after") == ("5" if kind == "unavailable" else None)


def test_every_kind_of_error_can_be_said() -> None:
    for kind in get_args(Kind):
        assert dialect.error_answer(GatewayError(kind, "c", "m")).status >= 400


def test_a_budget_is_a_billing_error_and_a_cut_answer_is_not_to_be_retried() -> None:
    budget = dialect.error_answer(GatewayError("over_budget", "budget_exceeded", "m"))
    assert (budget.status, json.loads(budget.body)["error"]["type"]) == (402, "billing_error")
    for kind in ("upstream", "upstream_timeout"):
        cut = dialect.error_answer(GatewayError(kind, "truncated", "m"))
        assert cut.headers["x-should-retry"] == "false"


def test_the_time_to_wait_is_the_errors_own_when_it_has_one() -> None:
    answer = dialect.error_answer(GatewayError("unavailable", "c", "m", retry_after=9))
    assert answer.headers["retry-after"] == "9"


@pytest.mark.parametrize(
    ("version", "header"),
    [
        (None, "x-api-key"),
        ("2023-06-01", "x-api-key"),
        ("2026-10-20", "x-api-key"),
        ("2026-10-21", "authorization"),
        ("2027-01-01", "authorization"),
    ],
)
def test_a_key_travels_as_the_clients_version_wants_it(version: str | None, header: str) -> None:
    headers = {} if version is None else {"anthropic-version": version}
    value = "Bearer k" if header == "authorization" else "k"
    assert dialect.auth_headers("k", headers) == {header: value}


def test_no_header_that_names_the_client_or_frames_the_message_is_forwarded() -> None:
    own = [
        "authorization",
        "x-api-key",
        "cookie",
        "forwarded",
        "host",
        "content-length",
        "accept-encoding",
        "x-forwarded-for",
    ]
    for name in own:
        assert name not in dialect.FORWARD_HEADERS
        assert not any(p.endswith("*") and name.startswith(p[:-1]) for p in dialect.FORWARD_HEADERS)
    assert "anthropic-*" in dialect.FORWARD_HEADERS


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/anthropic", "/anthropic/v1"])
def test_the_paths_cover_every_way_clients_join_a_base_url(prefix: str) -> None:
    (endpoint,) = dialect.endpoints(f"{prefix}/messages")
    assert (endpoint.method, endpoint.operation, endpoint.upstream_path) == ("POST", "chat", "/messages")
    assert dialect.endpoints(f"{prefix}/messages/") == ()
