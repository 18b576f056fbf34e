"""The functions that conditions may call beside CEL's own: small, and bounded in what they make.

CEL's string extension is left out on purpose: its `replace`, `join` and `format` can grow a few kilobytes of
arguments into gigabytes. What is here never returns more than it was given. A function that cannot answer in
exactly one way raises; the condition that called it then fails, and a failed guard is a hit.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Final

MAX_PIECES: Final = 1000

_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_LOOK_ALIKES = re.compile("[\u2044\u2215\u29f8\u2216\u29f5\u29f9\u00a5\u20a9]")
"""Signs that no normal form folds into a slash or backslash, but that code pages do: best-fit conversion, or the font's picture of it."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def normpath(path: str) -> str:
    """The POSIX path with `.`, `..` and doubled slashes resolved, links not followed; no slash at the end.

    Refuses what a tool could read as another path than it looks: percent-encoding, backslashes, `~`, control
    characters, characters that some tools fold into `/` or `.`, the empty path. A relative path stays
    relative and keeps leading `..`, so a comparison with an absolute prefix fails.
    """
    if not path or path.startswith("~") or "\\" in path:
        raise ValueError("the path is empty, begins with ~ or holds a backslash")
    if _ENCODED.search(path) or _CONTROL.search(path):
        raise ValueError("the path holds percent-encoding or control characters")
    if not path.isascii() and (_LOOK_ALIKES.search(path) or _folds(path)):
        raise ValueError("the path holds characters that look like / or .")
    normal = posixpath.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


def _folds(path: str) -> bool:
    return _separators(unicodedata.normalize("NFKC", path)) != _separators(path)


def _separators(path: str) -> tuple[int, int, int, int]:
    return path.count("/"), path.count("."), path.count("\\"), path.count("~")


def split(text: str, separator: str) -> list[str]:
    """At most MAX_PIECES pieces: a condition that loops over more would cost too much."""
    if not separator:
        raise ValueError("split needs a separator")
    pieces = text.split(separator, MAX_PIECES)
    if len(pieces) > MAX_PIECES:
        raise ValueError(f"split gives more than {MAX_PIECES} pieces")
    return pieces


def lower_ascii(text: str) -> str:
    return re.sub(r"[A-Z]+", lambda m: m.group().lower(), text)


def upper_ascii(text: str) -> str:
    return re.sub(r"[a-z]+", lambda m: m.group().upper(), text)


FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], tuple[str, ...], str, bool]]] = {
    "normpath": (normpath, ("STRING",), "STRING", False),
    "split": (split, ("STRING", "STRING"), "LIST", True),
    "trim": (str.strip, ("STRING",), "STRING", True),
    "lowerAscii": (lower_ascii, ("STRING",), "STRING", True),
    "upperAscii": (upper_ascii, ("STRING",), "STRING", True),
}
"""Name → implementation, parameter types, result type, whether it is called on its first one (`x.trim()`)."""

LATER: Final = frozenset(
    {
        *("from_user", "from_tool", "field_has", "origin", "user_said", "history", "read_from", "count"),
        *("total", "urls", "host", "commands", "installs", "near", "detect"),
    }
)
"""Names of the language that this version cannot judge by."""
