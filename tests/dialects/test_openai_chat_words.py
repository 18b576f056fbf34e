"""Chunks read by what is known of an earlier one: never otherwise than by parsing, whatever stands where the words were."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import strict_json
from gateway.dialects.events import Event, Forward, Limits
from gateway.dialects.openai_chat_stream import ChatStream
from gateway.dialects.openai_chat_words import around

PLAIN = {"index": 0, "delta": {"content": "one"}, "finish_reason": None}
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def written(tree: Any, *, spaces: bool = False) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=None if spaces else (",", ":")).encode()


def chunk(content: Any, **top: Any) -> dict[str, Any]:
    return {**HEAD, "choices": [{**PLAIN, "delta": {"content": content}}], **top}


def learned(tree: dict[str, Any], *, spaces: bool = False) -> Any:
    data = written(tree, spaces=spaces)
    return around(data, strict_json.parse(data, exact_numbers=False), 0, tree["choices"][0]["delta"])


@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("top", [{}, {"obfuscation": "xY7"}, {"usage": None, "obfuscation": ""}], ids=str)
@pytest.mark.parametrize("words", ["two", "", " zwölf ", "日本", "a: [1, {}]", "\u2027", "one"])
def test_other_words_around_which_all_is_the_same_are_read(spaces: bool, top: dict[str, Any], words: str) -> None:
    found = learned(chunk("one", **top), spaces=spaces)
    more = {"obfuscation": "another"} if "obfuscation" in top else {}
    assert found.words(written(chunk(words, **{**top, **more}), spaces=spaces)) == words


@pytest.mark.parametrize("words", ['a"b', "a\\", "line\nbreak", "tab\t", "\u2028", "\x85", '","tool_calls":[]'])
def test_words_with_escapes_or_line_ends_are_for_the_parser(words: str) -> None:
    found = learned(chunk("one"))
    assert found.words(written(chunk(words))) is None
    assert found.words(written(chunk("one")).replace(b'"one"', b'"' + words.encode() + b'"')) is None


@pytest.mark.parametrize("odd", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x00", b"\x1f"])
def test_bytes_that_are_no_text_are_for_the_parser(odd: bytes) -> None:
    found = learned(chunk("one", obfuscation="x"))
    assert found.words(written(chunk("one", obfuscation="y")).replace(b'"one"', b'"' + odd + b'"')) is None
    assert found.words(written(chunk("one", obfuscation="y")).replace(b'"y"', b'"' + odd[:1] + b'"y"')) is None


@pytest.mark.parametrize(
    "tree",
    [
        {**HEAD, "choices": [{**PLAIN, "delta": {"role": "assistant", "content": "one"}}]},
        chunk("one", x_groq={"content": "one"}),
        chunk("one", obfuscation=5),
        chunk('o"ne'),
        chunk(None),
        {"obfuscation": "x", **chunk("one")},
    ],
    ids=str,
)
def test_a_chunk_whose_form_is_not_plain_teaches_nothing(tree: dict[str, Any]) -> None:
    assert learned(tree) is None


def test_words_that_stand_elsewhere_too_are_not_taken_for_the_words() -> None:
    """The key is written with a space here, and the same key without one stands in another object."""
    data = b'{"id":"c","choices":[{"index":0,"delta":{"content"  :"one"}}],"x_groq":{"content":"one"}}'
    assert around(data, strict_json.parse(data, exact_numbers=False), 0, {"content": "one"}) is None


# -- a whole stream, with and without what is learned ------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "two words", 'q"', "\\", "\n", "ä", "\u2028", "日", "x" * 50]) | st.text(max_size=6)
TOPS = st.sampled_from([{}, {}, {}, {"obfuscation": "x"}, {"obfuscation": "yy"}, {"usage": None}, {"system_fingerprint": "f"}, {"odd": 1}])
DELTAS = st.builds(lambda text: {"content": text}, TEXTS) | st.sampled_from([
    {}, {"role": "assistant"}, {"content": None}, {"refusal": "no"}, {"content": 5}, {"content": "x", "tool_calls": []},
    {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
])  # fmt: skip


@st.composite
def frames(draw: Any) -> bytes:
    finish = draw(st.sampled_from([None, None, None, "stop"]))
    choice = {"index": draw(st.sampled_from([0, 0, 0, 1])), "delta": draw(DELTAS), "finish_reason": finish}
    data = written({**HEAD, "choices": [choice], **draw(TOPS)}, spaces=draw(st.sampled_from([False, False, True])))
    data = draw(st.sampled_from([data, data, data, data.replace(b'"index":0', b'"index":0,"index":0'), data[:-1], b"[DONE]"]))
    frame = st.sampled_from([b"data: %b\n\n", b"data: %b\n\n", b"data:%b\n\n", b"event: error\ndata: %b\n\n", b": c\n\ndata: %b\n\n"])
    return draw(frame) % data


def said(pieces: list[bytes], lessons: int | None) -> tuple[Any, ...]:
    stream = ChatStream("openai.chat", Limits(), wants_usage=True, enforcing=True)
    if lessons is not None:
        stream._learning = lessons
    events = [event for piece in pieces for event in stream.feed(piece)]
    return joined([*events, *stream.close()]), stream.answer, stream.findings, stream.spoken


def joined(events: list[Event]) -> list[Event]:
    """Where one event says more of what the one before it said, both as the one that they could have been."""
    found: list[Event] = []
    for event in events:
        match (found[-1:], event):
            case (
                [Forward(raw=before, clean=None, said=(lane, {"content": str(text), **nothing}))],
                Forward(raw=raw, clean=None, said=(same, {"content": str(more), **no})),
            ) if lane == same and not (nothing or no):
                found[-1] = Forward(before + raw, None, (lane, {"content": text + more}))
            case _:
                found.append(event)
    return found


@settings(max_examples=300)
@given(st.lists(frames(), max_size=12), st.booleans())
def test_a_stream_says_the_same_whether_or_not_forms_are_learned(pieces: list[bytes], together: bool) -> None:
    start = [b"data: " + written({**HEAD, "choices": [{**PLAIN, "delta": {"content": text}}]}) + b"\n\n" for text in ("", "Hi", "you")]
    stream = start + pieces
    assert said([b"".join(stream)] if together else stream, None) == said(stream, 0)


@pytest.mark.parametrize("top", [{}, {"obfuscation": 'a"b'}, {"obfuscation": None}, {"obfuscation": "x", "odd": 1}, {"odd": 1}], ids=str)
def test_a_chunk_that_differs_behind_its_words_is_for_the_parser(top: dict[str, Any]) -> None:
    assert learned(chunk("one", obfuscation="x")).words(written(chunk("two", **top))) is None


@pytest.mark.parametrize("end", range(1, 60))
def test_a_chunk_that_is_cut_is_for_the_parser(end: int) -> None:
    for top in ({}, {"obfuscation": "x"}):
        assert learned(chunk("one", **top)).words(written(chunk("one", **top))[:-end]) is None


def run_of(count: int) -> list[bytes]:
    """Events of one form, the first with the role that begins a choice."""
    first = b"data: " + written({**HEAD, "choices": [{**PLAIN, "delta": {"role": "assistant", "content": ""}}]}) + b"\n\n"
    return [first, *(b"data: " + written(chunk(f"word {number} ")) + b"\n\n" for number in range(count))]


@given(st.lists(st.integers(0, 4000), max_size=6))
def test_a_run_of_like_events_says_the_same_however_it_is_cut(cuts: list[int]) -> None:
    wire = b"".join(run_of(25)) + b": alive\n\n" + run_of(3)[-1] + b'data: {"odd"'
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    pieces = [wire[start:end] for start, end in itertools.pairwise(edges)]
    assert said(pieces, None) == said([wire], 0)


def test_a_run_counts_for_the_most_events_that_a_stream_may_have() -> None:
    stream = ChatStream("openai.chat", Limits(events=10), wants_usage=True, enforcing=True)
    events = list(stream.feed(b"".join(run_of(20))))
    *passed, broken = events
    assert b"".join(event.raw for event in passed) == b"".join(run_of(20)[:10])
    assert "more than 10 events" in broken.detail


def test_of_a_run_no_more_text_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.dialects.openai_chat_stream.MOST_TEXT", 20)
    stream = ChatStream("openai.chat", Limits(), wants_usage=True, enforcing=True)
    wire = b"".join(run_of(12))
    assert b"".join(event.raw for piece in (wire[:2000], wire[2000:]) for event in stream.feed(piece)) == wire
    assert stream.answer.text == "word 0 word 1 word 2 "[:20]


@pytest.mark.parametrize("frame", [b"data:%b\n\n", b"data: %b\r\n\r\n", b"id: 7\ndata: %b\n\n", b": alive\ndata: %b\n\n"])
def test_a_known_chunk_in_another_frame_is_read_and_passed_on_as_it_came(frame: bytes) -> None:
    start, odd = run_of(4), frame % written(chunk("and so on"))
    events, *rest = said([*start, odd], None)
    assert [events, *rest] == [*said([*start, odd], 0)]
    assert odd in b"".join(getattr(event, "raw", b"") for event in events)
