"""Images and files pass through; the record keeps hash and size; what a provider would fetch needs a line in the settings."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import ClassVar

import pytest

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\nallow: [get_weather]\n'}
PICTURE = bytes(range(256)) * 8
INLINE = base64.b64encode(PICTURE).decode()
REMOTE = "https://images.example.com/cat.png?session=secret"


class Chat:
    path = "/v1/chat/completions"
    refused = 400
    answer: ClassVar[dict] = {
        "id": "r", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "A cat."}, "finish_reason": "stop"}],
    }  # fmt: skip

    @staticmethod
    def request(url: str = "") -> dict:
        part = {"type": "image_url", "image_url": {"url": url or f"data:image/png;base64,{INLINE}"}}
        return {"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}]}


class Messages:
    path = "/v1/messages"
    refused = 451
    answer: ClassVar[dict] = {
        "id": "r", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "A cat."}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip

    @staticmethod
    def request(url: str = "") -> dict:
        source = {"type": "url", "url": url} if url else {"type": "base64", "media_type": "image/png", "data": INLINE}
        blocks = [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]
        return {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": blocks}]}


WIRES = pytest.mark.parametrize("wire", [Chat, Messages], ids=["chat", "messages"])


def post(gateway, wire, body):
    with gateway.client() as client:
        return client.post(wire.path, json=body, headers={"anthropic-version": "2023-06-01"} if wire is Messages else {})


@WIRES
def test_an_inline_image_reaches_the_provider_and_only_its_hash_the_journal(start, provider, wire):
    gateway = start(POLICY)
    provider.answer = provider.json(wire.answer)
    body = wire.request()
    assert post(gateway, wire, body).status_code == 200
    assert json.loads(provider.received[0][1]) == body
    ended = gateway.ended()[0]
    (row,) = [media for message in ended.messages for media in message.media]
    assert (row.kind, row.media_type, row.bytes, row.sha256) == (
        "image",
        "image/png",
        len(PICTURE),
        hashlib.sha256(PICTURE).hexdigest(),
    )
    assert INLINE.encode() not in b"".join(p.read_bytes() for p in (gateway.settings.data_path / "journal").iterdir())
    assert "What?" in ended.messages[0].body


@WIRES
def test_what_the_provider_would_fetch_is_refused_before_it_is_asked(start, provider, wire):
    gateway = start(POLICY)
    answer = post(gateway, wire, wire.request(REMOTE))
    assert answer.status_code == wire.refused
    assert "images.example.com" in answer.text
    assert "remote_media" in answer.text
    assert provider.received == []
    assert gateway.ended()[0].exchange.error_code == "remote_media"


@WIRES
@pytest.mark.parametrize("allowed", ["images.example.com", "*.Example.com", "Images.Example.COM", "*"])
def test_a_host_that_the_settings_name_may_be_fetched_from(start, provider, wire, allowed):
    gateway = start(POLICY, remote_media=[allowed])
    provider.answer = provider.json(wire.answer)
    assert post(gateway, wire, wire.request(REMOTE)).status_code == 200
    (row,) = [media for message in gateway.ended()[0].messages for media in message.media]
    assert (row.url, row.sha256, row.bytes) == (REMOTE, None, None)


@WIRES
@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.com.evil.net/x",
        "https://images.example.com@evil.net/x",
        "http://images.example.com/x",
        "gs://images.example.com/x",
        "https://evilexample.com/x",
        "https://images.example.com\\@evil.net/",
    ],
)
def test_no_other_address_passes_for_an_allowed_host(start, provider, wire, url):
    gateway = start(POLICY, remote_media=["images.example.com", "*.example.com"])
    assert post(gateway, wire, wire.request(url)).status_code == wire.refused
    assert provider.received == []


@WIRES
def test_an_observer_lets_it_pass_and_says_so(start, provider, wire):
    gateway = start()
    provider.answer = provider.json(wire.answer)
    assert post(gateway, wire, wire.request(REMOTE)).status_code == 200
    assert any(why.startswith("field:messages[0].content[1]") for why in gateway.ended()[0].exchange.unevaluated)
