"""JSON that every reader understands the same way, or nothing.

A gate is worth nothing when it reads `{"path": "/srv", "path": "/etc"}` one way and the agent behind it another. So a text is
accepted only when there is no reader, tolerant or strict, who could see another value in it: UTF-8 without a byte order mark, no
lone surrogates, no key twice in one object, nothing after the value, no NaN or Infinity, integers that fit 64 bits, fractions that
a double holds exactly as written, and a bounded depth (RFC 8259 leaves all of these to the reader; RFC 7493 "I-JSON" closes most).

How: msgspec parses (strict, C speed). What it would let pass is then looked for:
1. Depth is measured on the parsed tree, level by level, and only when there are more brackets than levels allowed.
2. If the tree, written again, is the very text (or the text without its white space), then no key was lost and no number changed.
   Most JSON that machines write ends here.
3. Otherwise the standard library's parser reads the text a second time, with hooks that see every pair and every number literal.

Not a validator of meaning (that is a schema's work) and not a repair shop: what is ambiguous is refused, never mended.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NoReturn

import msgspec

Json = Any
"""A parsed JSON value: None, bool, int, float, str, list or dict with str keys."""
Code = Literal["dup_key", "trailing_data", "depth", "number", "encoding", "malformed"]

DEPTH = 64
_LONGEST_LITERAL = 400  # characters of one number; longer ones only pad with zeros, and cost quadratic time to read
_INT64 = range(-(2**63), 2**63)
_DIGITS_AS_ZERO = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_NINETEEN_DIGITS = b"0" * 19  # 2**63 has 19 digits: a shorter run cannot leave the 64-bit range
_LONG = 16 * 1024  # bytes: brackets are not counted first, there are enough
_BOM = b"\xef\xbb\xbf"

_NESTING = frozenset({dict, list})

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Ambiguous(ValueError):  # noqa: N818 - names what the text is
    """The text has no single meaning. `detail` says for people what is wrong and never quotes a value."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code: Code = code
        self.detail = detail


def parse(data: bytes | str, *, depth: int = DEPTH, exact_numbers: bool = True) -> Json:
    """The value, or `Ambiguous`. `depth` counts nested arrays and objects; linear in time and memory.

    `exact_numbers=False` is for envelopes, whose numbers decide nothing: any finite number passes there.
    """
    try:
        return _read(_utf8(data), depth, exact_numbers)
    except RecursionError:
        raise Ambiguous("depth", "nested far too deeply") from None


def encode(value: Json) -> bytes:
    """Compact JSON that stays one line for every reader of lines."""
    return one_line(_encode(value))


def one_line(text: bytes) -> bytes:
    """The same JSON text with U+0085, U+2028 and U+2029 escaped, at which some line readers split.

    `text` must be JSON: there these characters occur only inside strings, so that the escape means the same.
    """
    if text.isascii():
        return text
    escaped = text.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return escaped.replace(b"\xc2\x85", b"\\u0085")


def _read(raw: bytes, depth: int, exact_numbers: bool) -> Json:
    tree = _parsed(raw)
    if len(raw) > _LONG or raw.count(b"[") + raw.count(b"{") > depth:
        _check_depth(tree, depth)
    if not _is_its_own_echo(tree, raw, exact_numbers):
        (_EXACT if exact_numbers else _FINITE).decode(raw.decode())
    return tree


def _utf8(data: bytes | str) -> bytes:
    if isinstance(data, bytes):
        return data
    try:
        return data.encode()
    except UnicodeEncodeError:
        raise Ambiguous("encoding", "a lone surrogate is not a character") from None


def _parsed(raw: bytes) -> Json:
    try:
        return _decode(raw)
    except UnicodeDecodeError:
        raise Ambiguous("encoding", "not valid UTF-8") from None
    except msgspec.ValidationError:
        raise Ambiguous("number", "a number is out of range") from None
    except msgspec.DecodeError as error:
        raise _classified(raw, str(error)) from None


def _classified(raw: bytes, message: str) -> Ambiguous:
    """Why msgspec refused, told by what the lenient standard parser makes of the same bytes."""
    if raw.startswith(_BOM) or b"\x00" in raw:
        return Ambiguous("encoding", "a byte order mark or another encoding; send plain UTF-8")
    try:
        json.loads(raw.decode(), parse_constant=_not_a_number, parse_int=str, parse_float=str)
    except UnicodeDecodeError:
        return Ambiguous("encoding", "not valid UTF-8")
    except Ambiguous as ambiguous:
        return ambiguous
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return Ambiguous("trailing_data", "something follows the JSON value")
        said = message.removeprefix("JSON is malformed: ")
        return Ambiguous("malformed", said[:1].lower() + said[1:])
    return Ambiguous("encoding", "a lone surrogate is not a character")


def _not_a_number(_: str) -> NoReturn:
    raise Ambiguous("number", "NaN and Infinity are not JSON")


def _check_depth(tree: Json, depth: int) -> None:
    level = [tree] if type(tree) in _NESTING else []
    while level:
        depth -= 1
        if depth < 0:
            raise Ambiguous("depth", "arrays and objects nested too deeply")
        deeper: list[Json] = []
        for node in level:
            for child in node.values() if type(node) is dict else node:
                if type(child) in _NESTING:
                    deeper.append(child)  # noqa: PERF401 - each large body goes through here: a comprehension takes half as long again
        level = deeper


def _is_its_own_echo(tree: Json, raw: bytes, exact_numbers: bool) -> bool:
    echo = _encode(tree)
    if echo != raw and echo != msgspec.json.format(raw, indent=-1):
        return False
    return not exact_numbers or _NINETEEN_DIGITS not in raw.translate(_DIGITS_AS_ZERO)


def _without_duplicates(pairs: list[tuple[str, Json]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise Ambiguous("dup_key", "an object has the same key twice")


def _int64(literal: str) -> None:
    if len(literal) > len("-9223372036854775808") or int(literal) not in _INT64:
        raise Ambiguous("number", "an integer does not fit 64 bits")


def _double(literal: str) -> None:
    if len(literal) > _LONGEST_LITERAL or not _held_exactly(literal):
        raise Ambiguous("number", "a fraction is not held exactly by a double")


def _held_exactly(literal: str) -> bool:
    try:
        return Decimal(literal) == Decimal(repr(float(literal)))
    except InvalidOperation:
        return False


_EXACT = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_int=_int64, parse_float=_double)
_FINITE = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_int=len, parse_float=len)
