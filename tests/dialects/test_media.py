"""Media in requests of Chat Completions and Messages: found where they are, told apart by who would fetch them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.dialects import anthropic_messages, openai_chat
from gateway.errors import GatewayError
from gateway.request import Media, Request

PNG = "data:image/png;base64,iVBORw0KGgo="


def chat(*parts: Any) -> Request:
    body = {"model": "m", "messages": [{"role": "user", "content": list(parts)}]}
    return openai_chat.decode_request(json.dumps(body).encode(), {}, frozenset())


def messages(*blocks: Any) -> Request:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": list(blocks)}]}
    return anthropic_messages.decode_request(json.dumps(body).encode(), {}, frozenset())


def base64(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": data}


def test_images_sounds_and_files_of_a_chat_message_are_found() -> None:
    request = chat(
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg=="}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
        {"type": "file", "file": {"filename": "a.pdf"}},
    )
    at = "messages[0].content"
    assert request.messages[0].media == (
        Media("image", f"{at}[1].image_url", data=PNG),
        Media("image", f"{at}[2].image_url", url="https://a.example/b.png"),
        Media("audio", f"{at}[3].input_audio", "audio/wav", "UklGRg=="),
        Media("audio", f"{at}[4].input_audio", "", "UklGRg=="),
        Media("file", f"{at}[5].file", data="data:application/pdf;base64,JVBERg=="),
    )
    assert request.unjudged == request.powerful == ()


def test_a_data_address_is_one_in_any_spelling() -> None:
    (found,) = chat({"type": "image_url", "image_url": {"url": "DATA:image/png;base64,AA=="}}).messages[0].media
    assert found.data
    assert not found.url


def test_a_file_uploaded_before_is_out_of_sight() -> None:
    assert chat({"type": "file", "file": {"file_id": "file_1"}}).powerful == ("messages[0].content[0].file.file_id",)
    found = messages(
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "container_upload", "file_id": "file_1"},
    )
    assert found.powerful == ("messages[0].content[0].source.file_id", "messages[0].content[1].file_id")


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url"},
        {"type": "image_url", "image_url": PNG},
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": 1}},
        {"type": "input_audio", "input_audio": {"format": "wav"}},
        {"type": "file", "file": {"file_data": 1}},
        {"type": "file", "file": None},
    ],
)
def test_media_of_a_wrong_shape_are_refused(part: Any) -> None:
    with pytest.raises(GatewayError, match=r"messages\[0\]\.content\[0\]"):
        chat(part)


def test_media_of_a_messages_request_are_found_wherever_they_stand() -> None:
    nested = {"type": "document", "source": {"type": "content", "content": [{"type": "image", "source": base64("CC==")}]}}
    request = messages(
        {"type": "image", "source": base64("AA==", "Image/PNG")},
        {"type": "document", "source": {"type": "url", "url": "https://a.example/b.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
        {"type": "document", "source": {"type": "content", "content": "plain"}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": base64("BB==")}, nested]},
        {"type": "tool_result", "tool_use_id": "u", "content": "text"},
    )
    at = "messages[0].content"
    assert request.messages[0].media == (
        Media("image", f"{at}[0].source", "image/png", "AA=="),
        Media("file", f"{at}[1].source", url="https://a.example/b.pdf"),
        Media("image", f"{at}[4].content[0].source", "image/png", "BB=="),
        Media("image", f"{at}[4].content[1].source.content[0].source", "image/png", "CC=="),
    )
    assert request.unjudged == request.powerful == ()


def test_a_source_without_a_media_type_has_none() -> None:
    (found,) = messages({"type": "image", "source": {"type": "base64", "data": "AA=="}}).messages[0].media
    assert found.media_type == ""


def test_an_unknown_kind_of_source_is_unjudged() -> None:
    request = messages({"type": "image", "source": {"type": "dropbox", "id": "x"}})
    assert request.unjudged == ("messages[0].content[0].source.type=dropbox",)
    with pytest.raises(GatewayError):
        messages({"type": "image"})
