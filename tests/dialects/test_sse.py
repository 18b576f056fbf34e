from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.sse import Oversize, SseEvent, SseParser, frame

wire = st.lists(
    st.sampled_from([
        b"data", b"event", b"id", b":", b" ", b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"\xef\xbb\xbf", b"x", b"{}",
        b"\xe2\x80\xa8", b"data: 1\n\n",
    ])
    | st.binary(max_size=3),
    max_size=40,
).map(b"".join)  # fmt: skip


def events(stream: bytes, cuts: list[int] = [], limit: int = 1 << 20) -> tuple[list[SseEvent], bytes]:  # noqa: B006 - read only
    parser = SseParser(limit, 10_000)
    said: list[SseEvent] = []
    edges = [0, *sorted(c % (len(stream) + 1) for c in cuts), len(stream)]
    for start, end in pairwise(edges):
        said.extend(parser.feed(stream[start:end]))
    return said, parser.rest


@given(wire, st.lists(st.integers(0, 500), max_size=8))
def test_any_cut_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    assert events(stream, cuts) == events(stream)


@given(wire)
def test_one_byte_at_a_time_gives_the_same_events(stream: bytes) -> None:
    assert events(stream, list(range(len(stream)))) == events(stream)


@given(wire)
def test_the_raws_and_the_rest_are_the_input(stream: bytes) -> None:
    said, rest = events(stream)
    assert b"".join(e.raw for e in said) + rest == stream


def by_the_standard(stream: bytes) -> list[tuple[str | None, bytes]]:
    """The HTML standard's algorithm over the whole text at once, as written there."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *lines, _unfinished = text.split(b"\n")
    out: list[tuple[str | None, bytes]] = []
    data: list[bytes] = []
    name: str | None = None
    for line in lines:
        field, _, value = line.partition(b":")
        value = value[1:] if value[:1] == b" " else value
        if line == b"":
            if data:
                out.append((name, b"\n".join(data)))
            data, name = [], None
        elif field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode(errors="replace")
    return out


@given(wire)
def test_the_data_is_what_the_standard_says(stream: bytes) -> None:
    said, rest = events(stream)
    ours = [(e.event, e.data) for e in said if e.data is not None]
    theirs = by_the_standard(stream)
    # A last CR waits for its LF: only an event that ends in the very last byte may be missing.
    assert ours == theirs or (stream.endswith(b"\r\n\r") and rest and ours == theirs[:-1])


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_ends_lines(end: bytes) -> None:
    said, rest = events(end.join([b"event: a", b"data: 1", b"", b"data:2", b"data: 3", b"", b""]))
    assert [(e.event, e.data) for e in said] == [("a", b"1"), (None, b"2\n3")]
    assert rest == b""


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_whole_event_leaves_with_its_last_byte(end: bytes) -> None:
    whole = b"data: 1" + end + end
    parser = SseParser(100, 10_000)
    assert list(parser.feed(whole[:-1])) == []
    assert [e.raw for e in parser.feed(whole[-1:])] == [whole]


@pytest.mark.parametrize("odd", [b"data: 2\rdata: 3\n\n", b"data: 2\n: c\n\n", b"event: a\ndata: 2\n\n", b"data:2\n\n", b"data: 2\r\n\r\n"])
def test_events_of_another_form_are_read_between_plain_ones_of_the_same_chunk(odd: bytes) -> None:
    stream = b"data: 1\n\n" + odd + b"data: 4\n\ndata: 5\n"
    said, rest = events(stream)
    assert (said, rest) == events(stream, list(range(len(stream))))
    assert [(e.event, e.data) for e in said] == by_the_standard(stream)
    assert rest == b"data: 5\n"


def test_a_comment_or_a_lone_blank_line_is_an_event_without_data() -> None:
    said, _ = events(b": keep-alive\n\n\ndata: 1\n\n")
    assert said == [
        SseEvent(None, None, b": keep-alive\n\n"),
        SseEvent(None, None, b"\n"),
        SseEvent(None, b"1", b"data: 1\n\n"),
    ]


def test_a_comment_before_data_is_in_the_raw_of_its_event() -> None:
    said, _ = events(b": note\ndata: 1\n\n")
    assert said == [SseEvent(None, b"1", b": note\ndata: 1\n\n")]


def test_only_the_first_byte_order_mark_is_skipped() -> None:
    said, _ = events(b"\xef\xbb\xbfdata: 1\n\n\xef\xbb\xbfdata: 2\n\n")
    assert [e.data for e in said] == [b"1", None]


def test_an_event_without_its_blank_line_is_not_dispatched() -> None:
    assert events(b"data: 1\n\ndata: 2\n") == ([SseEvent(None, b"1", b"data: 1\n\n")], b"data: 2\n")


def test_fields_that_only_look_like_data_are_not_data() -> None:
    said, _ = events(b" data: 1\nDATA: 2\ndata : 3\ndatax: 4\n\n")
    assert said[0].data is None


def test_only_one_space_is_removed_and_a_field_may_be_empty() -> None:
    said, _ = events(b"data:  x\n\ndata\n\ndata:\n\n")
    assert [e.data for e in said] == [b" x", b"", b""]


@pytest.mark.parametrize("tail", [b"", b"\n\n", b"\r\n\r\nmore"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_event_beyond_the_limit_is_refused_however_it_is_cut(tail: bytes, step: int) -> None:
    stream = b"data: 1\n\n" + b"data: " + b"x" * 100 + tail
    parser = SseParser(50, 10_000)
    said: list[SseEvent] = []
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]
    with pytest.raises(Oversize, match="50"):
        said.extend(event for piece in pieces for event in parser.feed(piece))
    assert [e.data for e in said] == [b"1"]


def test_an_event_of_exactly_the_limit_passes() -> None:
    said, _ = events(b"data: 123\n\n" * 3, limit=11)
    assert len(said) == 3


@given(st.binary(max_size=60), st.none() | st.sampled_from(["ping", "error"]))
def test_no_data_can_leave_its_frame(data: bytes, name: str | None) -> None:
    said, rest = events(frame(data, name))
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert [(e.event, e.data) for e in said] == [(name, lines)]
    assert rest == b""


@given(st.lists(st.sampled_from([b"\n", b": c\n\n", b"data: x\n\n", b"data: x\r\n\r\n"]), min_size=1, max_size=12), st.integers(1, 12))
def test_events_are_counted_however_they_look_and_come(events, most):
    for chunks in (events, [b"".join(events)]):
        parser = SseParser(100, most)
        seen = []
        refused = ""
        try:
            for chunk in chunks:
                seen += parser.feed(chunk)
        except Oversize as oversize:
            refused = str(oversize)
        assert (str(most) in refused) == (len(events) > most)
        assert refused or len(seen) == len(events)
