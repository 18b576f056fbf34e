"""Media in the record: a hash and a size, never the bytes."""

from __future__ import annotations

import base64
import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Caller, Exchange
from gateway.request import Media, Message, Request
from gateway.trace import media
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe

PICTURE = bytes(range(256)) * 20


def message(*found: Media, **content: object) -> Message:
    return Message("user", json.dumps({"role": "user", **content}).encode(), "look", media=found)


@given(st.binary(max_size=400), st.sampled_from(["image/png", "IMAGE/JPEG", "application/pdf; name=a.pdf"]))
def test_a_data_uri_is_hashed_by_what_it_decodes_to(data: bytes, kind: str) -> None:
    row = media.row(Media("image", "x", data=f"data:{kind};base64,{base64.b64encode(data).decode()}"))
    assert (row.sha256, row.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert row.media_type == kind.partition(";")[0].lower()


def test_bare_base64_keeps_the_type_the_request_gave() -> None:
    row = media.row(Media("audio", "x", "audio/wav", base64.b64encode(PICTURE).decode()))
    assert row == media.MediaRow("audio", "audio/wav", hashlib.sha256(PICTURE).hexdigest(), len(PICTURE))


def test_what_is_no_base64_is_hashed_as_it_was_sent() -> None:
    for text in ("not base64!", "data:text/plain,hello", "data:image/png;base64,***", "\ud800"):
        row = media.row(Media("file", "x", data=text))
        coded = text.partition(",")[2] if text.startswith("data:") else text
        assert row.sha256 == hashlib.sha256(coded.encode("utf-8", "surrogatepass")).hexdigest()


def test_what_the_provider_would_fetch_has_an_address_and_no_hash() -> None:
    row = media.row(Media("image", "x", url="https://a.example/b.png"))
    assert (row.sha256, row.bytes, row.url) == (None, None, "https://a.example/b.png")


def test_a_recorded_message_has_a_mark_in_the_place_of_the_bytes() -> None:
    data = base64.b64encode(PICTURE).decode()
    found = Media("image", "messages[0]", "image/png", data)
    said = message(found, content=[{"type": "text", "text": "look"}, {"source": {"data": data}, "n": 1}, {"url": "https://a"}])
    recorded = json.loads(media.body(said, (media.row(found),)))
    mark = f"[image/png, {len(PICTURE)} bytes, sha256:{hashlib.sha256(PICTURE).hexdigest()}]"
    assert recorded["content"] == [{"type": "text", "text": "look"}, {"source": {"data": mark}, "n": 1}, {"url": "https://a"}]


def test_a_message_without_inline_media_is_recorded_as_sent() -> None:
    said = message(Media("image", "x", url="https://a"), content="hi")
    assert media.body(said, (media.row(said.media[0]),)) is said.raw


def test_the_scribe_writes_media_beside_the_body_and_takes_secrets_out_of_addresses() -> None:
    secret = "sk-canary-0123456789"
    data = base64.b64encode(PICTURE).decode()
    found = (Media("image", "x", "image/png", data), Media("image", "y", url=f"https://a/{secret}"))
    said = message(*found, content=[data, f"https://a/{secret}"])
    scribe = Scribe(b"k" * 32, Redactor([secret]))
    request = Request("openai.chat", "m", False, (said,), (), b"")
    _, (row,) = scribe.texts.request_messages(Exchange("id", 1, "openai.chat", "/", Caller("bot"), request), 1)
    assert data not in row.body
    assert secret not in row.body
    assert [each.bytes for each in row.media] == [len(PICTURE), None]
    assert row.media[1].url == "https://a/[REDACTED:provider_key]"
