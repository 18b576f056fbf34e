"""What a streamed generateContent holds, for how long, and in which form words leave."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.dialects import gemini as dialect
from gateway.dialects.events import UNTOLD, Broken, Ended, Forward, Held, Limits, Proposed

ASKED = b'{"contents":[{"role":"user","parts":[{"text":"Hi"}]}],"tools":[{"functionDeclarations":[{"name":"f"}]}]}'
(ENDPOINT,) = dialect.endpoints("/v1beta/models/m:streamGenerateContent")
REQUEST = dialect.decode_request(ASKED, {}, frozenset(), msgspec.structs.replace(ENDPOINT, query="alt=sse"))
CALL = {"functionCall": {"name": "f", "args": {}}}


def stream(*, enforcing: bool = True, **limits: int) -> Any:
    return dialect.stream(REQUEST, Limits(**limits), enforcing=enforcing)


def event(*parts: Any, finish: str | None = None, index: int = 0) -> bytes:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": index} | ({"finishReason": finish} if finish else {})
    return b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\n\n"


def kinds(events: list[Any]) -> list[type]:
    return [type(each) for each in events]


def test_from_the_first_call_on_everything_waits_for_the_finish() -> None:
    reading = stream()
    assert kinds(list(reading.feed(event({"text": "Look."})))) == [Forward]
    assert kinds(list(reading.feed(event(CALL)))) == [Held]
    assert kinds(list(reading.feed(event({"text": "More."})))) == [Held]
    assert kinds(list(reading.feed(event(finish="STOP")))) == [Held, Proposed, Forward, Ended]


def test_another_candidate_s_finish_does_not_let_go() -> None:
    reading = stream()
    list(reading.feed(event({"text": "x"}, index=1) + event(CALL)))
    assert kinds(list(reading.feed(event(finish="STOP")))) == [Held]
    assert kinds(list(reading.feed(event(finish="STOP", index=1)))) == [Held, Proposed, Ended, Ended]


def test_all_but_the_last_proposal_say_that_another_follows() -> None:
    events = list(stream().feed(event(CALL) + event(CALL, CALL) + event(finish="STOP")))
    assert [each.more for each in events if isinstance(each, Proposed)] == [True, True, False]


@pytest.mark.parametrize("enforcing", [True, False])
def test_more_than_may_be_held_fails_every_call_and_breaks_the_stream(enforcing: bool) -> None:
    words = [event({"text": "x" * 400}) for _ in range(3)]
    events = list(stream(enforcing=enforcing, hold_bytes=100).feed(event(CALL, CALL, {"text": "y"}) + b"".join(words)))
    assert [each.call.problem for each in events if isinstance(each, Proposed)] == ["hold_limit", "hold_limit"]
    assert isinstance(events[-1], Broken)
    assert events[-1].code == "hold_limit"
    assert not any(isinstance(each, Forward) for each in events)


def test_a_limit_behind_a_call_breaks_a_judged_stream() -> None:
    events = list(stream().feed(event(CALL) + event(finish="MAX_TOKENS")))
    assert events[-1] == Broken("truncated", "the answer was cut while a call was being proposed")
    assert Proposed not in kinds(events)


def test_words_over_two_lines_leave_in_one() -> None:
    odd = event({"text": "Hi"}).replace(b'data: {"', b'data: {\ndata: "', 1)
    (sent,) = stream().feed(odd)
    assert sent.raw == odd
    assert sent.clean is not None
    assert sent.clean.count(b"data: ") == 1
    assert json.loads(sent.clean[6:]) == json.loads(event({"text": "Hi"})[6:])


def test_the_words_of_an_event_are_told_where_it_has_one_candidate() -> None:
    image = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
    two = {"candidates": [{"content": {"role": "model", "parts": [{"text": word}]}, "index": at} for at, word in enumerate("ab")]}
    reading = stream()
    told = [*reading.feed(event({"text": "a"}, image, {"text": "b"})), *reading.feed(b"data: " + json.dumps(two).encode() + b"\n\n")]
    assert [each.said for each in told if isinstance(each, Forward)] == [(0, {"text": "ab"}), UNTOLD]
