"""The real `anthropic` package reads what the gateway delivers: no denied call appears, and an answer ends
as an answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from gateway.dialects import anthropic_messages as dialect
from gateway.errors import GatewayError

FOLDER = Path(__file__).parent.parent / "golden" / "anthropic_messages"
BROKEN = {"cut_after_call", "cut_in_open_call", "cut_inside_call", "end_of_connection", "error_in_stream"}
STREAMS = sorted(p.name.removesuffix(".denied.sse") for p in FOLDER.glob("*.denied.sse"))
WHOLES = sorted(p.name.removesuffix(".denied.json") for p in FOLDER.glob("*.denied.json"))


def client(status: int, headers: dict[str, str], content: bytes) -> anthropic.Anthropic:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers=headers, content=content)

    return anthropic.Anthropic(
        api_key="k",
        base_url="http://gateway.invalid",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


def ask(sdk: anthropic.Anthropic) -> Any:
    return sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])


def read_stream(content: bytes) -> Any:
    sdk = client(200, {"content-type": "text/event-stream"}, content)
    with sdk.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        return stream.get_final_message()


def calls(message: Any) -> list[tuple[str, str, Any]]:
    return [(b.id, b.name, b.input) for b in message.content if b.type == "tool_use"]


def proposed(name: str) -> list[dict[str, Any]]:
    said = json.loads((FOLDER / f"{name}.events.json").read_bytes())["events"]
    return [event["proposed"] for event in said if isinstance(event, dict) and "proposed" in event]


@pytest.mark.parametrize("judge", ["allowed", "denied", "first_denied"])
@pytest.mark.parametrize("name", sorted(set(STREAMS) - BROKEN))
def test_the_sdk_sees_exactly_the_released_calls(name: str, judge: str) -> None:
    message = read_stream((FOLDER / f"{name}.{judge}.sse").read_bytes())
    readable = [call for call in proposed(name) if call["problem"] is None]
    released = [c for c in readable if judge == "allowed" or (judge == "first_denied" and c["index"] > 0)]
    assert calls(message) == [(c["id"], c["name"], c["args"]) for c in released]
    withheld = len(proposed(name)) - len(released)
    assert sum("Blocked by policy" in getattr(b, "text", "") for b in message.content) == withheld
    if message.stop_reason not in ("max_tokens", "refusal"):
        assert message.stop_reason == ("tool_use" if released else "end_turn")


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_answer_is_an_error_to_the_sdk_and_never_a_call(name: str) -> None:
    with pytest.raises(anthropic.APIError) as caught:
        read_stream((FOLDER / f"{name}.allowed.sse").read_bytes())
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"


def test_every_recorded_stream_is_read_by_the_sdk() -> None:
    assert len(STREAMS) >= 18
    assert set(STREAMS) > BROKEN


@pytest.mark.parametrize("name", WHOLES)
def test_the_sdk_reads_a_whole_answer_without_the_denied_calls(name: str) -> None:
    content = (FOLDER / f"{name}.denied.json").read_bytes()
    message = ask(client(200, {"content-type": "application/json"}, content))
    assert calls(message) == []
    assert message.stop_reason == "end_turn"
    assert message.content


def error_for(kind: Any, code: str) -> anthropic.APIStatusError:
    answer = dialect.error_answer(GatewayError(kind, code, "What happened."))
    with pytest.raises(anthropic.APIStatusError) as caught:
        ask(client(answer.status, dict(answer.headers), answer.body))
    return caught.value


def test_a_refused_request_shows_our_text_and_code() -> None:
    error = error_for("refused", "unknown_field")
    assert error.status_code == 451
    assert "What happened." in str(error)


def test_a_refused_thread_has_the_form_the_sdk_recovers_from() -> None:
    error = error_for("refused", "thread_unsupported_request")
    assert isinstance(error, anthropic.BadRequestError)
    assert isinstance(error.body, dict)
    assert error.body["error"]["details"]["error_code"] == "thread_unsupported_request"


def test_the_sdk_resends_the_whole_history_after_a_refused_thread() -> None:
    bodies: list[dict[str, Any]] = []
    whole = {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "done"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        bodies.append(json.loads(request.content))
        try:
            dialect.decode_request(request.content, {}, frozenset())
        except GatewayError as error:
            wire = dialect.error_answer(error)
            return httpx2.Response(wire.status, headers=dict(wire.headers), content=wire.body)
        return httpx2.Response(200, json=whole)

    sdk = anthropic.Anthropic(
        api_key="k",
        base_url="http://gateway.invalid",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: a city
        """
        return city

    runner = sdk.beta.messages.tool_runner(
        model="m", max_tokens=9, tools=[get_weather], messages=[{"role": "user", "content": "x"}]
    )
    message = runner.until_done()
    assert message.content[0].text == "done"
    assert [bool(body.get("thread")) for body in bodies] == [True, False]
    assert bodies[1]["tools"][0]["name"] == "get_weather"
