"""Text from models and tools, made safe to be shown: characters that steer a terminal or turn the direction of reading are shown, never
obeyed."""

from __future__ import annotations

import re

_HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)


def visible(text: str) -> str:
    """On one line, every hostile character as its escape (`\\n`, `\\x1b`, `\\u202e`)."""
    return _HOSTILE.sub(lambda found: _escape(found[0]), text)


def visible_lines(text: str) -> str:
    """The same, with its lines and tabs as they are."""
    return _HOSTILE.sub(lambda found: found[0] if found[0] in "\n\t" else _escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()
