"""Google Gemini as a provider writes it: generateContent, whole and streamed (CRLF frames), with its own form of errors and models.

The model and the verb stand in the path, so that there is one wire per request. Written from the provider's documentation, *not* from
`gateway.dialects`: sharing its code would share its mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from gateway.rehearsal.script import Asked, ScriptedCall, ScriptedUsage, Turn
from gateway.rehearsal.wire import Refused, compact, estimated, pieces

NAME = "google.gemini"
_WORDS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}


class For:
    """The wire of one request for one model."""

    NAME = NAME

    def __init__(self, model: str, verb: str, query: Mapping[str, str]) -> None:
        self._model = model
        self._stream = verb == "streamGenerateContent"
        self._sse = query.get("alt") == "sse"

    def read(self, body: Any, headers: Mapping[str, str], number: int, size: int) -> Asked:
        if not headers.get("x-goog-api-key"):
            raise Refused(401, "", "Method doesn't allow unregistered callers. Please use an API key.")
        contents = body.get("contents") if isinstance(body, dict) else None
        if not isinstance(contents, list) or not contents or not all(isinstance(c, dict) for c in contents):
            raise Refused(400, "", "* GenerateContentRequest.contents: contents is not specified")
        if self._stream and not self._sse:
            raise Refused(400, "", "this rehearsal streams with alt=sse only")
        turns = _turns(contents)
        _check(turns)
        users = tuple(_text(content) for content in contents if content.get("role", "user") == "user" and _text(content))
        return Asked(
            dialect=NAME,
            model=self._model,
            stream=self._stream,
            body=body,
            user_texts=users,
            assistant_messages=sum(role == "model" for role, _ in turns),
            number=number,
            headers=headers,
            size=size,
        )

    def whole(self, turn: Turn, asked: Asked) -> bytes:
        parts = [part for _, part in _parts(turn, asked, 1 << 30)]
        return compact(_answer(asked, parts, turn.finish or "STOP", None if turn.hides_usage else _usage(turn, asked)))

    def frames(self, turn: Turn, asked: Asked) -> Iterator[bytes]:
        usage = None if turn.hides_usage else _usage(turn, asked)
        grouped: list[list[dict[str, Any]]] = []
        for kind, part in _parts(turn, asked, turn.chunk):
            if kind == "call" and grouped and "functionCall" in grouped[-1][0]:
                grouped[-1].append(part)
            else:
                grouped.append([part])
        for group in grouped:
            yield _frame(_answer(asked, group, None, usage))
        yield _frame(_answer(asked, [{"text": ""}], turn.finish or "STOP", usage))

    def error(self, status: int, kind: str, message: str) -> bytes:
        return compact({"error": {"code": status, "message": message, "status": _WORDS.get(status, "INTERNAL")}})

    def models(self, names: list[str]) -> bytes:
        listed = [{"name": f"models/{n}", "displayName": n, "supportedGenerationMethods": ["generateContent"]} for n in names]
        return compact({"models": listed})


def counted(body: Any) -> bytes:
    return compact({"totalTokens": max(1, len(compact(body)) // 4)})


def _turns(contents: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Role and parts; contents of one role in a row are one turn (the SDK sends back every piece of a stream as a content)."""
    return [
        (role, [part for content in group for part in content.get("parts") or ()])
        for role, group in groupby(contents, lambda content: str(content.get("role") or "user"))
    ]


def _check(turns: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """As many results must follow a turn with calls as it had calls."""
    waiting = 0
    for _, parts in turns:
        calls = sum("functionCall" in part for part in parts)
        results = sum("functionResponse" in part for part in parts)
        if waiting and results != waiting:
            message = "the number of function response parts is equal to the number of function call parts of the function call turn"
            raise Refused(400, "", f"Please ensure that {message}.")
        waiting = calls


def _text(content: Mapping[str, Any]) -> str:
    return "\n".join(part["text"] for part in content.get("parts") or () if isinstance(part.get("text"), str))


def _parts(turn: Turn, asked: Asked, chunk: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for piece in pieces(turn.thinking, chunk):
        yield "thought", {"text": piece, "thought": True}
    for piece in pieces(turn.text, chunk):
        yield "text", {"text": piece}
    for place, call in enumerate(turn.calls):
        yield "call", _call(call, place)


def _call(call: ScriptedCall, place: int) -> dict[str, Any]:
    function: dict[str, Any] = {"name": call.name, "args": call.args or {}} | ({"id": call.id} if call.id else {})
    return {"functionCall": function} | ({"thoughtSignature": "cmVoZWFyc2Vk"} if place == 0 else {})


def _answer(asked: Asked, parts: list[dict[str, Any]], finish: str | None, usage: dict[str, Any] | None) -> dict[str, Any]:
    candidate = {"content": {"parts": parts, "role": "model"}} | ({"finishReason": finish} if finish else {}) | {"index": 0}
    told = {"usageMetadata": usage} if usage else {}
    return {"candidates": [candidate], **told, "modelVersion": asked.model, "responseId": f"rehearsed-{asked.number}"}


def _usage(turn: Turn, asked: Asked) -> dict[str, Any]:
    """The prompt includes what came from the cache; thoughts are counted apart."""
    used: ScriptedUsage = turn.usage or estimated(turn, asked)
    prompt = used.input + used.cache_read
    told = {"promptTokenCount": prompt, "candidatesTokenCount": used.output, "totalTokenCount": prompt + used.output + used.reasoning}
    told |= {"cachedContentTokenCount": used.cache_read} if used.cache_read else {}
    return told | ({"thoughtsTokenCount": used.reasoning} if used.reasoning else {})


def _frame(answer: dict[str, Any]) -> bytes:
    return b"data: " + compact(answer) + b"\r\n\r\n"
