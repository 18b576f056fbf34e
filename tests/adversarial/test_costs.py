"""Rows A6, A11 and C14: what is sent to cost much ends at a limit, keeps little in memory, and leaves the gateway free for others.

The provider writes without end while a second client asks. Bounds are generous: they tell "a limit" from "none", not fast from slow.
"""

from __future__ import annotations

import functools
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.answering import decisions
from gateway.dialects import DIALECTS
from gateway.dialects.events import Limits
from gateway.holdback import Judge, Judging
from gateway.policy import expressions
from gateway.request import Request

SECONDS = 60
"""By then an endless answer has long been ended."""
SOON = 5.0
"""In which another client gets its answer meanwhile."""
MEMORY = 96 * 1024 * 1024
"""By how much this process may grow, which is gateway, provider and client in one."""


def endless(*first: bytes, repeat: bytes) -> Any:
    """A stream that goes on until the gateway leaves."""
    piece = repeat * max(1, 60_000 // len(repeat))

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + b"".join(first))
        try:
            while True:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            writer.close()

    return answer


class Meanwhile:
    """Asks for an ordinary answer again and again while something else goes on; keeps how long each took."""

    def __init__(self, house: Any, wire: Any) -> None:
        self._house, self._wire = house, wire
        self.times: list[float] = []
        self.codes: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        body = self._wire.request(False, metadata={"user_id": "other"})
        with self._house.gateway.client() as client:
            while not self._over.is_set() or not self.times:
                start = time.monotonic()
                self.codes.add(client.post(self._wire.path, json=body, headers=self._wire.headers).status_code)
                self.times.append(time.monotonic() - start)
                self._over.wait(0.02)

    def __enter__(self) -> Meanwhile:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def chosen(hostile: Any, ordinary: Any) -> Any:
    """The provider answers the other client as it should."""

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        await (ordinary if b'"other"' in body else hostile)(reader, writer, body)

    return answer


def read_all(house: Any, wire: Any, body: Any) -> tuple[httpx.Response, bytes]:
    """The last bytes of a long answer, without keeping the rest."""
    last = b""
    with house.client.stream("POST", wire.path, json=body, headers=wire.headers, timeout=SECONDS) as answer:
        for piece in answer.iter_raw():
            last = (last + piece)[-100_000:]
    return answer, last


@pytest.fixture(params=["chat", "messages"])
def wire(request: Any, kit: Any) -> Any:
    """Over sockets in two dialects; in all of them at the decoders, below."""
    return getattr(kit, request.param)


@pytest.fixture
def bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY, f"{grown // 1024**2} MiB"


def place(wire: Any) -> int:
    return 0 if wire.name == "chat" else 1


def began(wire: Any, kit: Any) -> list[bytes]:
    """An answer with a call that has begun."""
    return [*wire.opening(), wire.begun(kit.call("read_file", ""), place(wire))]


def words(wire: Any) -> bytes:
    return wire.chunk({"content": "x"}) if wire.name == "chat" else wire.event("ping")


FLOODS: dict[str, Callable[[Any, Any], tuple[list[bytes], bytes]]] = {
    "arguments a character at a time": lambda w, k: (began(w, k), w.piece(place(w), "x")),
    "arguments in pieces of nothing": lambda w, k: (began(w, k), w.piece(place(w), "")),
    "words a character at a time": lambda w, k: (w.opening(), words(w)),
    "comments": lambda w, k: (w.opening(), b": wait\n\n"),
    "one event without end": lambda w, k: (w.opening(), b"data: " + b"x" * 1000 + b"\n"),
    "one line without end": lambda w, k: (w.opening(), b"x" * 1000),
}


@pytest.mark.parametrize("flood", [flood for flood in FLOODS if flood != "arguments a character at a time"])
def test_an_answer_without_end_is_ended_while_others_are_served(
    house: Any, kit: Any, wire: Any, bounded: None, monkeypatch: Any, flood: str
) -> None:
    """Events that are read as JSON come to the bound on their number too, but in a test not that far."""
    if flood in ("arguments in pieces of nothing", "words a character at a time"):
        monkeypatch.setattr(decisions, "Limits", functools.partial(Limits, events=80_000))
    first, repeat = FLOODS[flood](wire, kit)
    ordinary = house.provider.json(wire.whole(kit.call(kit.good[0])))
    house.provider.answer = chosen(endless(*first, repeat=repeat), ordinary)
    with Meanwhile(house, wire) as others:
        answer, last = read_all(house, wire, wire.request(True))
    assert b'"error"' in last
    assert wire.finish_in(last) == set()
    ended, calls = house.closing(answer)
    assert ended.exchange.state == "incomplete"
    assert ended.exchange.error_code in ("protocol", "hold_limit")
    assert not any(call.released for call in calls)
    assert others.codes == {200}
    assert max(others.times) < SOON
    house.stays_well(wire)


@pytest.mark.parametrize("flood", ["arguments a character at a time", "arguments in pieces of nothing"])
def test_an_observer_keeps_little_of_an_answer_without_end(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, wire: Any, bounded: None, flood: str
) -> None:
    """It passes everything on, so that the client must end it."""
    house = kit.house(start, provider, readers, caplog, observing=True)
    first, repeat = FLOODS[flood](wire, kit)
    provider.answer = endless(*first, repeat=repeat)
    read = 0
    with house.client.stream("POST", wire.path, json=wire.request(True), headers=wire.headers) as answer:
        for piece in answer.iter_raw():
            read += len(piece)
            if read > 64 * 1024 * 1024:
                break
    row = house.gateway.ended()[0].exchange
    assert row.state == "client_gone"
    assert "answer:hold_limit" in row.unevaluated


def test_64_mebibytes_of_arguments_are_one_withheld_call(house: Any, kit: Any, wire: Any, bounded: None) -> None:
    """They end, however: what is over the limit is not kept, and the call is withheld."""
    piece = wire.piece(place(wire), "x" * 4000)
    frames = [*began(wire, kit), *[piece * 16] * 1024]
    frames += ([] if wire.name == "chat" else [wire.stopped(1)]) + wire.closing()
    ordinary = house.provider.json(wire.whole(kit.call(kit.good[0])))
    house.provider.answer = chosen(house.provider.sse(*frames), ordinary)
    with Meanwhile(house, wire) as others:
        answer, last = read_all(house, wire, wire.request(True))
    _, calls = house.closing(answer)
    assert [(call.code, call.released) for call in calls] == [("hold_limit", False)]
    assert others.codes == {200}
    assert max(others.times) < SOON
    assert b"xxxx" not in last
    house.stays_well(wire)


def test_10_000_calls_are_withheld_at_the_limit(house: Any, kit: Any, wire: Any, bounded: None) -> None:
    calls = [kit.call("list_all", "{}", id=f"c{n}") for n in range(10_000)]
    for stream in (False, True):
        upstream = kit.proposed(wire, stream, *calls)
        house.provider.answer = house.provider.sse(b"".join(upstream)) if stream else house.provider.json(upstream)
        _, judged = house.closing(house.ask(wire, stream))
        assert len(judged) == kit.limits["calls"] + 1
        assert len([call for call in judged if call.released]) <= kit.limits["calls"]
        assert {call.code for call in judged if not call.released} == {"call_limit"}
        house.stays_well(wire)


DEEP, WIDE = "[" * 30_000 + "]" * 30_000, json.dumps({"text": [0] * 20_000})
PATTERNS = (r"(a+)+$", r"(a|a)*b$", r"(a|aa)+$", r"(.*a){20}b", r"((a*)*)*b", r"^(([a-z])+.)+[A-Z]([a-z])+$", r"(x+x+)+y")
"""Patterns that take exponential or high polynomial time where an engine backtracks."""


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_takes_time_in_proportion_to_the_text(pattern: str) -> None:
    """With backtracking, twenty-five letters would already take seconds."""
    condition = expressions.compile_condition(f"args.text.matches('{pattern}')", ())
    assert isinstance(condition, expressions.Condition)
    for letter in "ax":
        seen = expressions.activation({"args": {"text": letter * 60_000 + "!"}})
        start = time.thread_time()
        condition.holds(seen, expressions.Size(1, 60_000))
        assert time.thread_time() - start < 1.0


SLOW: dict[str, tuple[str, str, str]] = {
    "a pattern that backtracks": ("search", json.dumps({"text": "a" * 50_000 + "!"}), "rule"),
    "nested without end": ("search", '{"text": %s}' % DEEP, "depth"),
    "open without end": ("search", '{"text": ' + "[" * 60_000, "depth"),
    "a long list": ("search", WIDE, "schema"),
    "many keys": ("get_weather", json.dumps({f"k{n}": n for n in range(3000)}), "schema"),
    "more keys than are read": ("get_weather", json.dumps({f"k{n}": n for n in range(6000)}), "hold_limit"),
    "a long number": ("pay", '{"amount": 1' + "0" * 60_000 + "}", "number"),
    "escapes only": ("search", '{"text": "' + "\\u0061" * 10_000 + '!"}', "rule"),
}
"""Arguments that are costly to read or to judge: (tool, argument text, reason code)."""


@pytest.mark.parametrize("what", SLOW)
def test_arguments_that_cost_much_to_judge_do_not_hold_up_others(
    house: Any, kit: Any, wire: Any, bounded: None, what: str
) -> None:
    name, text, code = SLOW[what]
    hostile = house.provider.sse(b"".join(wire.frames(kit.call(name, text))))
    house.provider.answer = chosen(hostile, house.provider.json(wire.whole(kit.call(kit.good[0]))))
    with Meanwhile(house, wire) as others:
        answers = [house.ask(wire, True) for _ in range(5)]
    for answer in answers:
        house.judge(wire, True, answer, kit.block(code))
    assert others.codes == {200}
    assert max(others.times) < SOON
    house.stays_well(wire)


MESSAGE, SIZE = b'{"role": "user", "content": "x"}', 3_000_000
TOOL = b'{"type": "function", "function": {"name": "t%d", "parameters": {"type": "object"}}}'
HEAVY: dict[str, tuple[bytes, bytes, str]] = {
    "messages nested without end": (b"[" * SIZE, b"", "too_many_values"),
    "messages nested and closed": (b"[" * (SIZE // 2) + b"]" * (SIZE // 2), b"", "too_many_values"),
    "messages nested a little too deep": (b"[" * 1025 + b"]" * 1025, b"", "invalid_json"),
    "objects in objects": (b'{"role":' * (SIZE // 8), b"", "too_many_values"),
    "one key again and again": (MESSAGE, b"".join([b', "seed": 1'] * (SIZE // 11)), "too_many_values"),
    "keys without end": (MESSAGE, b"".join(b', "k%d": 1' % n for n in range(SIZE // 14)), "too_many_values"),
    "a number without end": (MESSAGE, b', "seed": 1' + b"0" * SIZE, "invalid_json"),
    "one key twice, and as many as pass": (MESSAGE, b"".join([b', "seed": 1'] * 50_000), "invalid_json"),
    "keys, as many as pass": (MESSAGE, b"".join(b', "k%d": 1' % n for n in range(50_000)), "unjudged_field"),
    "messages without end": (b", ".join([MESSAGE] * (SIZE // 30)), b"", "too_many_values"),
    "messages, as many as pass": (b", ".join([MESSAGE] * 25_000), b"", "too_many_messages"),
    "tools without end": (MESSAGE, b', "tools": [%b]' % b", ".join(TOOL % n for n in range(SIZE // 80)), "too_many_values"),
    "tools, as many as pass": (MESSAGE, b', "tools": [%b]' % b", ".join(TOOL % n for n in range(8_000)), "too_many_tools"),
    "no text": (b"\xff" * SIZE, b"", "invalid_json"),
}
"""Requests of some megabytes that are costly to read: (messages, what follows them, code)."""


@pytest.mark.parametrize("what", HEAVY)
def test_requests_that_cost_much_to_read_are_refused_while_others_are_served(
    house: Any, kit: Any, wire: Any, bounded: None, what: str
) -> None:
    messages, more, code = HEAVY[what]
    if wire.name == "messages":
        more = b', "max_tokens": 5' + more.replace(b'"type": "function", "function": {"name"', b'"name"').replace(b'"parameters": {"type": "object"}}', b'"input_schema": {"type": "object"}')
    body = b'{"model": "m", "messages": [%b]%b}' % (messages, more)
    house.provider.answer = house.provider.json(wire.whole(kit.call(kit.good[0])))
    with Meanwhile(house, wire) as others:
        answer = house.ask(wire, False, body)
    ended, _ = house.closing(answer)
    assert (ended.exchange.state, ended.exchange.error_code) == ("rejected", code), ended.exchange.error_message
    assert answer.status_code in (400, 413, 451)
    assert others.codes == {200}
    assert max(others.times) < SOON
    house.stays_well(wire)


# The same in every dialect, at its decoder


def event(tree: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


def chat(**delta: Any) -> bytes:
    head = {"id": "r", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})


def typed(kind: str, **more: Any) -> bytes:
    return event({"type": kind, **more}, kind)


def gemini(*parts: Any, **more: Any) -> bytes:
    return event({"candidates": [{"content": {"role": "model", "parts": parts}, "index": 0}], **more})


def block(number: int, **content: Any) -> bytes:
    return typed("content_block_start", index=number, content_block=content) + typed("content_block_stop", index=number)


def added(number: int, **item: Any) -> bytes:
    return typed("response.output_item.added", output_index=number, item=item, sequence_number=number + 1)


BEGUN = {
    "openai.chat": chat(role="assistant"),
    "anthropic.messages": typed(
        "message_start",
        message={"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": {}},
    ),
    "openai.responses": typed(
        "response.created", response={"id": "r", "object": "response", "status": "in_progress", "model": "m", "output": []}, sequence_number=0
    ),
    "google.gemini": b"",
}
WORD = {"type": "text", "text": ""}
MANY: list[tuple[str, str, Callable[[int], bytes]]] = [
    ("openai.chat", "calls", lambda n: chat(tool_calls=[{"index": n, "id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}}])),
    ("openai.chat", "keys", lambda n: chat(content="x", **{f"k{n}": 1})),
    ("anthropic.messages", "calls", lambda n: block(n, type="tool_use", id=f"t{n}", name="f", input={})),
    ("anthropic.messages", "blocks", lambda n: block(n, **WORD)),
    ("anthropic.messages", "results", lambda n: block(n, type="web_search_tool_result", tool_use_id=f"s{n}", content=[])),
    ("openai.responses", "calls", lambda n: added(n, type="function_call", id=f"f{n}", call_id=f"c{n}", name="f", arguments="", status="in_progress")),
    ("openai.responses", "items", lambda n: added(n, type="message", id=f"m{n}", role="assistant", status="in_progress", content=[])),
    ("openai.responses", "kinds", lambda n: typed(f"response.odd_{n}", sequence_number=n)),
    ("google.gemini", "calls", lambda n: gemini({"functionCall": {"name": "f", "args": {}, "id": f"c{n}"}})),
    ("google.gemini", "calls at once", lambda n: gemini(*[{"functionCall": {"name": "f", "args": {}}}] * 5)),
    ("google.gemini", "runs of code", lambda n: gemini({"executableCode": {"language": "PYTHON", "code": "x"}})),
    ("google.gemini", "keys", lambda n: gemini({"text": "x"}, **{f"k{n}": 1})),
]


@pytest.mark.parametrize(("dialect", "what", "make"), MANY)
def test_a_stream_of_many_things_is_judged_and_kept_up_to_a_limit(
    dialect: str, what: str, make: Callable[[int], bytes], bounded: None
) -> None:
    request = Request(dialect, "m", stream=True, messages=(), tools=(), body=b"{}")
    stream = DIALECTS[dialect].stream(request, Limits(calls=16), enforcing=True)
    hold, judged = Judging(stream), 0
    for data in (BEGUN[dialect], *map(make, range(20_000))):
        for step in hold.feed(data):
            if isinstance(step, Judge):
                judged += 1
                hold.settle(released=False, text="no")
    assert judged <= 17
    assert len(stream.findings) <= 100


FUNCTION = {"name": "f", "arguments": "{}"}
WHOLE: dict[str, Callable[[int], Any]] = {
    "openai.chat": lambda n: {
        "id": "r", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None,
                        "tool_calls": [{"id": f"c{k}", "type": "function", "function": FUNCTION} for k in range(n)]},
        }],
    },
    "anthropic.messages": lambda n: {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "usage": {},
        "content": [{"type": "tool_use", "id": f"t{k}", "name": "f", "input": {}} for k in range(n)],
    },
    "openai.responses": lambda n: {
        "id": "r", "object": "response", "status": "completed", "model": "m",
        "output": [{"type": "function_call", "id": f"f{k}", "call_id": f"c{k}", "status": "completed", **FUNCTION} for k in range(n)],
    },
    "google.gemini": lambda n: {
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}] * n}}],
    },
}  # fmt: skip


@pytest.mark.parametrize("dialect", WHOLE)
@pytest.mark.parametrize("count", [16, 17, 10_000])
def test_an_answer_of_many_calls_is_judged_up_to_a_limit(dialect: str, count: int) -> None:
    request = Request(dialect, "m", stream=False, messages=(), tools=(), body=b"{}")
    module = DIALECTS[dialect]
    whole = module.decode_answer(json.dumps(WHOLE[dialect](count)).encode(), request, Limits(calls=16))
    assert whole.broken is None
    assert len(whole.calls) == min(count, 17)
    assert [call.problem for call in whole.calls[16:]] == ["call_limit"] * (len(whole.calls) - 16)
    given = module.encode_answer(whole, {call.index: "withheld" for call in whole.calls})
    assert given.count(b"withheld") == len(whole.calls)
    assert b'"f"' not in given
