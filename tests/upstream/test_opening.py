"""How streams begin: what says nothing is read over, however it is cut, and the first event that says something is found."""

from __future__ import annotations

import pytest

from gateway.upstream.opening import Opening
from gateway.upstream.said_error import LONGEST

ERROR = b'{"error": {"message": "x", "code": 503}}'
NOTHING = (
    b"", b": OPENROUTER PROCESSING\n\n", b":\n\n:\n\n", b'event: ping\ndata: {"type": "ping"}\n\n', b"data: [DONE]\n\n", b"retry: 3000\n\n",
    b'event: keepalive\ndata: {"type":"keepalive","sequence_number":1}\n\n', b"\r\n\r\n", b"\xef\xbb\xbf", b"data:\n\n", b": half a comme",
)  # fmt: skip
WIRES = (b"data: %b\n\n", b"event: error\r\ndata:%b\r\n\r\ndata: [DONE]\n\n", b"id: 1\rdata: %b\r\r", b"data: %b", b"data: %b\n")


def read(wire, size):
    """The opening of a stream that comes in such pieces, and ends."""
    opening = Opening()
    for at in range(0, len(wire) + size, size):
        if not opening.more(wire[at : at + size]):
            break
    return opening


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("before", NOTHING[:-1])
def test_an_error_is_found_behind_what_says_nothing_and_however_it_is_cut(before, size):
    for wire in WIRES:
        opening = read(before + wire % ERROR, size)
        assert opening.error == 503
        assert (before + wire % ERROR).startswith(opening.read)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("wire", NOTHING)
def test_a_stream_that_only_gives_signs_of_life_says_nothing(wire, size):
    opening = read(wire, size)
    assert (opening.event, opening.cut, opening.read) == (None, True, wire)


@pytest.mark.parametrize("data", [b'{"choices": []}', b'{"type": "ping", "more": {}}', b"{}", b"ping", b'{"type": "pingpong"}'])
def test_what_says_something_is_waited_for_until_its_event_is_whole(data):
    opening = read(b": wait\n\ndata: %b\n\ndata: %b\n\n" % (data, ERROR), 5)
    assert (opening.event, opening.error, opening.cut) == (data, None, False)
    assert read(b"data: " + data, 5).cut


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize(("wire", "error"), [(b"<html>\n\n", None), (b'{"choices": []}', None), (b" \x1f\x8b", None), (ERROR, 503)])
def test_what_is_no_event_stream_has_said_something(wire, error, size):
    opening = read(wire, size)
    assert (opening.event, opening.error, opening.cut) == (wire, error, True)


def test_no_more_is_kept_back_than_the_longest_error_has():
    for wire in (b"data: " + b"x" * 3 * LONGEST, b": x\n\n" * LONGEST):
        opening = read(wire, 1000)
        assert len(opening.read) <= LONGEST + 1000
        assert (opening.error, opening.cut) == (None, False)
