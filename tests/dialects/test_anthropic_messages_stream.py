"""Streams of the Messages API that are not as they should be: what is withheld, what breaks the stream,
what is stripped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.answer import Answer
from gateway.dialects import anthropic_messages as dialect
from gateway.dialects.events import Broken, Ended, Event, Forward, Held, Hidden, Limits, Proposed
from gateway.errors import GatewayError
from gateway.request import Request
from gateway.verdict import Call, Finding

REQUEST = Request("anthropic.messages", "m", True, (), (), b"")


def with_tools(*kinds: str) -> Request:
    tools = [{"type": kind, "name": f"t{i}", "mcp_server_name": "s"} for i, kind in enumerate(kinds)]
    request = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "tools": tools}
    return dialect.decode_request(json.dumps(request).encode(), {}, frozenset())


def frame(kind: str, **rest: Any) -> bytes:
    return raw_frame(kind, json.dumps({"type": kind, **rest}, separators=(",", ":")))


def raw_frame(kind: str, data: str) -> bytes:
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(index: Any, **block: Any) -> bytes:
    return frame("content_block_start", index=index, content_block=block)


def delta(index: Any, kind: str = "input_json_delta", **rest: Any) -> bytes:
    return frame("content_block_delta", index=index, delta={"type": kind, **rest})


def stop(index: Any) -> bytes:
    return frame("content_block_stop", index=index)


def text(index: int, *words: str) -> bytes:
    return (
        start(index, type="text", text="")
        + b"".join(delta(index, "text_delta", text=word) for word in words)
        + stop(index)
    )


def tool(index: Any, arguments: str = "{}", name: Any = "get_weather", **block: Any) -> bytes:
    block = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}} | block
    return start(index, **block) + delta(index, partial_json=arguments) + stop(index)


def end(reason: Any = "tool_use", **usage: Any) -> bytes:
    return frame(
        "message_delta",
        delta={"stop_reason": reason, "stop_sequence": None},
        usage={"output_tokens": 9} | usage,
    ) + frame("message_stop")


BEGIN = frame(
    "message_start",
    message={"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []},
)


class Run:
    """One answer through a gateway that releases what `judge` allows and can be read."""

    def __init__(
        self,
        wire: Iterable[bytes],
        request: Request = REQUEST,
        limits: Limits | None = None,
        judge: Callable[[Call], bool] = lambda call: True,
        *,
        enforcing: bool = True,
    ) -> None:
        self.stream = dialect.stream(request, limits or Limits(), enforcing=enforcing)
        self.judge = judge
        self.calls: list[Call] = []
        self.out = b""
        self.raw = b""
        self.broken: Broken | None = None
        self.events: list[Event] = []
        self.counts = [0, 0]
        for chunk in wire:
            for event in self.stream.feed(chunk):
                self.take(event)
        for event in self.stream.close():
            self.take(event)

    def take(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Broken):
            self.broken = event
            return
        if isinstance(event, Proposed):
            self.calls.append(event.call)
            released = event.call.problem is None and self.judge(event.call)
            self.counts[not released] += 1
            self.out += self.stream.release(event.call) if released else self.stream.explain(event.call, "No.")
            return
        self.raw += event.raw
        if isinstance(event, Forward):
            self.out += event.raw if event.clean is None else event.clean
        if isinstance(event, Ended):
            self.out += self.stream.ended(event, *self.counts)

    @property
    def answer(self) -> Answer:
        return self.stream.answer

    @property
    def findings(self) -> list[Finding]:
        return self.stream.findings

    @property
    def problems(self) -> list[str | None]:
        return [call.problem for call in self.calls]

    @property
    def content(self) -> list[dict[str, Any]]:
        """What a naive reader makes of the client's bytes."""
        blocks: dict[int, dict[str, Any]] = {}
        for line in re.findall(rb"^data: (.*)$", self.out, re.MULTILINE):
            event = json.loads(line)
            if event["type"] == "content_block_start":
                assert event["index"] == len(blocks)
                blocks[event["index"]] = dict(event["content_block"], said="")
            if event["type"] == "content_block_delta":
                said = event["delta"]
                blocks[event["index"]]["said"] += said.get("text", "") + said.get("partial_json", "")
        return [blocks[i] for i in sorted(blocks)]

    @property
    def reason(self) -> str | None:
        return json.loads(re.findall(rb'data: (\{"type":"message_delta".*)', self.out)[-1])["delta"]["stop_reason"]


def run(*wire: bytes, **how: Any) -> Run:
    return Run([b"".join(wire)], **how)


# --- calls that cannot be read in one way ---


@pytest.mark.parametrize(
    ("wire", "problem"),
    [
        (tool(0, '{"path":"/srv/a","path":"/etc/shadow"}'), "dup_key"),
        (tool(0, '{"path":"/srv/a"}{"path":"/etc/shadow"}'), "trailing_data"),
        (tool(0, "null"), "type"),
        (tool(0, "[]"), "type"),
        (tool(0, '"{}"'), "type"),
        (tool(0, "[" * 10_000), "depth"),
        (tool(0, '{"a":' + "[" * 70 + "]" * 70 + "}"), "depth"),
        (tool(0, '{"a":NaN}'), "number"),
        (tool(0, '{"a":1e999}'), "number"),
        (tool(0, '{"a":"\\ud800"}'), "encoding"),
        (tool(0, '{"path": "/srv'), "malformed"),
        (tool(0, " "), "malformed"),
        (tool(0, "{}", name="dеlete_file"), "bad_name"),
        (tool(0, "{}", name=" delete_file"), "bad_name"),
        (tool(0, "{}", name=""), "bad_name"),
        (tool(0, "{}", name=None), "bad_name"),
        (tool(0, "{}", name=["get_weather"]), "bad_name"),
        (tool(0, "{}", toolset_name="com puter"), "bad_name"),
        (tool(0, "{}", toolset_name=3), "bad_name"),
        (tool(0, "{}", id=""), "bad_id"),
        (tool(0, "{}", id=7), "bad_id"),
        (tool(0, '{"a":1}', input={"a": 1}), "ambiguous"),
        (start(0, type="tool_use", id="a", name="n", input=[1]) + stop(0), "type"),
        (start(0, type="tool_use", id="a", name="n", input=None) + stop(0), "type"),
        (start(0, type="tool_use", id="a", name="n", input="{}") + stop(0), "type"),
        (tool(-1), "bad_index"),
        (tool(7), "bad_index"),
        (tool("0"), "bad_index"),
        (tool(0.0), "bad_index"),
        (tool(False), "bad_index"),
        (tool(None), "bad_index"),
        (tool(2**31), "bad_index"),
        (tool([0]), "bad_index"),
        (
            start(0, type="tool_use", id="a", name="n", input={}) + delta(0, "text_delta", text="{}") + stop(0),
            "unknown_type",
        ),
        (
            start(0, type="tool_use", id="a", name="n", input={})
            + frame("content_block_delta", index=0, delta=3)
            + stop(0),
            "unknown_type",
        ),
        (
            start(0, type="tool_use", id="a", name="n", input={}) + delta(0, partial_json=["{}"]) + stop(0),
            "type",
        ),
        (start(0, type="tool_use_v2", id="a", name="n", input={}) + stop(0), "unknown_type"),
        (start(0, type=["tool_use"]) + stop(0), "unknown_type"),
        (start(0, id="a") + stop(0), "unknown_type"),
        (frame("content_block_replace", index=0), "unknown_type"),
        (
            start(0, type="server_tool_use", id="s", name="web_search", input={}) + stop(0),
            "executed_upstream",
        ),
        (start(0, type="server_tool_use", id="s", name=["x"], input={}) + stop(0), "executed_upstream"),
        (
            start(0, type="mcp_tool_use", id="s", name="x", server_name="y", input={}) + stop(0),
            "executed_upstream",
        ),
        (
            start(0, type="code_execution_tool_result", tool_use_id="s", content={}) + stop(0),
            "executed_upstream",
        ),
        (start(0, type="container_upload", file_id="f") + stop(0), "executed_upstream"),
    ],
)
def test_a_call_without_a_single_meaning_is_withheld_and_the_answer_ends_normally(wire: bytes, problem: str) -> None:
    done = run(BEGIN, wire, end())
    assert done.problems == [problem]
    assert done.broken is None
    assert done.calls[0].args is None
    assert done.calls[0].detail
    assert [(block["type"], block["said"]) for block in done.content] == [("text", "No.")]
    assert done.reason == "end_turn"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('{"type":"tool_use","id":"a","name":"get_weather","name":"delete_file","input":{}}', "dup_key"),
        ('{"type":"text","type":"tool_use","id":"a","name":"delete_file","input":{}}', "dup_key"),
        ('{"type":"tool_use","id":"a","name":"n","input":' + '{"a":' * 300 + "1" + "}" * 301, "depth"),
    ],
)
def test_an_ambiguous_start_of_a_call_is_that_calls_problem(data: str, code: str) -> None:
    wire = raw_frame("content_block_start", f'{{"type":"content_block_start","index":0,"content_block":{data}}}')
    done = run(BEGIN, wire, delta(0, partial_json="{}"), stop(0), end())
    assert (done.problems, done.broken) == ([code], None)
    assert b"delete_file" not in done.out


def test_an_ambiguous_delta_or_stop_of_a_call_is_that_calls_problem() -> None:
    begin = start(0, type="tool_use", id="a", name="n", input={})
    twice = '"delta":{"type":"input_json_delta","partial_json":"{}","partial_json":"x"}'
    bad_delta = raw_frame("content_block_delta", f'{{"type":"content_block_delta","index":0,{twice}}}')
    bad_stop = raw_frame("content_block_stop", '{"type":"content_block_stop","index":0,"index":0}')
    assert run(BEGIN, begin, bad_delta, stop(0), end()).problems == ["dup_key"]
    assert run(BEGIN, begin, bad_stop, text(1, "x"), end()).problems == ["dup_key"]


@pytest.mark.parametrize("odd", [b"\xed\xa0\x80", b"\xc0\xaf", b"\xff"])
def test_bytes_that_are_no_text_inside_a_call_are_that_calls_problem(odd: bytes) -> None:
    wire = tool(0, "{@}").replace(b"@", odd)
    done = run(BEGIN, wire, tool(1), end())
    assert (done.problems, done.broken) == (["encoding", None], None)
    in_the_start = start(0, type="tool_use", id="a", name="n@", input={}).replace(b"@", odd)
    done = run(BEGIN, in_the_start, stop(0), end())
    assert (done.problems, done.broken) == (["encoding"], None)


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a","text":"b"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"},"delta":{"type":"x"}}',
        '{"type":"content_block_delta","index":5,"index":0,"delta":{"type":"text_delta","text":"a"}}',
        '{"type":"content_block_delta","index":0}{"type":"content_block_start"}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\ud800"}}',
        "[[[",
        "3",
        "[]",
        "{}",
        '{"type":3}',
        "\ufeff{}",
        "[DONE]",
    ],
)
def test_an_ambiguous_event_that_would_be_forwarded_breaks_the_stream(data: str) -> None:
    done = run(BEGIN, start(0, type="text", text=""), raw_frame("content_block_delta", data), stop(0), end())
    assert done.broken is not None
    assert done.broken.code == "protocol"
    assert done.out.count(b"event: ") == 2


def test_the_event_line_and_the_type_must_agree() -> None:
    data = json.dumps({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    for wire in (
        raw_frame("ping", data),
        f"data: {data}\n\n".encode(),
        raw_frame("Content_Block_Start", data),
    ):
        done = run(BEGIN, wire, end())
        assert done.broken is not None
        assert done.broken.code == "protocol"
        assert done.out == BEGIN


def test_two_calls_with_one_id_are_both_withheld() -> None:
    done = run(BEGIN, tool(0, id="x"), tool(1, id="y"), tool(2, id="x"), end())
    assert done.problems == ["duplicate_id", None, "duplicate_id"]
    assert [block["type"] for block in done.content] == ["text", "tool_use", "text"]
    assert done.reason == "tool_use"


def test_interleaved_calls_are_each_judged_alone() -> None:
    good, bad = '{"city":"Paris"}', '{"path":"/etc"}'
    starts = start(0, type="tool_use", id="a", name="good", input={}) + start(
        1, type="tool_use", id="b", name="bad", input={}
    )
    mixed = b"".join(delta(0, partial_json=g) + delta(1, partial_json=b) for g, b in zip(good, bad, strict=False))
    rest = delta(0, partial_json=good[len(bad) :]) + stop(1) + stop(0)
    done = run(BEGIN, starts, mixed, rest, end(), judge=lambda call: call.name == "good")
    assert [call.arguments for call in done.calls] == [good, bad]
    assert [(block["type"], block["said"]) for block in done.content] == [("tool_use", good), ("text", "No.")]


def test_two_open_calls_under_one_index_are_both_withheld() -> None:
    first = start(0, type="tool_use", id="a", name="n", input={})
    second = start(0, type="tool_use", id="b", name="m", input={})
    done = run(BEGIN, first, second, delta(0, partial_json="{}"), stop(0), text(2, "x"), end())
    assert done.problems == ["ambiguous_index", "ambiguous_index"]


def test_an_index_that_an_odd_call_already_took_is_ambiguous() -> None:
    odd = start(1, type="tool_use", id="a", name="n", input={})
    done = run(BEGIN, odd, start(1, type="tool_use", id="b", name="m", input={}), stop(1), end())
    assert done.problems == ["bad_index", "ambiguous_index"]
    broken = run(BEGIN, odd, text(1, "x"), end())
    assert (broken.broken and broken.broken.code, b"tool_use" in broken.out) == ("protocol", False)


@pytest.mark.parametrize(
    "wire",
    [
        text(1, "gap"),
        text(0, "a") + text(0, "again"),
        start("0", type="text", text=""),
        start(0, type="text", text="") + start(0, type="text", text=""),
        start(0, type="text", text="") + start(0, type="tool_use", id="a", name="n", input={}),
        delta(0, "text_delta", text="no start"),
        stop(0),
        start(0, type="text", text="") + delta(True, "text_delta", text="x"),
        start(0, type="text", text="") + stop(0) + delta(0, "text_delta", text="late"),
        start(0, type="text", text="") + delta(0, partial_json="{}"),
        start(0, type="thinking", thinking="") + delta(0, "text_delta", text="x"),
        start(0, type="text", text={"type": "tool_use"}),
        start(0, type="text"),
        start(0, type="text", text="") + delta(0, "text_delta", text=["x"]),
        start(0, type="text", text="") + delta(0, "text_delta"),
        frame("content_block_start", index=0),
        frame("content_block_start", index=0, content_block="tool_use"),
        BEGIN,
        frame("message_delta", delta={"stop_reason": 3}),
        frame("message_delta", delta=None),
        frame("message_delta"),
        end("end_turn").replace(b'"stop_reason":"end_turn"', b'"stop_reason":["x"]'),
    ],
)
def test_an_answer_that_breaks_its_own_rules_breaks_the_stream(wire: bytes) -> None:
    done = run(BEGIN, wire, end())
    assert done.broken is not None
    assert done.broken.code == "protocol"
    assert b"message_stop" not in done.out


@pytest.mark.parametrize(
    "message",
    [
        None,
        {"type": "message", "role": "user", "content": []},
        {"type": "completion", "role": "assistant", "content": []},
        {"type": "message", "role": "assistant"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "a", "name": "delete_file"}],
        },
    ],
)
def test_a_message_that_does_not_begin_empty_is_not_begun(message: Any) -> None:
    done = run(frame("message_start", message=message), end())
    assert (done.out, done.broken and done.broken.code) == (b"", "protocol")


@pytest.mark.parametrize("wire", [text(0, "x"), end(), frame("message_stop"), stop(0), frame("novelty")])
def test_nothing_but_a_ping_may_come_before_the_message(wire: bytes) -> None:
    done = run(frame("ping"), wire)
    assert (done.out, done.broken and done.broken.code) == (frame("ping"), "protocol")


@pytest.mark.parametrize(
    "late",
    [
        tool(1),
        text(1, "x"),
        delta(0, partial_json="{}"),
        stop(0),
        frame("novelty"),
        frame("message_delta", delta={"stop_reason": "tool_use"}),
        raw_frame("content_block_start", '{"type":"content_block_start","type":"content_block_start"}'),
    ],
)
def test_content_after_the_stop_reason_breaks_the_stream(late: bytes) -> None:
    for wire in ([tool(0), end().replace(frame("message_stop"), b""), late], [tool(0), end(), late]):
        done = run(BEGIN, *wire)
        assert done.broken is not None
        assert done.broken.code == "protocol"
        assert done.out.count(b'"type":"tool_use"') == 1


def test_after_a_break_nothing_more_is_said() -> None:
    stream = dialect.stream(REQUEST, Limits(), enforcing=True)
    events = [
        *stream.feed(BEGIN + b"event: ping\ndata: {\n\n" + tool(0)),
        *stream.feed(end()),
        *stream.close(),
    ]
    assert [type(event) for event in events] == [Forward, Broken]


# --- answers that were cut ---

OPEN_CALL = start(0, type="tool_use", id="a", name="n", input={}) + delta(0, partial_json='{"a":1}')


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        BEGIN,
        BEGIN + text(0, "a"),
        BEGIN + OPEN_CALL,
        BEGIN + tool(0),
        BEGIN + OPEN_CALL + end("max_tokens"),
        BEGIN + OPEN_CALL + end("tool_use"),
        BEGIN + tool(0) + end("max_tokens"),
        BEGIN + tool(0) + end("refusal"),
        BEGIN + tool(0) + end("model_context_window_exceeded"),
        BEGIN + tool(0) + end("a_reason_of_tomorrow"),
        BEGIN + tool(0) + end(None),
        BEGIN + text(0, "a") + frame("message_stop"),
        BEGIN + tool(0) + frame("message_stop"),
        (BEGIN + tool(0) + end())[:-1],
    ],
)
def test_an_answer_cut_inside_or_behind_a_call_breaks_without_that_call(wire: bytes) -> None:
    done = run(wire, judge=lambda call: not wire.endswith(b"\n"))
    assert done.broken is not None
    assert done.broken.code == "truncated"
    if wire.endswith(b"\n\n"):
        assert b"tool_use" not in done.out


@pytest.mark.parametrize("reason", ["tool_use", "end_turn", "stop_sequence", "pause_turn"])
def test_a_call_at_the_end_is_whole_under_these_stop_reasons(reason: str) -> None:
    done = run(BEGIN, tool(0), end(reason))
    assert (done.problems, done.broken, done.reason) == ([None], None, reason)


def test_calls_that_a_later_block_proves_whole_survive_a_limit() -> None:
    done = run(BEGIN, tool(0), text(1, "and th"), end("max_tokens"))
    assert (done.problems, done.reason) == ([None], "max_tokens")


def test_text_left_open_by_a_refusal_ends_normally() -> None:
    done = run(BEGIN, start(0, type="text", text=""), delta(0, "text_delta", text="I"), end("refusal"))
    assert (done.broken, done.reason) == (None, "refusal")


def test_an_error_of_the_provider_is_handed_on_in_one_line() -> None:
    error = {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "a\n\nevent: content_block_start"},
    }
    for kind in ("error", "ping"):
        done = run(BEGIN, tool(0), raw_frame(kind, json.dumps(error)))
        assert done.broken is not None
        assert done.broken.code == "provider_error"
        assert done.broken.raw.startswith(b'event: error\ndata: {"type":"error"')
        assert done.broken.raw.count(b"\n") == 3
    odd = run(BEGIN, raw_frame("error", '{"type":"error","error":"x"}'))
    assert odd.broken is not None
    assert odd.broken.code == "provider_error"


# --- delivery ---


def test_text_flows_at_once_and_what_follows_a_call_waits_in_its_place() -> None:
    stream = dialect.stream(REQUEST, Limits(), enforcing=True)
    kinds: list[list[str]] = [
        [type(event).__name__ for event in stream.feed(wire)]
        for wire in (BEGIN, text(0, "a"), tool(1), text(2, "b"), frame("ping"), tool(3), end())
    ]
    assert kinds == [
        ["Forward"],
        ["Forward"] * 3,
        ["Held"] * 3,
        ["Held"] * 3,
        ["Forward"],
        ["Held"] * 3,
        ["Proposed", "Forward", "Proposed", "Ended", "Forward"],
    ]


def test_a_text_block_opened_before_a_call_keeps_flowing() -> None:
    wire = start(0, type="text", text="") + tool(1) + delta(0, "text_delta", text="late") + stop(0)
    done = run(BEGIN, wire, end())
    assert [type(event) for event in done.events[5:7]] == [Forward, Forward]
    assert [(block["type"], block["said"]) for block in done.content] == [
        ("text", "late"),
        ("tool_use", "{}"),
    ]


def test_delivered_arguments_are_the_judged_ones() -> None:
    for wire in (
        tool(0, '{"city": "K\\u00f6ln", "n": 1.50}'),
        start(0, type="tool_use", id="a", name="n", input={"city": "Köln", "n": 1.5}) + stop(0),
        start(0, type="tool_use", id="a", name="n", input={}) + stop(0),
        start(0, type="tool_use", id="a", name="n", input="") + stop(0),
        start(0, type="tool_use", id="a", name="n") + stop(0),
    ):
        done = run(BEGIN, wire, end())
        assert done.content[0]["said"] == done.calls[0].arguments
        assert json.loads(done.calls[0].arguments) == done.calls[0].args
        assert done.content[0]["input"] == {}


def test_the_caller_and_the_toolset_of_a_call_are_delivered_with_it() -> None:
    caller = {"type": "code_execution_20260120", "tool_id": "srvtoolu_1", "input": {"x": 1}}
    done = run(BEGIN, tool(0, caller=caller, toolset_name="computer", name="zoom"), tool(1, caller=None), end())
    assert [call.name for call in done.calls] == ["computer/zoom", "get_weather"]
    first, second = done.content
    assert first["caller"] == {"type": "code_execution_20260120", "tool_id": "srvtoolu_1"}
    assert (first["name"], first["toolset_name"]) == ("zoom", "computer")
    assert (second["caller"], "toolset_name" in second) == (None, False)


@pytest.mark.parametrize(
    ("kinds", "block"),
    [
        (("web_search_20250305",), {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
        (
            ("web_search_20260318",),
            {"type": "server_tool_use", "id": "s", "name": "code_execution", "input": {}},
        ),
        (("mcp_toolset",), {"type": "mcp_tool_use", "id": "s", "name": "x", "server_name": "s", "input": {}}),
    ],
)
def test_a_server_tool_that_the_request_offered_passes_as_it_came(
    kinds: tuple[str, ...], block: dict[str, Any]
) -> None:
    wire = BEGIN + start(0, **block) + delta(0, partial_json='{"q":1}') + stop(0) + end("end_turn")
    done = run(wire, request=with_tools(*kinds))
    assert (done.out, done.calls, done.findings) == (wire, [], [])


def test_servers_named_in_the_request_may_answer() -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}
    body["mcp_servers"] = [{"type": "url", "url": "https://x", "name": "files"}]
    request = dialect.decode_request(json.dumps(body).encode(), {}, frozenset())
    wire = BEGIN + start(0, type="mcp_tool_listing", mcp_server_name="files", tools=[]) + stop(0) + end("end_turn")
    assert run(wire, request=request).out == wire


def test_an_offered_server_tool_admits_no_other() -> None:
    wire = start(0, type="server_tool_use", id="s", name="code_execution", input={}) + stop(0)
    done = run(BEGIN, wire, end(), request=with_tools("web_search_20250305"))
    assert done.problems == ["executed_upstream"]


def test_what_the_provider_ran_unasked_is_recorded_and_its_result_goes_with_it() -> None:
    ran = start(0, type="server_tool_use", id="s", name="web_search", input={}) + delta(0, partial_json='{"q":1}')
    result = start(1, type="web_search_tool_result", tool_use_id="s", content=[]) + stop(1)
    done = run(BEGIN, ran, stop(0), result, text(2, "so"), end("pause_turn"))
    assert [(c.type, c.name, c.arguments) for c in done.calls] == [("server", "web_search", '{"q":1}')]
    assert [(block["type"], block["said"]) for block in done.content] == [("text", "No."), ("text", "so")]
    assert done.reason == "end_turn"


def test_unknown_things_are_reported_once_per_type() -> None:
    novelty = frame("novelty") * 50 + delta(0, "novel_delta", text="x") * 50
    done = run(BEGIN, start(0, type="text", text=""), novelty, stop(0), end("end_turn"))
    assert [call.detail for call in done.calls] == [
        "event of unknown type 'novelty'",
        "delta of unknown type 'novel_delta'",
    ]
    assert b"novel" not in done.out


@pytest.mark.parametrize(
    ("reason", "released", "withheld", "outgoing"),
    [
        ("tool_use", 1, 0, "tool_use"),
        ("tool_use", 1, 1, "tool_use"),
        ("tool_use", 0, 1, "end_turn"),
        ("tool_use", 0, 0, "end_turn"),
        ("end_turn", 1, 1, "tool_use"),
        ("end_turn", 1, 0, "end_turn"),
        ("pause_turn", 0, 1, "end_turn"),
        ("pause_turn", 0, 0, "pause_turn"),
        ("stop_sequence", 0, 1, "stop_sequence"),
    ],
)
def test_the_stop_reason_fits_what_is_delivered(reason: str, released: int, withheld: int, outgoing: str) -> None:
    calls = [tool(i) for i in range(released + withheld)]
    done = run(BEGIN, *calls, end(reason), judge=lambda call: call.index < released)
    assert done.reason == outgoing
    assert json.loads(re.findall(rb'(\{"type":"message_delta".*)', done.out)[-1])["usage"] == {"output_tokens": 9}


def test_usage_in_between_is_handed_on_and_a_null_reason_ends_nothing() -> None:
    wire = BEGIN + text(0, "a") + frame("message_delta", delta={}, usage={"output_tokens": 3}) + end("end_turn")
    done = run(wire)
    assert done.out == wire
    assert done.answer.usage is not None
    assert done.answer.usage.output == 9


# --- frames ---


def test_unknown_keys_are_stripped_and_noted_wherever_a_reader_could_take_them_for_others() -> None:
    start_frame = BEGIN.replace(b'"content":[]', b'"content":[],"Content":[{"type":"tool_use"}]')
    wire = (
        start_frame
        + frame("content_block_start", index=0, content_block={"type": "text", "text": "", "Input": {}}, x=1)
        + delta(0, "text_delta", text="a", Partial_JSON="{}")
        + frame("content_block_stop", index=0, content_block={"type": "tool_use"})
        + tool(1, Name="delete_file")
        + frame("message_delta", delta={"stop_reason": "tool_use", "content": []}, content=[])
        + frame("message_stop", message={})
    )
    done = run(wire)
    assert {finding.path for finding in done.findings} == {
        "message.Content",
        "content[0].Input",
        "content_block_start.x",
        "content[0].delta.Partial_JSON",
        "content_block_stop.content_block",
        "content[1].Name",
        "message_delta.delta.content",
        "message_delta.content",
        "message_stop.message",
    }
    assert {(f.code, f.action) for f in done.findings} == {("stripped_field", "stripped")}
    for key in (b"Content", b"Input", b"Partial_JSON", b"Name", b'"x"', b'"message":{}'):
        assert key not in done.out
    observed = run(wire, enforcing=False)
    assert {f.action for f in observed.findings} == {"none"}
    assert observed.raw == wire


def test_findings_are_bounded() -> None:
    done = run(
        BEGIN,
        start(0, type="text", text=""),
        *[delta(0, "text_delta", text="", **{f"k{i}": 1}) for i in range(200)],
    )
    assert len(done.findings) == 64


@pytest.mark.parametrize(
    "wire",
    [
        BEGIN.replace(b"\n", b"\r\n"),
        BEGIN.replace(b"\n", b"\r"),
        BEGIN.replace(b": ", b":", 2),
        b": comment\n" + BEGIN,
        b"id: 7\nretry: 1\n" + BEGIN,
        BEGIN.replace(b'"message":', b'\ndata: "message":'),
    ],
)
def test_a_frame_leaves_in_one_form_only(wire: bytes) -> None:
    done = run(wire, text(0, "a"), end("end_turn"))
    assert done.broken is None
    assert json.loads(done.out.split(b"\n")[1][6:]) == json.loads(BEGIN.split(b"\n")[1][6:])
    assert done.out.split(b"\n\n")[0].count(b"\n") == 1
    assert b"\r" not in done.out


def test_line_separators_inside_text_cannot_end_a_line_for_any_reader() -> None:
    wire = "event: content_block_start\ndata: " + json.dumps(
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": "a\u2028b\x85c"},
        },
        ensure_ascii=False,
    )
    done = run(BEGIN, wire.encode() + b"\n\n", stop(0), end("end_turn"))
    assert len(done.out.decode().splitlines()) == len(done.out.split(b"\n")) - 1
    assert done.answer.text == "a\u2028b\x85c"


def test_comments_and_empty_lines_leave_as_comments_and_nothing() -> None:
    done = run(
        b": ping \xff\n\n",
        BEGIN,
        b"\n\n",
        b"event: ping\n\n",
        text(0, "a"),
        end("end_turn"),
        b"data: [DONE]\n\n",
    )
    assert done.out == b":\n\n" + BEGIN + b":\n\n" + text(0, "a") + end("end_turn")
    assert isinstance(done.events[-1], Hidden)


def test_a_deny_text_cannot_forge_an_event() -> None:
    stream = dialect.stream(REQUEST, Limits(), enforcing=True)
    call = next(e.call for e in stream.feed(BEGIN + tool(0) + end()) if isinstance(e, Proposed))
    forged = 'x\n\nevent: content_block_start\ndata: {"type":"content_block_start"}\n\n\u2028\r'
    sent = stream.explain(call, forged)
    assert sent.count(b"\n\n") == 3
    assert json.loads(sent.split(b"\ndata: ")[2].split(b"\n")[0])["delta"]["text"] == forged


def test_a_call_that_cannot_be_read_is_never_released() -> None:
    stream = dialect.stream(REQUEST, Limits(), enforcing=True)
    call = next(e.call for e in stream.feed(BEGIN + tool(0, "[]") + end()) if isinstance(e, Proposed))
    with pytest.raises(ValueError, match="never released"):
        stream.release(call)


def test_an_error_in_the_middle_is_an_error_event() -> None:
    stream = dialect.stream(REQUEST, Limits(), enforcing=True)
    sent = stream.error(GatewayError("upstream", "truncated", "It\n\nended."))
    assert sent.startswith(b"event: error\ndata: ")
    assert sent.count(b"\n") == 3
    assert json.loads(sent[19:])["error"]["details"] == {"error_code": "truncated"}


def test_an_observing_gateway_gets_every_byte_and_the_unchanged_end() -> None:
    wire = BEGIN + text(0, "a") + tool(1, "[]") + end("tool_use")
    done = run(wire, enforcing=False)
    assert done.raw == wire
    assert done.problems == ["type"]
    assert done.out.endswith(end("tool_use"))


# --- limits ---


def test_arguments_beyond_the_limit_are_that_calls_problem_alone() -> None:
    limits = Limits(call_bytes=64)
    long = start(0, type="tool_use", id="a", name="n", input={}) + delta(0, partial_json="é") * 100 + stop(0)
    given = start(1, type="tool_use", id="b", name="n", input={"a": "x" * 99}) + stop(1)
    done = run(BEGIN, long, given, tool(2), end(), limits=limits)
    assert done.problems == ["hold_limit", "hold_limit", None]
    assert [call.arguments for call in done.calls[:2]] == ["", ""]


def test_calls_beyond_the_limit_are_withheld_and_reported_once() -> None:
    done = run(BEGIN, *[tool(i) for i in range(200)], end(), limits=Limits(calls=3))
    assert done.problems == [None, None, None, "call_limit"]
    assert [block["type"] for block in done.content] == ["tool_use"] * 3 + ["text"]


def test_ever_new_unknown_types_and_services_are_reported_up_to_the_limit() -> None:
    novelties = [frame(f"novelty{i}") for i in range(20)]
    ran = [start(i, type="container_upload", file_id="f", id=f"s{i}") + stop(i) for i in range(20)]
    done = run(BEGIN, *ran, *novelties, end(), limits=Limits(calls=3))
    assert done.problems == ["executed_upstream"] * 4
    assert run(BEGIN, *novelties, end(), limits=Limits(calls=3)).problems == ["unknown_type"] * 4


def test_blocks_that_are_never_closed_are_bounded() -> None:
    done = run(BEGIN, *[start(i, type="text", text="") for i in range(300)], end("end_turn"))
    assert (done.broken and done.broken.code) == "protocol"


def test_ever_new_counts_are_bounded() -> None:
    counts = [frame("message_delta", delta={}, usage={f"k{i}": i}) for i in range(500)]
    done = run(BEGIN, *counts, end("end_turn"))
    assert len(json.loads(done.answer.usage_raw or b"")) == 64


@pytest.mark.parametrize("filler", [text(1, *["x" * 100] * 30), tool(1, "x" * 3000)])
def test_beyond_the_hold_limit_every_call_is_withheld_and_nothing_waits_any_longer(filler: bytes) -> None:
    stream = dialect.stream(REQUEST, Limits(hold_bytes=2000), enforcing=True)
    early = [*stream.feed(BEGIN + tool(0) + filler)]
    assert [e.call.problem for e in early if isinstance(e, Proposed)][:1] == ["hold_limit"]
    later = [*stream.feed(text(2, "flows"))]
    assert [type(event) for event in later] == [Forward] * 3
    done = run(
        BEGIN,
        tool(0),
        filler,
        text(2, "flows"),
        tool(3),
        frame("novelty"),
        end(),
        limits=Limits(hold_bytes=2000),
    )
    assert set(done.problems) <= {"hold_limit", "unknown_type"}
    assert b'"tool_use"' not in done.out
    assert done.content[2]["said"] == "flows"
    assert done.reason == "end_turn"


def test_text_that_was_waiting_flows_on_once_the_hold_limit_is_passed() -> None:
    waiting = start(1, type="text", text="") + delta(1, "text_delta", text="x" * 3000)
    done = run(
        BEGIN,
        tool(0),
        waiting,
        delta(1, "text_delta", text="rest"),
        stop(1),
        end(),
        limits=Limits(hold_bytes=2000),
    )
    assert done.content[1]["said"] == "x" * 3000 + "rest"


def test_an_event_beyond_the_limit_breaks_the_stream() -> None:
    done = run(BEGIN, start(0, type="text", text="x" * 5000), limits=Limits(event_bytes=4096))
    assert done.broken is not None
    assert done.broken.code == "protocol"


@pytest.mark.parametrize(
    "endless", [b"\n", b": wait\n\n", frame("ping"), delta(0, "text_delta", text=""), delta(0, "text_delta", text="a")]
)
def test_an_answer_without_end_is_ended(endless: bytes) -> None:
    done = run(BEGIN, start(0, type="text", text=""), *[endless] * 200, limits=Limits(events=100))
    assert done.broken is not None
    assert done.broken.code == "protocol"
    assert "100 events" in done.broken.detail
    assert len(done.events) == 101


# --- what the answer says ---


def test_the_answer_gathers_id_model_reason_text_and_disjoint_counts() -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 11,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 8},
        "output_tokens": 1,
    }
    begin = json.loads(BEGIN.split(b"data: ")[1])
    begin["message"]["usage"] = usage
    last = {
        "output_tokens": 40,
        "output_tokens_details": {"thinking_tokens": 30},
        "cache_creation_input_tokens": 20,
        "input_tokens": None,
    }
    answer = run(raw_frame("message_start", json.dumps(begin)), text(0, "a", "b"), end("end_turn", **last)).answer
    assert (answer.id, answer.model, answer.finish, answer.text) == ("msg_1", "claude-x", ("end_turn",), "ab")
    assert answer.usage is not None
    found = answer.usage
    assert (found.input, found.cache_read, found.cache_write, found.cache_write_1h) == (5, 7, 12, 8)
    assert (found.output, found.reasoning) == (10, 30)
    assert json.loads(answer.usage_raw or b"")["input_tokens"] == 5


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"output_tokens": 5, "output_tokens_details": {"thinking_tokens": 6}}, (None, None, 5, None)),
        ({"output_tokens": -1, "output_tokens_details": None}, (None, None, None, None)),
        ({"output_tokens": True, "output_tokens_details": {"thinking_tokens": 1}}, (None, None, None, None)),
        ({"output_tokens": 5, "cache_creation_input_tokens": 4}, (4, None, 5, None)),
        ({"output_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 4}}, (None, 4, 5, None)),
        (
            {
                "output_tokens": 5,
                "cache_creation_input_tokens": 1,
                "cache_creation": {"ephemeral_1h_input_tokens": 4},
            },
            (None, 4, 5, None),
        ),
        ({"output_tokens": 5, "cache_creation_input_tokens": 1, "cache_creation": {}}, (1, None, 5, None)),
    ],
)
def test_nonsensical_counts_are_unknown_counts(usage: dict[str, Any], expected: tuple[int | None, ...]) -> None:
    found = run(BEGIN, text(0, "a"), end("end_turn", **usage)).answer.usage
    assert found is not None
    assert (found.cache_write, found.cache_write_1h, found.output, found.reasoning) == expected


def test_an_answer_that_says_nothing_about_itself_has_no_usage() -> None:
    bare = frame("message_start", message={"type": "message", "role": "assistant", "content": [], "id": 3})
    answer = run(bare, frame("message_delta", delta={"stop_reason": "end_turn"}), frame("message_stop")).answer
    assert (answer.id, answer.usage, answer.usage_raw) == (None, None, None)


def test_the_text_kept_for_the_record_is_bounded() -> None:
    answer = run(BEGIN, text(0, *["x" * 60_000] * 6), end("end_turn")).answer
    assert answer.text == "x" * 262_144


# --- properties ---

WORDS = st.text(st.characters(codec="utf-8"), max_size=6)
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.integers(-9, 9), max_size=2).map(json.dumps)
BLOCKS = st.one_of(
    WORDS.map(lambda word: lambda i: text(i, word)),
    st.tuples(ARGUMENTS, st.sampled_from(["get_weather", "delete_file"])).map(
        lambda call: lambda i: tool(i, call[0], name=call[1])
    ),
    st.just(
        lambda i: (
            start(i, type="thinking", thinking="", signature="") + delta(i, "signature_delta", signature="s") + stop(i)
        )
    ),
    st.just(lambda i: start(i, type="server_tool_use", id=f"s{i}", name="web_search", input={}) + stop(i)),
    st.just(lambda i: frame("ping") + text(i, "p")),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BLOCKS, max_size=6), st.lists(st.integers(0, 4000), max_size=5))
def test_however_it_is_cut_only_allowed_calls_arrive_and_every_byte_is_accounted_for(
    blocks: list[Callable[[int], bytes]], cuts: list[int]
) -> None:
    wire = BEGIN + b"".join(block(i) for i, block in enumerate(blocks)) + end()
    places = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    pieces = [wire[a:b] for a, b in pairwise(places)]

    def judge(call: Call) -> bool:
        return call.name == "get_weather"

    done, whole = Run(pieces, judge=judge), Run([wire], judge=judge)
    assert (done.out, done.calls, done.broken) == (whole.out, whole.calls, None)
    assert done.raw == wire
    arrived = [(b["id"], b["name"], b["said"]) for b in done.content if b["type"] == "tool_use"]
    assert arrived == [(c.id, c.name, c.arguments) for c in done.calls if c.problem is None and judge(c)]
    assert isinstance(done.events[-1], Forward)
    assert done.reason == ("tool_use" if arrived else "end_turn")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_stream_never_delivers_a_call_that_was_not_judged(data: st.DataObject) -> None:
    wire = bytearray(BEGIN + text(0, "a") + tool(1, '{"a":1}') + tool(2, '{"b":2}') + end())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(wire) - 1))
        wire[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    done = run(bytes(wire))
    arrived = [(b["name"], b["said"]) for b in done.content if b["type"] == "tool_use"]
    assert arrived == [(c.name, c.arguments) for c in done.calls if c.problem is None]
    assert not any(isinstance(event, Held) for event in done.events) or done.raw in bytes(wire)
