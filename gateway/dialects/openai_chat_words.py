"""Chunks that differ from an earlier one in nothing but their words: read without parsing them.

A stream is hundreds of chunks with the same bytes around a few new letters. Once one of them was parsed strictly and held words only, the
bytes before and behind its words are known. A later chunk with the very same bytes there, and between them a text without a quote, a
backslash or a control character, is the same JSON with another string: it cannot end the string, and nothing else in it can differ. Any
other chunk is parsed. (OpenAI adds `obfuscation`, a second string of changing length.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway import strict_json
from gateway.strict_json import Json

_plain = re.compile(rb"[ !#-\[\]-~\x80-\xff]*").fullmatch
_ASCII: Final = rb"[ !#-\[\]-~]*+"
_PROBES: Final = ("7ol1house\u00e4", "pr0be")


class Around(NamedTuple):
    """The bytes around the words of one choice."""

    choice: int
    before: bytes
    between: bytes
    """From the words' end to the second string's beginning; empty when there is none."""
    after: bytes
    event: re.Pattern[bytes]
    """Matches a whole event of this form whose words are ASCII, in plain form; its first group is the words. One look where parsing it
    as an event and then as a chunk of this form takes a dozen."""

    def words(self, data: bytes) -> str | None:
        """The words of a chunk of this form; None for any other."""
        if not data.startswith(self.before):
            return None
        begin, end = len(self.before), data.find(b'"', len(self.before))
        last = end
        if self.between:
            if not data.startswith(self.between, end):
                return None
            last = data.find(b'"', end + len(self.between))
            if not _plain(data, end + len(self.between), max(last, 0)):
                return None
        if end < begin or data[last:] != self.after or not _plain(data, begin, end):
            return None
        return _text(data[begin:end])


def _text(words: bytes) -> str | None:
    try:
        return words.decode() if strict_json.one_line(words) == words else None
    except UnicodeDecodeError:
        return None


def around(data: bytes, tree: Mapping[str, Json], choice: int, delta: Mapping[str, Json]) -> Around | None:
    """What stays the same in chunks like this one, which was parsed strictly; None where that cannot be told. Proven by writing other
    words there and parsing again."""
    second = tree.get("obfuscation")
    found = _cut(data, b"content", delta.get("content"))
    if delta.keys() != {"content"} or found is None or not isinstance(second, str | None):
        return None
    before, rest = found
    split = (b"", rest) if second is None else _cut(rest, b"obfuscation", second)
    if split is None:
        return None
    made = Around(choice, before, *split, _event(before, *split))
    return made if _proven(made, tree) else None


def _event(before: bytes, between: bytes, after: bytes) -> re.Pattern[bytes]:
    second = re.escape(between) + _ASCII if between else b""
    return re.compile(b"data: %b(%b)%b%b\n\n" % (re.escape(before), _ASCII, second, re.escape(after)))


def _cut(data: bytes, name: bytes, value: Json) -> tuple[bytes, bytes] | None:
    """The bytes before and behind a string that is the value of this name, where it stands once."""
    if not isinstance(value, str):
        return None
    for opening in (b'"%b":"' % name, b'"%b": "' % name):
        pieces = data.split(opening + value.encode() + b'"')
        if len(pieces) == 2:
            return pieces[0] + opening, b'"' + pieces[1]
    return None


def _proven(made: Around, tree: Mapping[str, Json]) -> bool:
    words, second = _PROBES
    data = made.before + words.encode() + (made.between + second.encode() if made.between else b"") + made.after
    [choice] = tree["choices"]
    expected = {**tree, "choices": [{**choice, "delta": {"content": words}}]}
    if made.between:
        expected["obfuscation"] = second
    return bool(strict_json.parse(data, exact_numbers=False) == expected) and made.words(data) == words
