"""Recorded-style Gemini answers, decoded and delivered, and what the real `google-genai` package makes of the delivered bytes.

To add one: put `name.sse` or `whole_name.json` beside the others (and `name.request.json` when the request matters), run once with
GOLDEN=write in the environment, and read what it wrote."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from google import genai
from google.genai import errors, types

from gateway.dialects import gemini as dialect
from gateway.dialects.events import Limits
from gateway.request import Request
from gateway.verdict import Call
from tests import cuts
from tests.dialects.telling import spare, told

FOLDER = Path(__file__).parent.parent / "golden" / "gemini"
STREAMS = sorted(p.stem for p in FOLDER.glob("*.sse") if p.stem.count(".") == 0)
WHOLES = sorted(p.stem for p in FOLDER.glob("whole_*.json") if p.stem.count(".") == 0)
BROKEN = {"call_after_finish", "call_cut_by_length", "end_of_connection", "error_in_stream", "misshapen"}
TOOLS = [{"functionDeclarations": [{"name": name, "parameters": {"type": "OBJECT"}} for name in ("get_weather", "get_time")]}]
ASKED = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "tools": TOOLS}


@functools.cache
def request_of(name: str) -> Request:
    own = FOLDER / f"{name}.request.json"
    verb = "generateContent" if name.startswith("whole_") else "streamGenerateContent"
    (endpoint,) = dialect.endpoints(f"/v1beta/models/gemini-3-pro:{verb}")
    body = own.read_bytes() if own.exists() else json.dumps(ASKED).encode()
    return dialect.decode_request(body, {}, frozenset(), msgspec.structs.replace(endpoint, query="alt=sse"))


def wire_of(name: str) -> bytes:
    return (FOLDER / f"{name}.sse").read_bytes()


def judged(name: str, *, enforcing: bool = True) -> Any:
    return dialect.stream(request_of(name), Limits(), enforcing=enforcing)


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str).encode() + b"\n"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_events_on_file(name: str, drive: Any, expect: Any) -> None:
    stream = judged(name)
    run = drive(stream, [wire_of(name)])
    said = {
        "events": run.described,
        "answer": spare(msgspec.structs.asdict(stream.answer)),
        "findings": told(stream.findings),
    }
    expect(FOLDER / f"{name}.events.json", pretty(said))


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_client_gets_the_bytes_on_file(name: str, judge: str, drive: Any, expect: Any) -> None:
    expect(FOLDER / f"{name}.{judge}.sse", drive(judged(name), [wire_of(name)], judge).sent)


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_gives_the_same_events_and_bytes(name: str, drive: Any) -> None:
    wire = wire_of(name)
    whole = {judge: drive(judged(name), [wire], judge) for judge in ("allowed", "denied")}
    for turn, pieces in enumerate((cuts.byte_by_byte(wire), *cuts.in_two(wire, 400))):
        judge = ("allowed", "denied")[turn % 2]
        run = drive(judged(name), pieces, judge)
        assert (run.events, run.sent) == (whole[judge].events, whole[judge].sent)


@pytest.mark.parametrize("name", STREAMS)
def test_an_observing_gateway_covers_every_byte_once_and_in_order(name: str, drive: Any) -> None:
    run = drive(judged(name, enforcing=False), [wire_of(name)])
    raws = b"".join(getattr(event, "raw", b"") for event in run.events)
    broken = [d for d in run.described if d["event"] == "Broken" and d["code"] != "provider_error"]
    assert wire_of(name).startswith(raws) if broken else raws == wire_of(name)


@pytest.mark.parametrize("name", ["text", "cut_by_length", "safety", "prompt_blocked", "malformed_call", "code", "inline_image"])
def test_words_alone_keep_every_byte(name: str, drive: Any) -> None:
    assert drive(judged(name), [wire_of(name)], "denied").sent == wire_of(name)


@pytest.mark.parametrize(
    ("name", "problems"),
    [
        ("code_unasked", ["executed_upstream", "executed_upstream"]),
        ("unknown_part", ["unknown_type"]),
        ("snake_case_call", ["unknown_type"]),
        ("text_beside_call", ["mixed_forms"]),
        ("args_in_pieces", ["unknown_type"]),
        ("bad_name", ["bad_name"]),
        ("args_not_an_object", ["type", "unknown_type", "unknown_type"]),
        ("shared_ids", ["duplicate_id", "duplicate_id", "bad_id"]),
        ("duplicate_key", ["dup_key"]),
        ("one_call", [None]),
    ],
)
def test_what_cannot_be_read_in_one_way_is_a_call_with_a_problem(name: str, problems: Any, drive: Any) -> None:
    assert [call.problem for call in drive(judged(name), [wire_of(name)]).calls] == problems


@pytest.mark.parametrize("name", STREAMS)
def test_comments_never_leave(name: str, drive: Any) -> None:
    assert not any(line.startswith(b":") for line in drive(judged(name), [wire_of(name)]).sent.splitlines())


def client(content: bytes, kind: str) -> genai.Client:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers={"content-type": kind}, content=content))
    options = types.HttpOptions(base_url="http://gateway.invalid", httpx_client=httpx2.Client(transport=transport))
    return genai.Client(api_key="k", http_options=options)


def read_calls(answers: list[Any]) -> list[tuple[str, Any]]:
    parts = [p for a in answers for c in a.candidates or () if c.content for p in c.content.parts or ()]
    return [(p.function_call.name, p.function_call.args) for p in parts if p.function_call]


def released(calls: list[Call], judge: str) -> list[tuple[str, Any]]:
    return [(call.name, call.args) for call in calls if judge == "allowed" and call.problem is None]


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", sorted(set(STREAMS) - BROKEN))
def test_the_sdk_reads_exactly_the_released_calls(name: str, judge: str, drive: Any) -> None:
    run = drive(judged(name), [wire_of(name)], judge)
    seen = list(client(run.sent, "text/event-stream").models.generate_content_stream(model="gemini-3-pro", contents="Hi"))
    assert read_calls(seen) == released(run.calls, judge)
    text = "".join(p.text or "" for a in seen for c in a.candidates or () if c.content for p in c.content.parts or ())
    if judge == "denied":
        assert text.count("Blocked by policy") == len(run.calls)
    finishes = [c.finish_reason for a in seen for c in a.candidates or () if c.finish_reason]
    assert finishes or name == "prompt_blocked"
    assert seen[-1].usage_metadata.prompt_token_count == 120


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_answer_is_an_error_to_the_sdk_and_never_a_withheld_call(name: str, drive: Any) -> None:
    run = drive(judged(name), [wire_of(name)], "denied")
    seen: list[Any] = []
    with pytest.raises(errors.APIError):
        seen.extend(client(run.sent, "text/event-stream").models.generate_content_stream(model="gemini-3-pro", contents="Hi"))
    assert read_calls(seen) == []


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_read_and_given_as_on_file(name: str, judge: str, judges: Any, expect: Any) -> None:
    body = (FOLDER / f"{name}.json").read_bytes()
    whole = dialect.decode_answer(body, request_of(name), Limits())
    said = {
        "calls": told(whole.calls),
        "answer": spare(msgspec.structs.asdict(whole.answer)),
        "findings": told(whole.findings),
        "broken": whole.broken and [whole.broken.code, whole.broken.detail],
    }
    expect(FOLDER / f"{name}.answer.json", pretty(said))
    if whole.broken is None:
        withheld = {call.index: why for call in whole.calls if (why := judges[judge](call)) is not None}
        given = dialect.encode_answer(whole, withheld)
        expect(FOLDER / f"{name}.{judge}.json", given)
        read = client(given, "application/json").models.generate_content(model="gemini-3-pro", contents="Hi")
        assert read_calls([read]) == released(list(whole.calls), judge)
        assert withheld or whole.findings or given == body
