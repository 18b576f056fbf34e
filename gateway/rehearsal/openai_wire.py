"""OpenAI Chat Completions as a provider writes it: requests checked as strictly as the provider does, turns made into answers.

Written from the provider's documentation and from what its SDK reads, *not* from `gateway.dialects`: a rehearsal that shared the
gateway's code would share its mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from gateway.rehearsal.script import Asked, ScriptedCall, ScriptedUsage, Turn
from gateway.rehearsal.wire import Refused, compact, estimated, pieces, text_of

NAME = "openai.chat"
CREATED = 1_700_000_000
"""A fixed time: answers of equal scripts are equal bytes."""


def read(body: Any, headers: Mapping[str, str], number: int, size: int) -> Asked:
    if not headers.get("authorization", "").startswith("Bearer "):
        raise Refused(401, "invalid_request_error", "You didn't provide an API key.")
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise Refused(400, "invalid_request_error", "you must provide a model parameter")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise Refused(400, "invalid_request_error", "'messages' must be a non-empty array of objects")
    _check_call_results(messages)
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


def _check_call_results(messages: list[dict[str, Any]]) -> None:
    """Every call must be answered by the tool messages right after it, and nothing else may be."""
    open_ids: set[str] = set()
    for message in messages:
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_ids:
                raise Refused(
                    400,
                    "invalid_request_error",
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
                )
            open_ids.discard(str(message["tool_call_id"]))
            continue
        if open_ids:
            break
        open_ids = {str(call.get("id")) for call in message.get("tool_calls") or () if isinstance(call, dict)}
    if open_ids:
        raise Refused(
            400,
            "invalid_request_error",
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. These did not have response messages: {', '.join(sorted(open_ids))}",
        )


def whole(turn: Turn, asked: Asked) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if turn.calls:
        message["tool_calls"] = [_call(call, asked, n) for n, call in enumerate(turn.calls)]
    answer: dict[str, Any] = {
        "id": f"chatcmpl-{asked.number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(turn)}],
    }
    if not turn.hides_usage:
        answer["usage"] = _usage(turn, asked)
    return compact(answer)


def frames(turn: Turn, asked: Asked) -> Iterator[bytes]:
    options = asked.body.get("stream_options")
    wants_usage = isinstance(options, dict) and options.get("include_usage") is True and not turn.hides_usage
    yield _delta(asked, wants_usage, {"role": "assistant", "content": "", "refusal": None})
    for piece in pieces(turn.text, turn.chunk):
        yield _delta(asked, wants_usage, {"content": piece})
    for delta in _call_deltas(turn, asked):
        yield _delta(asked, wants_usage, {"tool_calls": [delta]})
    yield _delta(asked, wants_usage, {}, _finish(turn))
    if wants_usage:
        yield _frame(_envelope(asked) | {"choices": [], "usage": _usage(turn, asked)})
    yield b"data: [DONE]\n\n"


def error(status: int, kind: str, message: str) -> bytes:
    return compact({"error": {"message": message, "type": kind, "param": None, "code": None}})


def models(names: list[str]) -> bytes:
    data = [{"id": n, "object": "model", "created": CREATED, "owned_by": "rehearsal"} for n in names]
    return compact({"object": "list", "data": data})


def _call_deltas(turn: Turn, asked: Asked) -> Iterator[dict[str, Any]]:
    each = [list(_one_call(call, asked, n, turn.chunk)) for n, call in enumerate(turn.calls)]
    if turn.interleave:
        yield from (delta for column in zip_longest(*each) for delta in column if delta is not None)
    else:
        yield from (delta for deltas in each for delta in deltas)


def _one_call(call: ScriptedCall, asked: Asked, n: int, chunk: int) -> Iterator[dict[str, Any]]:
    full = _call(call, asked, n)
    form = full["type"]
    slot = "input" if form == "custom" else "arguments"
    text = full[form][slot]
    yield {"index": n, **full, form: {**full[form], slot: ""}}
    for piece in pieces(text, chunk):
        yield {"index": n, form: {slot: piece}}


def _call(call: ScriptedCall, asked: Asked, n: int) -> dict[str, Any]:
    head = {"id": call.id or f"call_{asked.number}_{n}"}
    if call.input is not None:
        return {**head, "type": "custom", "custom": {"name": call.name, "input": call.input}}
    arguments = call.arguments if call.arguments is not None else json.dumps(call.args or {}, ensure_ascii=False)
    return {**head, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _finish(turn: Turn) -> str:
    return turn.finish or ("tool_calls" if turn.calls else "stop")


def _usage(turn: Turn, asked: Asked) -> dict[str, Any]:
    """`prompt_tokens` includes what came from the cache, `completion_tokens` includes reasoning."""
    used: ScriptedUsage = turn.usage or estimated(turn, asked)
    prompt, completion = used.input + used.cache_read, used.output + used.reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": used.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": used.reasoning, "audio_tokens": 0},
    }


def _envelope(asked: Asked) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{asked.number}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": asked.model,
        "system_fingerprint": "fp_rehearsal",
    }


def _delta(asked: Asked, wants_usage: bool, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _frame(_envelope(asked) | {"choices": [choice]} | ({"usage": None} if wants_usage else {}))


def _frame(chunk: dict[str, Any]) -> bytes:
    return b"data: " + compact(chunk) + b"\n\n"
