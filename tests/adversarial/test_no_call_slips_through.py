"""Invariant: whatever a provider sends, however damaged, no reader finds a call that was not judged, released and delivered as judged.

Recorded answers are damaged in ways that a hostile or broken provider could: events deleted, doubled, moved, taken from other answers; keys
doubled, renamed, retyped; names split; bytes cut, cut up anew, changed. The damaged answer goes through the dialect, the hold and the judge
under a policy that grants one tool, and what is delivered is read by the official SDKs and by a naive reader.

`TOLLHOUSE_EXAMPLES` sets how many examples are tried (300 by default).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.dialects.events import Broken, Hidden, Limits
from gateway.errors import GatewayError
from gateway.exchange import Caller
from gateway.holdback import Break, Finishing, Judge, Judging, Observing, Send
from gateway.judge import Court, judge
from gateway.policy import Conversation, load
from gateway.policy.explain import denial_text
from gateway.verdict import Call
from tests import cuts

GOLDEN = Path(__file__).parent.parent / "golden"
FOLDERS = {
    "chat": "openai_chat",
    "messages": "anthropic_messages",
    "responses": "openai_responses",
    "gemini": "gemini",
}
NAMES = {
    "chat": "openai.chat",
    "messages": "anthropic.messages",
    "responses": "openai.responses",
    "gemini": "google.gemini",
}
PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/m:streamGenerateContent",
}
STREAMS = {
    w: [p.read_bytes() for p in sorted((GOLDEN / f).glob("*.sse")) if p.stem.count(".") == 0]
    for w, f in FOLDERS.items()
}
WHOLES = {
    w: [p.read_bytes() for p in sorted((GOLDEN / f).glob("whole_*.json")) if p.stem.count(".") == 0]
    for w, f in FOLDERS.items()
}
POLICIES = load({"p.yaml": b"policy: 1\nid: one\nagents: ['*']\nallow: [get_weather]\n"})
LIMITS = Limits(calls=8, call_bytes=2000, hold_bytes=8000)
"""Of Responses more is held: each copy of a call, and everything behind it."""
HELD = {wire: LIMITS if wire != "responses" else msgspec.structs.replace(LIMITS, hold_bytes=40_000) for wire in FOLDERS}
WIRES = pytest.mark.parametrize("dialect", list(FOLDERS))
EXAMPLES = settings(
    max_examples=int(os.environ.get("TOLLHOUSE_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
TOOLS = ("get_weather", "delete_file", "read_file", "run_shell", "get_time")


def request(wire: str, stream: bool, usage: bool = False) -> Any:
    dialect = DIALECTS[NAMES[wire]]
    path = PATHS[wire] if stream else PATHS[wire].replace("streamGenerate", "generate")
    endpoint = msgspec.structs.replace(dialect.endpoints(path)[0], query="alt=sse")
    return dialect.decode_request(json.dumps(BODIES[wire](stream, usage)).encode(), {}, frozenset(), endpoint)


def canonical(text: str) -> str:
    with contextlib.suppress(ValueError):
        return json.dumps(json.loads(text), sort_keys=True)
    return text


def said(stream: bool, **more: Any) -> dict[str, Any]:
    return {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]} | more


BODIES: dict[str, Any] = {
    "chat": lambda stream, usage: said(
        stream,
        tools=[{"type": "function", "function": {"name": name}} for name in TOOLS],
        **({"stream_options": {"include_usage": usage}} if stream else {}),
    ),
    "messages": lambda stream, usage: said(
        stream, tools=[{"name": name, "input_schema": {"type": "object"}} for name in TOOLS], max_tokens=9
    ),
    "responses": lambda stream, usage: {
        "model": "m",
        "stream": stream,
        "input": "x",
        "tools": [{"type": "function", "name": name} for name in TOOLS],
    },
    "gemini": lambda stream, usage: {
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": name} for name in TOOLS]}],
    },
}


# Damage

ODD = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        7,
        1.0,
        "",
        "0",
        "get_weather",
        "delete_file",
        "{}",
        "tool_use",
        "function",
        "custom",
        "tool_calls",
    ]
    + [
        "end_turn",
        "stop",
        "length",
        "text",
        "call_A",
        "call_B",
        '{"city":"Rome"}',
        [],
        {},
        [None],
        ["x"],
        {"name": "delete_file"},
    ]
    + [
        {"name": "delete_file", "arguments": "{}"},
        [{"index": 0, "id": "z", "function": {"name": "delete_file", "arguments": "{}"}}],
    ]
    + [
        {"type": "tool_use", "id": "z", "name": "delete_file", "input": {}},
        {"type": "input_json_delta", "partial_json": "}"},
    ]
    + [
        {"type": "function_call", "id": "z", "call_id": "z", "name": "delete_file", "arguments": "{}", "status": "completed"},
        [{"type": "function_call", "call_id": "z", "name": "delete_file", "arguments": "{}"}],
        {"functionCall": {"name": "delete_file", "args": {}}},
        [{"text": "x"}, {"functionCall": {"name": "delete_file", "args": {}}}],
        "function_call",
        "message",
        "reasoning",
        "completed",
        "STOP",
        "response.completed",
    ]
)
KEYS = st.sampled_from(
    [
        "index",
        "id",
        "type",
        "name",
        "input",
        "arguments",
        "function",
        "custom",
        "tool_calls",
        "function_call",
        "Tool_Calls",
        "toolCalls",
    ]
    + [
        "delta",
        "content",
        "content_block",
        "message",
        "choices",
        "finish_reason",
        "stop_reason",
        "partial_json",
        "text",
        "refusal",
        "role",
        "Name",
        "usage",
    ]
    + ["item", "output", "output_index", "item_id", "call_id", "response", "part", "content_index", "sequence_number", "status"]
    + ["candidates", "parts", "functionCall", "function_call", "args", "finishReason", "thought", "willContinue"]
)
ENTRY = {"index": 0, "id": "z", "function": {"name": "delete_file", "arguments": "{}"}}
BLOCK = {"type": "tool_use", "id": "z", "name": "delete_file", "input": {}}


def chat_frame(event: str = "", **tree: Any) -> bytes:
    return (f"event: {event}\n" if event else "").encode() + b"data: " + msgspec.json.encode(tree) + b"\n\n"


def choice(delta: Any, finish: Any = None, index: int = 0) -> bytes:
    return chat_frame(choices=[{"index": index, "delta": delta, "finish_reason": finish}])


def messages_frame(kind: str, **more: Any) -> bytes:
    return chat_frame(kind, type=kind, **more)


ITEM = {"type": "function_call", "id": "fc_9", "call_id": "z", "name": "delete_file", "arguments": "{}", "status": "completed"}
PART = {"functionCall": {"name": "delete_file", "args": {}}}
FRAMES = {
    "responses": [
        messages_frame("response.output_item.added", output_index=0, item=ITEM),
        messages_frame("response.output_item.added", output_index=1, item=ITEM | {"type": "tool_use_v2"}),
        messages_frame("response.output_item.done", output_index=1, item=ITEM),
        messages_frame("response.function_call_arguments.delta", output_index=1, item_id="fc_2", delta="}"),
        messages_frame("response.function_call_arguments.done", output_index=1, item_id="fc_2", arguments="{}"),
        messages_frame("response.completed", response={"id": "r", "status": "completed", "output": [ITEM]}),
        messages_frame("response.in_progress", response={"id": "r", "status": "in_progress", "output": [ITEM]}),
        messages_frame("response.tool_v2.delta", delta="x"),
        messages_frame("response.content_part.added", output_index=0, content_index=0, part=ITEM),
        b"data: [DONE]\n\n",
        b": wait\n\n",
        messages_frame("error", error={"type": "x"}),
    ],
    "gemini": [
        chat_frame(candidates=[{"content": {"parts": [PART]}, "index": 0}]),
        chat_frame(candidates=[{"content": {"parts": [{"text": "x"} | PART]}}, {"content": {"parts": [PART]}, "index": 1}]),
        chat_frame(candidates=[{"content": {"parts": [{"function_call": PART["functionCall"]}]}, "finishReason": "STOP"}]),
        chat_frame(candidates=[{"finishReason": "STOP", "toolCalls": [PART]}]),
        chat_frame(functionCall=PART["functionCall"]),
        b"data: [DONE]\n\n",
        b": wait\n\n",
        chat_frame(error={"message": "x"}),
    ],
    "chat": [
        choice({"tool_calls": [ENTRY]}),
        choice({"function_call": ENTRY["function"]}, index=1),
        choice({}, "tool_calls"),
        choice({}, "stop"),
        chat_frame("tool", name="delete_file", arguments="{}"),
        chat_frame(choices=[], tool_calls=[ENTRY]),
        b"data: [DONE]\n\n",
        b": wait\n\n",
        b"data:\n\n",
        chat_frame("error", error={"message": "x"}),
    ],
    "messages": [
        messages_frame("content_block_start", index=1, content_block=BLOCK),
        messages_frame("content_block_start", index=0, content_block=BLOCK | {"type": "tool_use_v2"}),
        messages_frame("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"a":1}'}),
        messages_frame("content_block_stop", index=1),
        messages_frame("message_delta", delta={"stop_reason": "tool_use"}, usage={}),
        messages_frame("message_stop"),
        messages_frame("tool", name="delete_file", input={}),
        messages_frame("ping"),
        b"data: [DONE]\n\n",
        b"event: ping\n\n",
        messages_frame("error", error={"type": "x"}),
    ],
}
TOKENS = re.compile(rb'[{}\[\],:]|"(?:\\.|[^"\\])*"')
STRING = re.compile(rb'"((?:\\.|[^"\\])*)"')


def places(tree: Any) -> list[tuple[Any, Any]]:
    """(container, key) of every value."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        current = waiting.pop()
        items = (
            list(current.items())
            if isinstance(current, dict)
            else list(enumerate(current))
            if isinstance(current, list)
            else []
        )
        found += [(current, key) for key, _ in items]
        waiting += [value for _, value in items]
    return found


def damaged_json(draw: Any, data: bytes) -> bytes:
    """One change of a JSON text: of a value, a key, or of the text itself."""
    kind = draw(st.sampled_from(["set", "set", "add", "rename", "drop", "twin", "double key", "gap", "flip", "grow"]))
    if kind in ("set", "add", "rename", "drop", "twin"):
        try:
            tree = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return data
        return changed(draw, tree, kind)
    tokens = list(TOKENS.finditer(data))
    if not tokens:
        return data
    at = draw(st.sampled_from(tokens))
    if kind == "double key":
        strings = [m for m in tokens if m.group().startswith(b"{")]
        if not strings:
            return data
        at = draw(st.sampled_from(strings))
        extra = msgspec.json.encode(draw(KEYS)) + b":" + msgspec.json.encode(draw(ODD)) + b","
        return data[: at.end()] + extra + data[at.end() :]
    if kind == "gap":
        return data[: at.start()] + draw(st.sampled_from([b" ", b"\n", b"\r\n", b"\t", b"\r"])) + data[at.start() :]
    if kind == "flip":
        return data[: at.start()] + draw(st.binary(min_size=1, max_size=3)) + data[at.end() :]
    return (
        data[: at.end() - 1]
        + draw(st.sampled_from([b"x" * 3000, b"\\u0000", b"\\ud800", b"\xed\xa0\x80", "\u2028".encode()]))
        + data[at.end() - 1 :]
    )


def changed(draw: Any, tree: Any, kind: str) -> bytes:
    found = places(tree)
    if not found:
        return msgspec.json.encode(tree)
    holder, key = draw(st.sampled_from(found))
    if kind == "set":
        holder[key] = draw(ODD)
    elif kind == "drop":
        del holder[key]
    elif isinstance(holder, list):
        holder.append(holder[key] if kind == "twin" else draw(ODD))
    elif kind == "add":
        holder[draw(KEYS)] = draw(ODD)
    else:
        value = holder[key] if kind == "twin" else holder.pop(key)
        holder[
            draw(st.sampled_from([str(key).upper(), str(key).title(), f"{key} "]))
            if draw(st.booleans())
            else draw(KEYS)
        ] = value
    return msgspec.json.encode(tree)


def damaged_frame(draw: Any, frame: bytes) -> bytes:
    head, sep, data = frame.partition(b"data: ")
    if not sep:
        return frame
    return (
        head
        + sep
        + damaged_json(draw, data.rstrip(b"\n")).replace(b"\n", draw(st.sampled_from([b"\ndata: ", b"\n"])))
        + b"\n\n"
    )


@st.composite
def streams(draw: Any, wire: str) -> list[bytes]:
    """A damaged stream in the pieces in which it arrives."""
    frames = [f + b"\n\n" for f in draw(st.sampled_from(STREAMS[wire])).replace(b"\r\n", b"\n").split(b"\n\n") if f]
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(frames) - 1)) if frames else 0
        kind = draw(st.sampled_from(["damage", "damage", "damage", "delete", "double", "move", "foreign", "splice"]))
        if kind == "splice" or not frames:
            frames.insert(at, draw(st.sampled_from(FRAMES[wire])))
        elif kind == "damage":
            frames[at] = damaged_frame(draw, frames[at])
        elif kind == "delete":
            del frames[at]
        elif kind == "double":
            frames.insert(draw(st.integers(0, len(frames))), frames[at])
        elif kind == "move":
            frames.insert(draw(st.integers(0, len(frames) - 1)), frames.pop(at))
        else:
            others = [f + b"\n\n" for f in draw(st.sampled_from(STREAMS[wire])).split(b"\n\n") if f]
            frames.insert(at, draw(st.sampled_from(others)))
    data = b"".join(frames)
    if draw(st.integers(0, 5)) == 0:
        data = data[: draw(st.integers(0, len(data)))]
    if draw(st.integers(0, 5)) == 0:
        data = data.replace(b"\n", draw(st.sampled_from([b"\r", b"\r\n", b"\n\r"])))
    return pieces(draw, data)


def pieces(draw: Any, data: bytes) -> list[bytes]:
    cuts = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=8))})
    return [data[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]


@st.composite
def wholes(draw: Any, wire: str) -> bytes:
    data = draw(st.sampled_from(WHOLES[wire]))
    for _ in range(draw(st.integers(1, 5))):
        data = damaged_json(draw, data)
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data


# The way through


class Passage:
    """What the pipeline does between the dialect and the client, without its I/O."""

    def __init__(self, wire: str, stream: bool) -> None:
        self.wire, self.request = wire, request(wire, stream)
        self.dialect = DIALECTS[NAMES[wire]]
        self.out, self.tail = b"", b""
        self.released: list[tuple[str, str]] = []
        self._finishing = False
        self._court = Court(POLICIES, Caller("a"), self.request, {}, lambda text: False, lambda schema: "", Conversation(()))

    def stream(self, chunks: list[bytes]) -> None:
        decoder = self.dialect.stream(self.request, HELD[self.wire], enforcing=True)
        hold = Judging(decoder)
        for chunk in (*chunks, None):
            for step in hold.close() if chunk is None else hold.feed(chunk):
                if isinstance(step, Break):
                    self.out += decoder.error(GatewayError("upstream", step.broken.code, step.broken.detail))
                    return
                self._take(step, hold)
        self.out += self.tail

    def _take(self, step: Any, hold: Judging) -> None:
        if isinstance(step, Send):
            if self._finishing:
                self.tail += step.data
            else:
                self.out += step.data
        elif isinstance(step, Judge):
            released, text = self.verdict(step.call)
            hold.settle(released=released, text=text)
        elif isinstance(step, Finishing):
            self._finishing = True

    def verdict(self, call: Call) -> tuple[bool, str]:
        verdict = judge(self._court, call, 0).verdict
        if verdict.released:
            assert call.problem is None
            assert call.name == "get_weather"
            self.released.append((call.name, call.arguments))
        return verdict.released, denial_text(verdict, call, "dec_0")

    def whole(self, body: bytes) -> None:
        whole = self.dialect.decode_answer(body, self.request, HELD[self.wire])
        if whole.broken is not None:
            self.out = self.dialect.error_answer(GatewayError("upstream", whole.broken.code, whole.broken.detail)).body
            return
        withheld = {call.index: text for call in whole.calls for released, text in [self.verdict(call)] if not released}
        self.out = self.dialect.encode_answer(whole, withheld)


def only_released(readers: Any, wire: str, stream: bool, passage: Passage) -> None:
    released = Counter((name, canonical(text)) for name, text in passage.released)
    for reader, seen in readers.found(wire, stream, passage.out).items():
        extra = Counter(seen) - released
        assert not extra, (
            f"the {reader} reader found {extra}; released were {released}\n{passage.out.decode(errors='replace')}"
        )


@WIRES
@EXAMPLES
@given(data=st.data())
def test_no_reader_finds_a_call_in_a_damaged_stream_that_was_not_released(
    readers: Any, dialect: str, data: Any
) -> None:
    passage = Passage(dialect, True)
    passage.stream(data.draw(streams(dialect)))
    only_released(readers, dialect, True, passage)


@WIRES
@EXAMPLES
@given(data=st.data())
def test_no_reader_finds_a_call_in_a_damaged_answer_that_was_not_released(
    readers: Any, dialect: str, data: Any
) -> None:
    passage = Passage(dialect, False)
    passage.whole(data.draw(wholes(dialect)))
    only_released(readers, dialect, False, passage)


@WIRES
@EXAMPLES
@given(data=st.data())
def test_how_a_damaged_stream_is_cut_changes_no_verdict_and_no_byte(dialect: str, data: Any) -> None:
    chunks = data.draw(streams(dialect))
    cut, whole = Passage(dialect, True), Passage(dialect, True)
    cut.stream(chunks)
    whole.stream([b"".join(chunks)])
    assert cut.out == whole.out
    assert cut.released == whole.released


@pytest.mark.parametrize("usage", [True, False])
@WIRES
@EXAMPLES
@given(data=st.data())
def test_an_observer_passes_a_damaged_stream_on_as_it_came(dialect: str, usage: bool, data: Any) -> None:
    chunks = data.draw(streams(dialect))
    asked = request(dialect, True, usage)
    hold = Observing(DIALECTS[NAMES[dialect]].stream(asked, HELD[dialect], enforcing=False))
    out = b""
    for chunk in (*chunks, None):
        for step in hold.close() if chunk is None else hold.feed(chunk):
            out += step.data if isinstance(step, Send) else b""
    assert out == without_hidden(DIALECTS[NAMES[dialect]].stream(asked, HELD[dialect], enforcing=False), b"".join(chunks))


def without_hidden(decoder: Any, data: bytes) -> bytes:
    """The bytes but for the frames that the decoder hides; from where it breaks off, all of them."""
    kept, at = b"", 0
    for event in [*decoder.feed(data), *decoder.close()]:
        if isinstance(event, Broken):
            break
        raw = getattr(event, "raw", b"")
        assert data.startswith(raw, at)
        kept += b"" if isinstance(event, Hidden) else raw
        at += len(raw)
    return kept + data[at:]


@settings(EXAMPLES, max_examples=int(os.environ.get("TOLLHOUSE_EXAMPLES", "60")))
@given(data=st.data())
def test_an_sdk_finds_in_a_damaged_answer_what_the_book_says_was_released(house: Any, wire: Any, data: Any) -> None:
    """Over sockets, with the journal. Nothing else, and of a whole answer all that the same SDK finds in the provider's own bytes."""
    stream = data.draw(st.booleans())
    sent = data.draw(streams(wire.name) if stream else wholes(wire.name))
    house.provider.answer = house.provider.sse(*sent) if stream else house.provider.json(sent)
    answer = house.ask(wire, stream)
    ended, calls = house.closing(answer)
    released = Counter((call.name, canonical(call.arguments)) for call in calls if call.released)
    direct: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # what is so damaged that looking for calls in it fails
        direct = house.readers.found_by_sdks(wire.name, stream, b"".join(sent) if stream else sent)
    behind = house.readers.found(wire.name, stream and answer.status_code == 200, answer.content)
    for reader, seen in behind.items():
        assert not Counter(seen) - released, f"the {reader} reader found {seen}; {released} were released"
        if reader in direct and ended.exchange.state in ("complete", "denied"):
            missed = released & Counter((str(name), text) for name, text in direct[reader]) - Counter(seen)
            assert not missed, f"the {reader} reader missed {missed}"


@WIRES
def test_every_recorded_stream_is_judged_alike_wherever_it_is_cut_in_two(dialect: str) -> None:
    for data in STREAMS[dialect]:
        whole = Passage(dialect, True)
        whole.stream([data])
        for pieces in cuts.in_two(data, 100):
            cut = Passage(dialect, True)
            with contextlib.suppress(StopIteration):
                cut.stream(list(pieces))
            assert (cut.out, cut.released) == (whole.out, whole.released), pieces


def test_the_damage_does_damage() -> None:
    """Most of the examples must differ from what was recorded, and some of them must still be read to the end."""
    ends: Counter[str] = Counter()

    @settings(max_examples=200, database=None, derandomize=True, deadline=None)
    @given(data=st.data())
    def count(data: Any) -> None:
        for wire in FOLDERS:
            passage = Passage(wire, True)
            chunks = data.draw(streams(wire))
            passage.stream(chunks)
            ends["changed"] += b"".join(chunks) not in STREAMS[wire]
            ends["error"] += b'"error"' in passage.out
            ends["explained"] += b"NOT executed" in passage.out
            ends["released"] += bool(passage.released)

    count()
    assert min(ends["changed"], ends["error"], ends["explained"], ends["released"]) > 20, ends
