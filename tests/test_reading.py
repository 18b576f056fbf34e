"""Long bodies are weighed and decoded while others are served."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.limit_settings import Limits
from gateway.reading import LONG, read

FEW = Limits(objects=1000, values=2000)


def array(piece: bytes, size: int) -> bytes:
    return b"[" + b",".join([piece] * (size // (len(piece) + 1))) + b"]"


class Decoding:
    """Remembers where it was called."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self, body: bytes) -> int:
        self.threads.append(threading.current_thread())
        return len(body)


async def beats_while(work: Any) -> tuple[Any, int]:
    """What it came to, and how often something else had its turn."""
    task, beats = asyncio.ensure_future(work), 0
    while not task.done():
        beats += 1
        await asyncio.sleep(0)
    return task.result(), beats


def test_a_short_body_is_read_at_once_and_where_it_is_asked() -> None:
    decode = Decoding()
    body = array(b"[]", LONG)
    assert len(body) <= LONG
    assert asyncio.run(read(body, FEW, decode)) == len(body)
    assert decode.threads == [threading.current_thread()]


def test_a_long_body_is_decoded_in_a_thread_and_weighed_with_others_in_between() -> None:
    decode, pieces = Decoding(), 16
    body = b'["' + b"x" * (pieces * LONG) + b'"]'
    found, beats = asyncio.run(beats_while(read(body, FEW, decode)))
    assert found == len(body)
    assert beats > pieces
    assert decode.threads != [threading.current_thread()]


@pytest.mark.parametrize("piece", [b"[]", b"{}", b"1", b'"a"', b'{"a":1}', b"[[[]]]"])
def test_a_long_body_of_too_many_values_is_refused_before_it_is_decoded(piece: bytes) -> None:
    decode = Decoding()
    with pytest.raises(GatewayError) as refused:
        asyncio.run(read(array(piece, 2 * LONG), FEW, decode))
    assert (refused.value.code, decode.threads) == ("too_many_values", [])
    assert "1000 arrays, objects and members" in str(refused.value)
    assert "limits:" in str(refused.value)


@pytest.mark.parametrize("marks", [b"[", b"{", b":", b",", b'\\"[', b"\\\\,"])
def test_marks_that_stand_in_a_string_are_no_values(marks: bytes) -> None:
    body = b'["' + marks * (3 * LONG // len(marks)) + b'"]'
    assert asyncio.run(read(body, FEW, len)) == len(body)


@pytest.mark.parametrize(("objects", "values"), [(1000, 2001), (1001, 2000)])
def test_as_many_as_the_limits_say_pass_and_one_more_does_not(objects: int, values: int) -> None:
    text = b'"' + b"x" * LONG + b'"'
    body = b"[" * objects + b"]" * objects + b"," * values + text
    assert asyncio.run(read(body, Limits(objects=objects, values=values), len)) == len(body)
    with pytest.raises(GatewayError, match="1000 arrays, objects and members, or more than 2000 values"):
        asyncio.run(read(body, FEW, len))


def test_what_decoding_refuses_is_refused() -> None:
    def decode(_: bytes) -> None:
        raise GatewayError("bad_request", "invalid_json", "no")

    for size in (10, 2 * LONG):
        with pytest.raises(GatewayError, match="no"):
            asyncio.run(read(b"x" * size, FEW, decode))
