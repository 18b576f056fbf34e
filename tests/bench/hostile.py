"""Request bodies that are hard to read, of any size: wide, deep, many, escaped.

Most would be requests if they were short."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_USER = b'{"role":"user","content":"hi"}'
_CALL = b'{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}'


def _request(messages: bytes, more: bytes = b"") -> bytes:
    return b'{"model":"bench-plain","messages":[' + messages + b"]" + more + b"}"


def _many(piece: bytes, room: int) -> bytes:
    return b",".join([piece] * max(1, room // (len(piece) + 1)))


def _inside(value: bytes) -> bytes:
    """In a field that is passed on and not looked into."""
    return _request(_USER, b',"metadata":{"a":' + value + b"}")


def _text(piece: bytes) -> Callable[[int], bytes]:
    return lambda room: _request(b'{"role":"user","content":"' + piece * (room // len(piece)) + b'"}')


def _array(piece: bytes) -> Callable[[int], bytes]:
    return lambda room: _inside(b"[" + _many(piece, room) + b"]")


def _keys(room: int) -> bytes:
    return _inside(b"{" + b",".join(b'"k%07d": 1' % number for number in range(room // 14)) + b"}")


SHAPES: dict[str, Callable[[int], bytes]] = {
    "words": _text(b"Please pay the invoice of last month. "),
    "one run of letters": _text(b"x"),
    "lines": _text(b"\\n"),
    "escaped letters": _text(b"\\u00e9"),
    "messages": lambda room: _request(_many(_USER, room)),
    "parts of a message": lambda room: _request(b'{"role":"user","content":[' + _many(b'{"type":"text","text":"a"}', room) + b"]}"),
    "calls in a message": lambda room: _request(b'{"role":"assistant","tool_calls":[' + _many(_CALL, room) + b"]}"),
    "empty objects": _array(b"{}"),
    "objects, not compact": _array(b'{"a": 1}'),
    "numbers": _array(b"1"),
    "fractions, not compact": _array(b" 1.50"),
    "keys of one object": _keys,
    "arrays in arrays": _array(b"[" * 60 + b"]" * 60),
    "too deep": _array(b"[" * 1000 + b"]" * 1000),
    "no end": lambda room: b"[" * room,
    "a quote that nobody closes": lambda room: b'{"model":"' + b"[" * room,
}


def bodies(size: int) -> Iterator[tuple[str, bytes]]:
    """(shape, body of just under `size` bytes)."""
    for name, shape in SHAPES.items():
        yield name, shape(size - 200)
