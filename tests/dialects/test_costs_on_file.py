"""What answers cost, from the provider's own bytes to the last digit: usage blocks on file (tests/golden/cost), whole and streamed, each
with its sum written out by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway.answer import MOST_FEES, Usage
from gateway.cost import PriceTable
from gateway.dialects import DIALECTS
from gateway.dialects.events import Limits
from gateway.request import Endpoint, Request

FOLDER = Path(__file__).parent.parent / "golden" / "cost"
MODELS = {
    "openai_chat": ("openai.chat", "openai", "gpt"),
    "openai_responses": ("openai.responses", "openai", "gpt"),
    "anthropic_messages": ("anthropic.messages", "anthropic", "claude"),
    "gemini": ("google.gemini", "gcp.gemini", "gemini"),
}
CASES = [(name, case) for name in MODELS for case in json.loads((FOLDER / f"{name}.json").read_text())]
Case = dict[str, Any]


def event(tree: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(tree).encode() + b"\n\n"


def chat(case: Case, model: str) -> tuple[Any, list[bytes]]:
    beside, message = case.get("beside", {}), {"role": "assistant", "content": "Hi"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c", "created": 1, "model": model, **beside}
    piece = {"object": "chat.completion.chunk", **head}
    begun = {"index": 0, "delta": message, "finish_reason": None}
    ended = {"index": 0, "delta": {}, "finish_reason": "stop"}
    stream = [event({**piece, "choices": [begun]}), event({**piece, "choices": [ended]})]
    stream += [event({**piece, "choices": [], "usage": case["usage"]}), b"data: [DONE]\n\n"]
    return {"object": "chat.completion", **head, "choices": [choice], "usage": case["usage"]}, stream


def responses(case: Case, model: str) -> tuple[Any, list[bytes]]:
    head = {"id": "r", "object": "response", "created_at": 1, "model": model, "output": [], **case.get("beside", {})}
    whole = {**head, "status": "completed", "usage": case["usage"]}
    begun = {**head, "status": "in_progress", "output": [], "service_tier": "auto"}
    stream = [event({"type": "response.created", "response": begun}, "response.created")]
    for at, item in enumerate(head["output"]):
        for kind in ("added", "done"):
            name = f"response.output_item.{kind}"
            stream.append(event({"type": name, "output_index": at, "item": item}, name))
    return whole, [*stream, event({"type": "response.completed", "response": whole}, "response.completed")]


def messages(case: Case, model: str) -> tuple[Any, list[bytes]]:
    usage = case["usage"]
    head = {"id": "m", "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
    block = {"type": "text", "text": "Hi"}
    first = {**usage, "output_tokens": 1, "output_tokens_details": None, "server_tool_use": None, "iterations": None}
    begun = {**head, "content": [], "stop_reason": None, "usage": first}
    last = {name: usage[name] for name in ("output_tokens", "output_tokens_details", "server_tool_use", "iterations") if name in usage}
    told = [
        {"type": "message_start", "message": begun},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": last},
        {"type": "message_stop"},
    ]
    whole = {**head, "content": [block], "stop_reason": "end_turn", "usage": usage}
    return whole, [event(each, str(each["type"])) for each in told]


def gemini(case: Case, model: str) -> tuple[Any, list[bytes]]:
    said = {"index": 0, "content": {"role": "model", "parts": [{"text": "Hi"}]}}
    grounding = {"groundingMetadata": case["grounding"]} if "grounding" in case else {}
    whole = {"candidates": [{**said, "finishReason": "STOP", **grounding}], "modelVersion": model, "usageMetadata": case["usage"]}
    first = {"promptTokenCount": case["usage"]["promptTokenCount"]}
    begun = {"candidates": [{**said, **grounding}], "modelVersion": model, "usageMetadata": first}
    return whole, [event(begun), event(whole)]


WIRE = {"openai_chat": chat, "openai_responses": responses, "anthropic_messages": messages, "gemini": gemini}


def request_of(name: str, *, stream: bool) -> Request:
    dialect, path = DIALECTS[MODELS[name][0]], "/responses"
    ask: dict[str, Any] = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
    if name == "openai_responses":
        tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["v"]}]
        ask = {"model": "m", "stream": stream, "input": "Hi", "tools": tools}
    if name == "gemini":
        ask = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "tools": [{"googleSearch": {}}]}
        path = f"/v1beta/models/m:{'streamGenerateContent' if stream else 'generateContent'}"
    if name == "openai_chat" and stream:
        ask["stream_options"] = {"include_usage": True}
    query = "alt=sse" if name == "gemini" and stream else ""
    endpoint = Endpoint("POST", "chat", path, "m" if name == "gemini" else "", query)
    return dialect.decode_request(json.dumps(ask).encode(), {}, frozenset(), endpoint)


def whole_usage(name: str, case: Case) -> Usage | None:
    body, _ = WIRE[name](case, MODELS[name][2])
    found = DIALECTS[MODELS[name][0]].decode_answer(json.dumps(body).encode(), request_of(name, stream=False), Limits())
    assert found.broken is None
    return found.answer.usage


def streamed_usage(name: str, case: Case, drive: Any) -> Usage | None:
    _, pieces = WIRE[name](case, MODELS[name][2])
    stream = DIALECTS[MODELS[name][0]].stream(request_of(name, stream=True), Limits(), enforcing=False)
    run = drive(stream, pieces)
    assert "Broken" not in str(run.events)
    return run.stream.answer.usage


def cost(name: str, usage: Usage | None) -> tuple[Decimal | None, tuple[str, ...]]:
    assert usage is not None
    _, provider, model = MODELS[name]
    found = PriceTable.from_json((FOLDER / "prices.json").read_bytes()).cost(provider, model, usage)
    return found.amount, found.unpriced


def by_hand(case: Case) -> tuple[Decimal | None, tuple[str, ...]]:
    if "cost" not in case:
        return None, tuple(case["not_priced"])
    total = Decimal(0)
    for term in case["cost"].split(" + "):
        product = Decimal(1)
        for factor in term.split(" * "):
            product *= Decimal(factor)
        total += product
    return total, ()


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("openai_responses", {"input_tokens": 1, "output_tokens": 1, "server_side_tool_usage_details": {f"t{n}": 1 for n in range(999)}}),
        ("anthropic_messages", {"input_tokens": 1, "output_tokens": 1, "server_tool_use": {f"t{n}": 1 for n in range(999)}}),
    ],
)
def test_no_answer_has_so_many_fees_that_the_book_is_full_of_them(name: str, usage: Any) -> None:
    found = whole_usage(name, {"usage": usage})
    assert found is not None
    assert len(found.fees) == MOST_FEES


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{name}: {case['about']}" for name, case in CASES])
def test_an_answer_costs_what_its_usage_comes_to_by_hand(name: str, case: Case, drive: Any) -> None:
    assert cost(name, whole_usage(name, case)) == by_hand(case)
    assert cost(name, streamed_usage(name, case, drive)) == by_hand(case)
