"""Recorded-style answers, decoded and delivered.

To add one: put `name.sse` or `whole_name.json` beside the others (and `name.request.json` when the request matters), run once with
GOLDEN=write in the environment, and read what it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest

from gateway.dialects import openai_chat
from gateway.dialects.events import Limits
from gateway.request import Request
from gateway.verdict import Call
from tests import cuts
from tests.dialects.telling import spare, told

FOLDER = Path(__file__).parent.parent / "golden" / "openai_chat"
STREAMS = sorted(p.stem for p in FOLDER.glob("*.sse") if p.stem.count(".") == 0)
WHOLES = sorted(p.stem for p in FOLDER.glob("whole_*.json") if p.stem.count(".") == 0)
DELIVERED = [name for name in WHOLES if (FOLDER / f"{name}.allowed.json").exists()]
"""Those that are not broken."""
ASKED = {
    "model": "gpt-4o",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "Hi"}],
}


def request_of(name: str) -> Request:
    own = FOLDER / f"{name}.request.json"
    body = own.read_bytes() if own.exists() else json.dumps(ASKED).encode()
    return openai_chat.decode_request(body, {}, frozenset())


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n"


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_the_events_on_file(name: str, drive: Any, expect: Any) -> None:
    stream = openai_chat.stream(request_of(name), Limits(), enforcing=True)
    run = drive(stream, [(FOLDER / f"{name}.sse").read_bytes()])
    said = {"events": run.described, "answer": told(stream.answer), "findings": told(stream.findings)}
    said["answer"]["usage_raw"] = None if stream.answer.usage_raw is None else stream.answer.usage_raw.decode()
    expect(FOLDER / f"{name}.events.json", pretty(said))


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_client_gets_the_bytes_on_file(name: str, judge: str, drive: Any, expect: Any) -> None:
    stream = openai_chat.stream(request_of(name), Limits(), enforcing=True)
    run = drive(stream, [(FOLDER / f"{name}.sse").read_bytes()], judge)
    expect(FOLDER / f"{name}.{judge}.sse", run.sent)


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", STREAMS)
def test_every_cut_gives_the_same_events_and_bytes(name: str, drive: Any) -> None:
    request, wire = request_of(name), (FOLDER / f"{name}.sse").read_bytes()
    judged = {judge: drive(openai_chat.stream(request, Limits(), enforcing=True), [wire], judge) for judge in ("allowed", "denied")}
    for turn, pieces in enumerate((cuts.byte_by_byte(wire), *cuts.in_two(wire, 400))):
        judge = ("allowed", "denied")[turn % 2]
        whole = judged[judge]
        run = drive(openai_chat.stream(request, Limits(), enforcing=True), pieces, judge)
        assert (run.events, run.sent) == (whole.events, whole.sent)


@pytest.mark.parametrize("name", STREAMS)
def test_an_observing_gateway_loses_no_byte(name: str, drive: Any) -> None:
    wire = (FOLDER / f"{name}.sse").read_bytes()
    run = drive(openai_chat.stream(request_of(name), Limits(), enforcing=False), [wire])
    raws = b"".join(getattr(event, "raw", b"") for event in run.events)
    broken = [d for d in run.described if d["event"] == "Broken" and d["code"] != "provider_error"]
    assert wire.startswith(raws) if broken else wire == raws


@pytest.mark.parametrize("name", WHOLES)
def test_a_whole_answer_is_read_as_on_file(name: str, expect: Any) -> None:
    whole = openai_chat.decode_answer((FOLDER / f"{name}.json").read_bytes(), request_of(name), Limits())
    said = {
        "calls": told(whole.calls),
        "answer": {k: str(v) for k, v in spare(msgspec.structs.asdict(whole.answer)).items()},
        "findings": told(whole.findings),
        "broken": str(whole.broken),
    }
    expect(FOLDER / f"{name}.answer.json", pretty(said))


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", WHOLES)
def test_a_client_gets_the_whole_answer_on_file(name: str, judge: str, judges: Any, expect: Any) -> None:
    whole = openai_chat.decode_answer((FOLDER / f"{name}.json").read_bytes(), request_of(name), Limits())
    if whole.broken is None:
        expect(FOLDER / f"{name}.{judge}.json", openai_chat.encode_answer(whole, withheld(whole.calls, judges[judge])))
    else:
        assert not (FOLDER / f"{name}.{judge}.json").exists()


def withheld(calls: tuple[Call, ...], judge: Callable[[Call], str | None]) -> dict[int, str]:
    return {call.index: why for call in calls if (why := judge(call)) is not None}


# The oracle: what the real SDK and a naive reader make of the delivered bytes


def sdk_calls(body: bytes, kind: str, **asked: Any) -> list[tuple[str, str]]:
    """The (name, arguments) of every call that the openai SDK reads from these bytes."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"content-type": kind}, content=body))
    with openai.OpenAI(api_key="k", base_url="http://gateway", http_client=httpx.Client(transport=transport)) as client:
        answer = client.chat.completions.create(model="m", messages=[], **asked)
        return list(joined(answer)) if asked else [one for choice in answer.choices for one in listed(choice.message)]


def joined(chunks: Any) -> list[tuple[str, str]]:
    found: dict[Any, list[str]] = {}
    try:
        for chunk in chunks:
            for choice in chunk.choices:
                for piece in choice.delta.tool_calls or []:
                    add(found, (choice.index, piece.index), piece.function or piece.custom)  # type: ignore[attr-defined]
                if choice.delta.function_call:
                    add(found, (choice.index, "legacy"), choice.delta.function_call)
    except openai.APIError:
        pass  # an error event ends the stream; the calls before it count
    return [(name, text) for name, text in found.values()]


def add(found: dict[Any, list[str]], key: Any, piece: Any) -> None:
    so_far = found.setdefault(key, ["", ""])
    plain = piece if isinstance(piece, dict) else piece.model_dump()
    so_far[0] += plain.get("name") or ""
    so_far[1] += plain.get("arguments") or plain.get("input") or ""


def listed(message: Any) -> list[tuple[str, str]]:
    plain = message.model_dump()
    calls = [call.get("function") or call.get("custom") for call in plain.get("tool_calls") or []]
    calls += [plain["function_call"]] if plain.get("function_call") else []
    return [(call["name"], call.get("arguments") or call.get("input")) for call in calls]


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", STREAMS)
def test_the_sdk_reads_exactly_the_released_calls(name: str, judge: str, drive: Any, judges: Any) -> None:
    stream = openai_chat.stream(request_of(name), Limits(), enforcing=True)
    run = drive(stream, [(FOLDER / f"{name}.sse").read_bytes()], judge)
    released = [(c.name, c.arguments) for c in run.calls if judges[judge](c) is None]
    assert sdk_calls(run.sent, "text/event-stream", stream=True) == released


@pytest.mark.parametrize("judge", ["allowed", "denied"])
@pytest.mark.parametrize("name", DELIVERED)
def test_the_sdk_reads_exactly_the_released_calls_of_a_whole_answer(name: str, judge: str, judges: Any) -> None:
    whole = openai_chat.decode_answer((FOLDER / f"{name}.json").read_bytes(), request_of(name), Limits())
    released = [(c.name, c.arguments) for c in whole.calls if judges[judge](c) is None]
    sent = openai_chat.encode_answer(whole, withheld(whole.calls, judges[judge]))
    assert sdk_calls(sent, "application/json") == released


@pytest.mark.parametrize("name", STREAMS)
def test_no_reader_of_lines_finds_a_withheld_call(name: str, drive: Any) -> None:
    run = drive(openai_chat.stream(request_of(name), Limits(), enforcing=True), [(FOLDER / f"{name}.sse").read_bytes()], "denied")
    for line in run.sent.decode().splitlines():
        _, _, rest = line.partition("data:")
        if rest.strip().startswith("{"):
            keys = {k.casefold().replace("_", "") for k in all_keys(json.loads(rest))}
            assert not keys & {"toolcalls", "functioncall"}


def all_keys(value: Any) -> list[str]:
    if isinstance(value, list):
        return [key for item in value for key in all_keys(item)]
    if isinstance(value, dict):
        return [*value, *(key for item in value.values() for key in all_keys(item))]
    return []
