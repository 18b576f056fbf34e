"""The words of a shell command without their quotes."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

REDIRECTIONS: Final = frozenset({"file_redirect", "herestring_redirect", "heredoc_redirect"})

_PATTERN = re.compile(r"[*?\[\]]|^~|\{.*(?:,|\.\.).*\}", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_QUOTED_ESCAPE = re.compile(r'\\([$`"\\\n])')


class Word(NamedTuple):
    text: str
    fixed: bool = True
    """Known before it runs: no variable, substitution or pattern in it."""
    split: bool = False
    """What it comes to may be several words, or none: names of files that a pattern finds aside."""
    pattern: bool = False
    """Not known only for what files there are: a pattern over names, or somebody's home at its beginning."""


def word_of(node: Any) -> Word:
    """A word without its quotes. What a node of another kind comes to is not known before it runs."""
    text = node.text.decode()
    match node.type:
        case "word" | "number" | "file_descriptor":
            pattern = _PATTERN.search(_ESCAPE.sub("", text))
            braces = pattern is not None and pattern[0].startswith("{")
            return Word(_ESCAPE.sub(r"\1", text), pattern is None, braces, pattern is not None and not braces)
        case "raw_string":
            return Word(text[1:-1])
        case "string":
            inner = [child for child in node.children if child.type != '"']
            fixed = all(child.type == "string_content" for child in inner)
            return Word(_QUOTED_ESCAPE.sub(lambda m: "" if m[1] == "\n" else m[1], text[1:-1]), fixed, not fixed and "@" in text)
        case "ansi_c_string" if "\\" not in text:
            return Word(text[2:-1])
        case "concatenation":
            words = [word_of(child) for child in node.children]
            joined = "".join(one.text for one in words)
            loose = any(child.type == "word" and child.text in (b"{", b"}") for child in node.children)
            braced = loose and _PATTERN.search(joined) is not None
            fixed = all(one.fixed for one in words) and not braced
            split = braced or any(one.split for one in words)
            return Word(joined, fixed, split, not fixed and not split and all(one.fixed or one.pattern for one in words))
        case "arithmetic_expansion" | "process_substitution":
            return Word(text, fixed=False)
    return Word(text, fixed=False, split=True)


def command_words(node: Any) -> tuple[Word, ...]:
    """The words of a command without what is assigned and redirected, its name first."""
    parts = [child for child in node.children if child.type not in REDIRECTIONS and child.type != "variable_assignment"]
    return tuple(word_of(part.children[0] if part.type == "command_name" and part.child_count else part) for part in parts)
