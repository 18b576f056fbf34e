"""Images, sounds, films and files in messages, as the record keeps them: a hash and a size in the place of the bytes.

The hash is SHA-256 over the decoded bytes, so that anyone who has the file can ask which exchanges carried it. What cannot be decoded is
hashed as the text that was sent.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping

import msgspec

from gateway.request import Media, Message
from gateway.strict_json import Json
from gateway.trace.exchange_rows import MediaRow

_DATA_URI = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),")


def row(media: Media) -> MediaRow:
    if media.url:
        return MediaRow(media.kind, media.media_type, url=media.url)
    media_type, data = _decoded(media.data)
    return MediaRow(media.kind, media.media_type or media_type, hashlib.sha256(data).hexdigest(), len(data))


def body(message: Message, rows: tuple[MediaRow, ...]) -> bytes:
    """The message with each inline piece of media replaced by what it was."""
    marks = {media.data: _mark(row) for media, row in zip(message.media, rows, strict=True) if media.data}
    return msgspec.json.encode(_replaced(msgspec.json.decode(message.raw), marks)) if marks else message.raw


def _mark(row: MediaRow) -> str:
    return f"[{row.media_type or row.kind}, {row.bytes} bytes, sha256:{row.sha256}]"


def _replaced(value: Json, marks: Mapping[str, str]) -> Json:
    if isinstance(value, str):
        return marks.get(value, value)
    if isinstance(value, list):
        return [_replaced(each, marks) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, marks) for key, each in value.items()}
    return value


def _decoded(text: str) -> tuple[str, bytes]:
    """(media type, bytes) of a `data:` URI or of bare base64."""
    found = _DATA_URI.match(text)
    media_type, coded = (found[1].lower(), text[found.end() :]) if found else ("", text)
    if found and not found[2].endswith(";base64"):
        return media_type, coded.encode("utf-8", "surrogatepass")
    try:
        return media_type, base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError):
        return media_type, coded.encode("utf-8", "surrogatepass")
