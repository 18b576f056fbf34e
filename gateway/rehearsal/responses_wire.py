"""OpenAI Responses as a provider writes it: stored conversations kept, requests checked as strictly as the provider does where it matters.

A history with a call that nobody answered, a result without a call, or reasoning that lost what followed it is refused, as the provider
refuses it. Written from the provider's documentation, *not* from `gateway.dialects`: sharing its code would share its mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.rehearsal.openai_wire import CREATED, error, models
from gateway.rehearsal.script import Asked, ScriptedCall, ScriptedUsage, Turn
from gateway.rehearsal.wire import Refused, compact, estimated, pieces, text_of

NAME = "openai.responses"
_CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
_BY_MODEL = frozenset({*_CALLS, "reasoning"})


class Shelf:
    """What the provider keeps: responses and conversations, as the items they hold."""

    def __init__(self) -> None:
        self.responses: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        """id → (the response, the whole conversation up to it)."""
        self.conversations: dict[str, list[dict[str, Any]]] = {}

    def items(self) -> dict[str, dict[str, Any]]:
        """Everything that was ever answered, by id."""
        return {item["id"]: item for response, _ in self.responses.values() for item in response["output"] if "id" in item}


class Desk:
    """The wire for one request; what it answers goes on the shelf."""

    NAME = NAME
    error = staticmethod(error)
    models = staticmethod(models)

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._history: list[dict[str, Any]] = []
        self._conversation: str | None = None
        self._keeps = False

    def read(self, body: Any, headers: Mapping[str, str], number: int, size: int) -> Asked:
        if not headers.get("authorization", "").startswith("Bearer "):
            raise Refused(401, "invalid_request_error", "You didn't provide an API key.")
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            raise Refused(400, "invalid_request_error", "Missing required parameter: 'model'.")
        self._history = [*self._before(body), *self._given(body)]
        self._keeps = body.get("store") is not False
        _check(self._history)
        return Asked(
            dialect=NAME,
            model=body["model"],
            stream=body.get("stream") is True,
            body=body,
            user_texts=tuple(text_of(item.get("content")) for item in self._history if item.get("role") == "user"),
            assistant_messages=_turns(self._history),
            number=number,
            headers=headers,
            size=size,
        )

    def _before(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        previous, conversation = body.get("previous_response_id"), body.get("conversation")
        if previous is not None:
            if previous not in self._shelf.responses:
                raise Refused(400, "invalid_request_error", f"Previous response with id '{previous}' not found.")
            response, history = self._shelf.responses[previous]
            return [*history, *response["output"]]
        if conversation is not None:
            self._conversation = conversation["id"] if isinstance(conversation, dict) else str(conversation)
            if self._conversation not in self._shelf.conversations:
                raise Refused(404, "invalid_request_error", f"Conversation with id '{self._conversation}' not found.")
            return list(self._shelf.conversations[self._conversation])
        return []

    def _given(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        given = body.get("input")
        if isinstance(given, str):
            return [{"type": "message", "role": "user", "content": given}]
        if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
            raise Refused(400, "invalid_request_error", "'input' must be a string or an array of items")
        known = self._shelf.items()
        for item in given:
            if item.get("type") == "item_reference" and item.get("id") not in known:
                raise Refused(404, "invalid_request_error", f"Item with id '{item.get('id')}' not found.")
        return [known[item["id"]] if item.get("type") == "item_reference" else item for item in given]

    def whole(self, turn: Turn, asked: Asked) -> bytes:
        return compact(self._answered(turn, asked))

    def frames(self, turn: Turn, asked: Asked) -> Iterator[bytes]:
        response = self._answered(turn, asked)
        begun = response | {"status": "in_progress", "output": [], "usage": None, "completed_at": None}
        events: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": begun}),
            ("response.in_progress", {"response": begun}),
        ]
        for place, item in enumerate(response["output"]):
            events += _item_events(item, place, turn.chunk)
        events.append((f"response.{response['status']}", {"response": response}))
        for number, (kind, more) in enumerate(events):
            frame = {"type": kind, "sequence_number": number, **more}
            yield b"event: " + kind.encode() + b"\ndata: " + compact(frame) + b"\n\n"

    def _answered(self, turn: Turn, asked: Asked) -> dict[str, Any]:
        response = _response(turn, asked)
        if self._keeps:
            self._shelf.responses[response["id"]] = (response, self._history)
        if self._conversation is not None:
            self._shelf.conversations[self._conversation] = [*self._history, *response["output"]]
        return response


def _turns(history: list[dict[str, Any]]) -> int:
    """How often the model has spoken: runs of items of its own."""
    own = [item.get("type") in _BY_MODEL or item.get("role") == "assistant" for item in history]
    return sum(mine and not before for before, mine in zip([False, *own], own, strict=False))


def _check(history: list[dict[str, Any]]) -> None:
    waiting: set[str] = set()
    for at, item in enumerate(history):
        kind = item.get("type")
        if kind in _CALLS:
            waiting.add(str(item.get("call_id")))
        elif kind in _CALLS.values():
            if item.get("call_id") not in waiting:
                message = f"No tool call found for function call output with call_id {item.get('call_id')}."
                raise Refused(400, "invalid_request_error", message)
            waiting.discard(str(item["call_id"]))
        elif kind == "reasoning":
            after = history[at + 1] if at + 1 < len(history) else {}
            if after.get("type") not in _BY_MODEL and after.get("role") != "assistant":
                message = f"Item '{item.get('id')}' of type 'reasoning' was provided without its required following item."
                raise Refused(400, "invalid_request_error", message)
    if waiting:
        raise Refused(400, "invalid_request_error", f"No tool output found for function call {', '.join(sorted(waiting))}.")


def _response(turn: Turn, asked: Asked) -> dict[str, Any]:
    return {
        "id": f"resp_{asked.number}",
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED,
        "status": "incomplete" if turn.finish else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": turn.finish} if turn.finish else None,
        "instructions": asked.body.get("instructions"),
        "max_output_tokens": None,
        "metadata": {},
        "model": asked.model,
        "output": list(_items(turn, asked)),
        "parallel_tool_calls": True,
        "previous_response_id": asked.body.get("previous_response_id"),
        "store": asked.body.get("store") is not False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if turn.hides_usage else _usage(turn, asked),
    }


def _items(turn: Turn, asked: Asked) -> Iterator[dict[str, Any]]:
    number = asked.number
    if turn.thinking:
        summary = [{"type": "summary_text", "text": turn.thinking}]
        yield {"id": f"rs_{number}", "type": "reasoning", "summary": summary, "encrypted_content": None}
    if turn.text:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        yield {"id": f"msg_{number}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    for place, call in enumerate(turn.calls):
        yield _call(call, number, place)


def _call(call: ScriptedCall, number: int, place: int) -> dict[str, Any]:
    head = {"call_id": call.id or f"call_{number}_{place}", "name": call.name, "status": "completed"}
    if call.input is not None:
        return {"id": f"ctc_{number}_{place}", "type": "custom_tool_call", **head, "input": call.input}
    arguments = call.arguments if call.arguments is not None else json.dumps(call.args or {}, ensure_ascii=False)
    return {"id": f"fc_{number}_{place}", "type": "function_call", **head, "arguments": arguments}


def _item_events(item: dict[str, Any], place: int, chunk: int) -> Iterator[tuple[str, dict[str, Any]]]:
    at = {"output_index": place}
    of = {**at, "item_id": item["id"]}
    match item["type"]:
        case "message":
            part = item["content"][0]
            where = {**of, "content_index": 0}
            yield "response.output_item.added", {**at, "item": {**item, "status": "in_progress", "content": []}}
            yield "response.content_part.added", {**where, "part": {**part, "text": ""}}
            for piece in pieces(part["text"], chunk):
                yield "response.output_text.delta", {**where, "delta": piece, "logprobs": []}
            yield "response.output_text.done", {**where, "text": part["text"], "logprobs": []}
            yield "response.content_part.done", {**where, "part": part}
        case "reasoning":
            part = item["summary"][0]
            where = {**of, "summary_index": 0}
            yield "response.output_item.added", {**at, "item": {**item, "summary": []}}
            yield "response.reasoning_summary_part.added", {**where, "part": {**part, "text": ""}}
            for piece in pieces(part["text"], chunk):
                yield "response.reasoning_summary_text.delta", {**where, "delta": piece}
            yield "response.reasoning_summary_text.done", {**where, "text": part["text"]}
            yield "response.reasoning_summary_part.done", {**where, "part": part}
        case kind:
            key, stem = ("arguments", "function_call_arguments") if kind == "function_call" else ("input", "custom_tool_call_input")
            yield "response.output_item.added", {**at, "item": {**item, "status": "in_progress", key: ""}}
            for piece in pieces(item[key], chunk):
                yield f"response.{stem}.delta", {**of, "delta": piece}
            yield f"response.{stem}.done", {**of, key: item[key]} | ({"name": item["name"]} if key == "arguments" else {})
    yield "response.output_item.done", {**at, "item": item}


def _usage(turn: Turn, asked: Asked) -> dict[str, Any]:
    """`input_tokens` includes what came from the cache, `output_tokens` includes reasoning."""
    used: ScriptedUsage = turn.usage or estimated(turn, asked)
    given, written = used.input + used.cache_read, used.output + used.reasoning
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": used.cache_read},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": given + written,
    }
