"""What goes over the wire in the bench: the requests that the load sends and the answers that the provider gives, by kind.

The model's name says which kind of answer a request wants, because that is what every gateway passes on.
"""

from __future__ import annotations

import json
import re
from typing import Final

KINDS: Final = ("plain", "tool", "burst", "paced", "held", "tick")
"""`tick` is a stream that never ends: `tick250` asks for an event each 250 ms."""
BURST_EVENTS: Final = 500
PACED_EVENTS: Final = 50
PACED_GAP_S: Final = 0.02
MARK: Final = "mark-gggggggggg"
"""Stands in each request's last message and in each answer; `marked` puts another in its place, so that no two are alike: what the
gateway has seen before is what a conversation has said before, never the new message or the answer."""
PATH: Final = "/v1/chat/completions"

_ASKED = re.compile(rb'"model":\s*"bench-([a-z]+)(\d*)"')
_WORDS = "Please look at the invoice of last month and tell me what is still open on the account. "
_ARGS = {"to": "GB29NWBK60161331926819", "amount": 12.5, "note": "tea"}
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_TOOL = {
    "type": "function",
    "function": {
        "name": "send_money",
        "description": "Send money to an account.",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string"}, "amount": {"type": "number"}, "note": {"type": "string"}},
            "required": ["to", "amount"],
        },
    },
}


def mark(number: int) -> bytes:
    """As long as any other; letters only, so that nothing takes it for a card's or a phone's number."""
    return f"mark-{format(number % 16**10, '010x').translate(_LETTERS)}".encode()


def parted(data: bytes) -> tuple[bytes, bytes]:
    """What stands before and behind its mark. Raises ValueError when it has none, or two."""
    before, behind = data.split(MARK.encode())
    return before, behind


def bytes_of(size: str) -> int:
    """Of `2k` 2,000. Raises ValueError."""
    return int(size.removesuffix("k")) * 1000


def kind_of(body: bytes) -> tuple[str, int]:
    """What is asked for, and every how many ms. Raises ValueError for a request that is none of the bench's."""
    found = _ASKED.search(body)
    if found is None or found[1].decode() not in KINDS:
        raise ValueError("the request names no model of the bench")
    return found[1].decode(), int(found[2] or 0)


def body(kind: str, size: str, prefix: str = "") -> bytes:
    """A conversation of about so many bytes: a system prompt, earlier rounds with a tool, and the user's last words."""
    messages = [{"role": "system", "content": "You are a bank's assistant. " + _WORDS * 2}]
    closing = {"role": "user", "content": f"Please pay 12.50 to GB29NWBK60161331926819, for tea. {MARK}"}
    request = {"model": f"{prefix}bench-{kind}", "messages": messages, "tools": [_TOOL], "stream": not kind.startswith(("plain", "tool"))}
    room = bytes_of(size) - len(json.dumps(request)) - len(json.dumps(closing))
    for number in range(10_000):
        round_ = _round(number)
        room -= len(json.dumps(round_))
        if room < 0:
            break
        messages += round_
    messages.append(closing)
    return json.dumps(request, separators=(",", ":")).encode()


def _round(number: int) -> list[dict[str, object]]:
    function = {"name": "send_money", "arguments": json.dumps({**_ARGS, "amount": number})}
    call = {"id": f"call_{number}", "type": "function", "function": function}
    return [
        {"role": "user", "content": f"Round {number}: {_WORDS}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"call_{number}", "content": json.dumps({"done": True, "balance": number, "text": _WORDS * 2})},
    ]


# -- answers ----------------------------------------------------------------------------------------------


def whole(kind: str) -> bytes:
    """The answer of `plain` and `tool` as one HTTP message."""
    message: dict[str, object] = {"role": "assistant", "content": f"{_WORDS * 4}{MARK}"}
    if kind == "tool":
        call = {"id": "call_new", "type": "function", "function": {"name": "send_money", "arguments": json.dumps({**_ARGS, "note": MARK})}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if kind == "tool" else "stop"}
    data = json.dumps({**_head("chat.completion", kind), "choices": [choice], "usage": _USAGE}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data


_USAGE = {"prompt_tokens": 500, "completion_tokens": 80, "total_tokens": 580}
STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _head(form: str, kind: str) -> dict[str, object]:
    return {"id": "chatcmpl-bench", "object": form, "created": 1_760_000_000, "model": f"bench-{kind}"}


def event(kind: str, text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return _event({**_head("chat.completion.chunk", kind), "choices": [choice]})


def ending(kind: str) -> bytes:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    stopped = {**_head("chat.completion.chunk", kind), "choices": [choice], "usage": _USAGE}
    return _event(stopped) + b"data: [DONE]\n\n"


def _event(value: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """One chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def burst() -> bytes:
    """All events at once, each a chunk of its own, as providers send them."""
    words = [MARK, *(f"word {number} " for number in range(1, BURST_EVENTS))]
    events = b"".join(chunk(event("burst", word)) for word in words)
    return STREAM_HEAD + events + chunk(ending("burst")) + LAST_CHUNK


LAST_CHUNK: Final = b"0\r\n\r\n"


def is_whole(kind: str, answer: bytes) -> bool:
    """Whether an answer's body is what the provider sent, and not an error or a denial in its place."""
    if kind == "tool":
        return b'"send_money"' in answer
    if kind == "plain":
        return b"last month" in answer
    last = answer[-1000:].rstrip()
    return last.endswith(b"[DONE]") or b'"finish_reason":"stop"' in last  # not every gateway says that it is done
