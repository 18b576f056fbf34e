"""Ids of calls that hold a signature of Gemini's thoughts, and a request without these.

Whoever translates Gemini's answers for clients of other dialects has nowhere else to put what Gemini wants back: litellm makes it a part
of the call's id (`call_1__thought__<base64>`), and takes it from there for Gemini's next request. Other providers refuse such an id:
OpenAI for its length (40 characters), Anthropic for its signs. So the conversation could not go on with another target of a route.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

MARK: Final = "__thought__"
_MARK: Final = MARK.encode()
_IDS: Final = ("id", "tool_call_id", "tool_use_id")
_LISTS: Final = ("tool_calls", "content")

_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_text = msgspec.json.Decoder(str).decode


def without_signatures(body: bytes, model: str) -> bytes:
    """A request of Chat Completions or Messages for `model`; as it is for one of Gemini's, whoever serves it."""
    if _MARK not in body or "gemini" in model.lower():
        return body
    fields = _fields(body)
    return msgspec.json.encode(fields | {"messages": _each(fields["messages"])}) if "messages" in fields else body


def _each(listed: Raw) -> Raw:
    return Raw(msgspec.json.encode([_plain(one) for one in _items(listed)]))


def _plain(found: Raw) -> Raw:
    """A message, call or block with the ids that its calls had from their provider."""
    if _MARK not in bytes(found) or bytes(found)[:1] != b"{":
        return found
    fields = _fields(found)
    for key in _IDS:
        if key in fields and bytes(fields[key])[:1] == b'"':
            fields[key] = Raw(msgspec.json.encode(_text(fields[key]).partition(MARK)[0]))
    for key in _LISTS:
        if key in fields and bytes(fields[key])[:1] == b"[":
            fields[key] = _each(fields[key])
    return Raw(msgspec.json.encode(fields))
