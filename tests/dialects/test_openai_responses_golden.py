"""Recorded-style answers, decoded and delivered, and what the real `openai` package makes of the delivered bytes.

To add one: put `name.sse` or `whole_name.json` beside the others (and `name.request.json` when the request matters), run once with
GOLDEN=write in the environment, and read what it wrote."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from gateway.dialects import openai_responses as dialect
from gateway.dialects import sse
from gateway.dialects.events import Limits
from gateway.request import Request
from tests import cuts
from tests.dialects.telling import spare, told

FOLDER = Path(__file__).parent.parent / "golden" / "openai_responses"
STREAMS = sorted(p.stem for p in FOLDER.glob("*.sse") if p.stem.count(".") == 0)
WHOLES = sorted(p.stem for p in FOLDER.glob("whole_*.json") if p.stem.count(".") == 0)
BROKEN = {"after_the_end", "cut_by_length", "end_of_connection", "error_in_stream", "failed"}
UNNUMBERED = {"without_numbers"}
TOOLS = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in ("get_weather", "get_time")]
ADMITTED = {"mcp": "mcp_call", "web_search": "web_search_call"}
"""What the provider may do by itself in these, because the request asked for it."""
CALLS = {"function_call", "custom_tool_call", "shell_call", "apply_patch_call", "computer_call", "local_shell_call", "mcp_approval_request"}


def wire_of(name: str) -> bytes:
    return (FOLDER / f"{name}.sse").read_bytes()


@functools.cache
def request_of(name: str) -> Request:
    own = FOLDER / f"{name}.request.json"
    asked = {"model": "gpt-5", "input": "Hi", "stream": True, "tools": TOOLS}
    return dialect.decode_request(own.read_bytes() if own.exists() else json.dumps(asked).encode(), {}, frozenset())


def judged(name: str) -> Any:
    return dialect.stream(request_of(name), Limits(), enforcing=True)


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str).encode() + b"\n"


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_client_gets_the_bytes_on_file(name: str, judge: str, drive: Any, expect: Any) -> None:
    stream = judged(name)
    run = drive(stream, [wire_of(name)], judge)
    expect(FOLDER / f"{name}.{judge}.sse", run.sent)
    if judge == "allowed":
        said = {"calls": told(run.calls), "answer": spare(msgspec.structs.asdict(stream.answer)), "findings": stream.findings}
        expect(FOLDER / f"{name}.answer.json", pretty(said))


@pytest.mark.unmeasured
@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_gives_the_same_events_and_bytes(name: str, judge: str, drive: Any) -> None:
    wire = wire_of(name)
    whole = drive(judged(name), [wire], judge)
    for pieces in (cuts.byte_by_byte(wire), *cuts.in_two(wire, 300)):
        run = drive(judged(name), pieces, judge)
        assert (run.events, run.sent) == (whole.events, whole.sent)


@pytest.mark.parametrize("name", STREAMS)
def test_an_observing_gateway_covers_every_byte_once_and_in_order(name: str, drive: Any) -> None:
    run = drive(dialect.stream(request_of(name), Limits(), enforcing=False), [wire_of(name)])
    raws = b"".join(getattr(event, "raw", b"") for event in run.events)
    broken = [d for d in run.described if d["event"] == "Broken" and d["code"] != "provider_error"]
    assert wire_of(name).startswith(raws) if broken else raws == wire_of(name)


def events_of(content: bytes) -> list[dict[str, Any]]:
    parser = sse.SseParser(1 << 24, 10_000)
    return [json.loads(event.data or b"") for event in parser.feed(content) if event.data not in (None, b"[DONE]")]


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", sorted(set(STREAMS) - BROKEN - UNNUMBERED))
def test_what_is_delivered_counts_without_gaps_and_ends_with_what_was_streamed(name: str, judge: str, drive: Any) -> None:
    told = events_of(drive(judged(name), [wire_of(name)], judge).sent)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    begun = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    assert begun == list(range(len(begun)))
    assert [e["item"] for e in told if e["type"] == "response.output_item.done"] == told[-1]["response"]["output"]


@pytest.mark.parametrize("name", STREAMS)
def test_nothing_of_a_denied_call_is_delivered(name: str, drive: Any) -> None:
    told = events_of(drive(judged(name), [wire_of(name)], "denied").sent)
    kinds = {event["item"]["type"] for event in told if "item" in event}
    kinds |= {item["type"] for event in told for item in event.get("response", {}).get("output", [])}
    assert not kinds & {*CALLS, "tool_use_v2", "mcp_call", "web_search_call"} - {ADMITTED.get(name)}
    assert not any("function_call_arguments" in event["type"] or "custom_tool" in event["type"] for event in told)


@pytest.mark.parametrize("name", ["text", "refusal", "text_cut_by_length", "web_search", "background"])
def test_words_alone_keep_every_byte(name: str, drive: Any) -> None:
    assert drive(judged(name), [wire_of(name)], "denied").sent == wire_of(name)


@pytest.mark.parametrize(
    ("name", "denied", "allowed"),
    [
        ("reasoning_and_call", ["message"], ["reasoning", "function_call"]),
        ("reasoning_before_each_call", ["message", "message"], ["reasoning", "function_call", "reasoning", "function_call"]),
        ("reasoning_and_text", ["reasoning", "message"], ["reasoning", "message"]),
    ],
)
def test_reasoning_leaves_with_its_call_and_stays_with_words(name: str, denied: Any, allowed: Any, drive: Any) -> None:
    """The provider refuses a history in which reasoning has lost what followed it."""
    for judge, kinds in (("denied", denied), ("allowed", allowed)):
        output = events_of(drive(judged(name), [wire_of(name)], judge).sent)[-1]["response"]["output"]
        assert [item["type"] for item in output] == kinds


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("item_done_differs", "copies_differ"), ("arguments_done_differ", "copies_differ"), ("final_differs", "copies_differ"),
        ("final_has_more", "copies_differ"), ("begun_with_a_call", "copies_differ"), ("unknown_item", "unknown_type"),
        ("unknown_event", "unknown_type"), ("unknown_part", "unknown_type"), ("mcp_unasked", "executed_upstream"),
        ("bad_name", "bad_name"), ("broken_arguments", "dup_key"), ("duplicate_key_in_an_event", "copies_differ"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_in_one_way_is_a_call_with_a_problem(name: str, problem: str, drive: Any) -> None:
    assert [call.problem for call in drive(judged(name), [wire_of(name)]).calls] == [problem]


def client(content: bytes, kind: str) -> openai.OpenAI:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind}, content=content))
    return openai.OpenAI(api_key="k", base_url="http://gateway.invalid", http_client=httpx.Client(transport=transport), max_retries=0)


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", sorted(set(STREAMS) - BROKEN))
def test_the_sdk_accumulates_the_same_response(name: str, judge: str, drive: Any) -> None:
    run = drive(judged(name), [wire_of(name)], judge)
    with client(run.sent, "text/event-stream").responses.stream(model="gpt-5", input="Hi") as stream:
        seen = list(stream)
    done = [event.item for event in seen if event.type == "response.output_item.done"]
    final = seen[-1].response  # type: ignore[union-attr]
    assert [(item.type, item.id) for item in done] == [(item.type, item.id) for item in final.output]
    released = [call for call in run.calls if judge == "allowed" and call.problem is None]
    assert [item.type for item in final.output if item.type in CALLS] == [call.type for call in released]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_answer_is_an_error_to_the_sdk_and_never_a_call(name: str, drive: Any) -> None:
    sent = drive(judged(name), [wire_of(name)]).sent
    with pytest.raises(openai.APIError), client(sent, "text/event-stream").responses.stream(model="gpt-5", input="Hi") as stream:
        list(stream)


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_read_and_given_as_on_file(name: str, judge: str, judges: Any, expect: Any) -> None:
    body = (FOLDER / f"{name}.json").read_bytes()
    whole = dialect.decode_answer(body, request_of(name), Limits())
    said = {"calls": told(whole.calls), "findings": whole.findings, "broken": whole.broken and whole.broken.code}
    expect(FOLDER / f"{name}.answer.json", pretty(said))
    if whole.broken is None:
        withheld = {call.index: why for call in whole.calls if (why := judges[judge](call)) is not None}
        given = dialect.encode_answer(whole, withheld)
        expect(FOLDER / f"{name}.{judge}.json", given)
        read = client(given, "application/json").responses.create(model="gpt-5", input="Hi")
        kinds = [item.type for item in read.output if item.type in CALLS]
        assert kinds == [call.type for call in whole.calls if call.index not in withheld]
        assert withheld or whole.findings or given == body
