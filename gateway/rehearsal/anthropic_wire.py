"""Anthropic Messages as the provider writes it: requests checked as strictly as the provider does, turns made into answers.

Independent of `gateway.dialects` for the same reason as `openai_wire`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.rehearsal.script import Asked, ScriptedCall, ScriptedUsage, Turn
from gateway.rehearsal.wire import Refused, compact, estimated, pieces, text_of

NAME = "anthropic.messages"
_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 413: "request_too_large",
          429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}  # fmt: skip


def read(body: Any, headers: Mapping[str, str], number: int, size: int) -> Asked:
    messages = _checked_messages(body, headers)
    if not isinstance(body.get("max_tokens"), int):
        raise Refused(400, "invalid_request_error", "max_tokens: Field required")
    return Asked(
        dialect=NAME,
        model=body["model"],
        stream=body.get("stream") is True,
        body=body,
        user_texts=tuple(text_of(m.get("content")) for m in messages if m.get("role") == "user"),
        assistant_messages=sum(m.get("role") == "assistant" for m in messages),
        number=number,
        headers=headers,
        size=size,
    )


def counted(body: Any, headers: Mapping[str, str]) -> bytes:
    """The answer of `count_tokens`, which is asked as a message is, but for `max_tokens`."""
    _checked_messages(body, headers)
    return compact({"input_tokens": max(1, len(compact(body)) // 4)})


def _checked_messages(body: Any, headers: Mapping[str, str]) -> list[dict[str, Any]]:
    _check_headers(headers)
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused(400, "invalid_request_error", "model: Field required")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise Refused(400, "invalid_request_error", "messages: at least one message is required")
    _check_call_results(messages)
    return messages


def _check_headers(headers: Mapping[str, str]) -> None:
    if not headers.get("x-api-key") and not headers.get("authorization", "").startswith("Bearer "):
        raise Refused(401, "authentication_error", "x-api-key header is required")
    if not headers.get("anthropic-version"):
        raise Refused(400, "invalid_request_error", "anthropic-version: header is required")


def _check_call_results(messages: list[dict[str, Any]]) -> None:
    """Every `tool_use` must have its `tool_result` in the very next message, and nothing else may be answered."""
    open_ids: set[str] = set()
    for number, message in enumerate(messages):
        answered = _ids(message, "tool_result", "tool_use_id")
        if answered - open_ids:
            raise Refused(
                400,
                "invalid_request_error",
                f"messages.{number}: unexpected `tool_use_id` found in `tool_result` blocks",
            )
        if open_ids - answered:
            break
        open_ids = _ids(message, "tool_use", "id")
    else:
        number += 1
    if open_ids:
        raise Refused(
            400,
            "invalid_request_error",
            f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            + ", ".join(sorted(open_ids)),
        )


def _ids(message: dict[str, Any], kind: str, key: str) -> set[str]:
    content = message.get("content")
    if not isinstance(content, list):
        return set()
    return {str(block.get(key)) for block in content if isinstance(block, dict) and block.get("type") == kind}


def whole(turn: Turn, asked: Asked) -> bytes:
    answer = {**_head(asked), "content": [], "stop_reason": _stop(turn), "stop_sequence": None}
    if turn.thinking:
        answer["content"].append({"type": "thinking", "thinking": turn.thinking, "signature": "cmVoZWFyc2Fs"})
    if turn.text:
        answer["content"].append({"type": "text", "text": turn.text, "citations": None})
    answer["content"].extend({**_call(c, asked, n), "input": _input(c)} for n, c in enumerate(turn.calls))
    if not turn.hides_usage:
        answer["usage"] = _usage(turn, asked)
    return compact(answer)


def frames(turn: Turn, asked: Asked) -> Iterator[bytes]:
    usage = _usage(turn, asked)
    start = {**_head(asked), "content": [], "stop_reason": None, "stop_sequence": None}
    yield _frame("message_start", message=start | ({} if turn.hides_usage else {"usage": usage | {"output_tokens": 1}}))
    yield _frame("ping")
    for index, (block, deltas) in enumerate(_blocks(turn, asked)):
        yield _frame("content_block_start", index=index, content_block=block)
        for piece in deltas:
            yield _frame("content_block_delta", index=index, delta=piece)
        yield _frame("content_block_stop", index=index)
    delta = {"stop_reason": _stop(turn), "stop_sequence": None}
    spent = {} if turn.hides_usage else {"usage": {"output_tokens": usage["output_tokens"]}}
    yield _frame("message_delta", delta=delta, **spent)
    yield _frame("message_stop")


def error(status: int, kind: str, message: str) -> bytes:
    named = _KINDS.get(status, "invalid_request_error")
    return compact({"type": "error", "error": {"type": named, "message": message}, "request_id": "req_rehearsal"})


def models(names: list[str]) -> bytes:
    data = [{"type": "model", "id": n, "display_name": n, "created_at": "2026-01-01T00:00:00Z"} for n in names]
    ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
    return compact({"data": data, "has_more": False, **ends})


_Block = tuple[dict[str, Any], Iterator[dict[str, Any]]]


def _blocks(turn: Turn, asked: Asked) -> Iterator[_Block]:
    """Each content block as its start and its deltas."""
    if turn.thinking:
        yield {"type": "thinking", "thinking": "", "signature": ""}, _thinking_deltas(turn)
    if turn.text:
        said = ({"type": "text_delta", "text": piece} for piece in pieces(turn.text, turn.chunk))
        yield {"type": "text", "text": ""}, said
    for n, call in enumerate(turn.calls):
        text = call.arguments if call.arguments is not None else json.dumps(call.args or {}, ensure_ascii=False)
        parts = ({"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(text, turn.chunk)])
        yield {**_call(call, asked, n), "input": {}}, parts


def _thinking_deltas(turn: Turn) -> Iterator[dict[str, Any]]:
    for piece in pieces(turn.thinking, turn.chunk):
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": "cmVoZWFyc2Fs"}


def _call(call: ScriptedCall, asked: Asked, n: int) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id or f"toolu_{asked.number}_{n}", "name": call.name}


def _input(call: ScriptedCall) -> Any:
    """A whole answer cannot hold broken JSON: argument text that does not parse is sent as that text."""
    if call.arguments is None:
        return call.args or {}
    try:
        return json.loads(call.arguments)
    except ValueError:
        return call.arguments


def _stop(turn: Turn) -> str:
    return turn.finish or ("tool_use" if turn.calls else "end_turn")


def _usage(turn: Turn, asked: Asked) -> dict[str, Any]:
    """`input_tokens` excludes cache reads and writes; `output_tokens` includes thinking."""
    used: ScriptedUsage = turn.usage or estimated(turn, asked)
    return {
        "input_tokens": used.input,
        "cache_read_input_tokens": used.cache_read,
        "cache_creation_input_tokens": used.cache_write + used.cache_write_1h,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.cache_write,
            "ephemeral_1h_input_tokens": used.cache_write_1h,
        },
        "output_tokens": used.output + used.reasoning,
        "service_tier": "standard",
    }


def _head(asked: Asked) -> dict[str, Any]:
    return {"id": f"msg_{asked.number}", "type": "message", "role": "assistant", "model": asked.model}


def _frame(event: str, **data: Any) -> bytes:
    return b"event: " + event.encode() + b"\ndata: " + compact({"type": event, **data}) + b"\n\n"
