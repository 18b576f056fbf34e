"""Regular expressions that stand in conditions as they are, compiled once: the engine would compile them anew at each evaluation.

The same library as the engine's (RE2), with the same options, asked the same question: does the pattern match a part of the text.
Not for patterns that come with a call: strangers would fill the memory.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

MAX_COMPILED: Final = 4096
"""Patterns kept, each a few kilobytes; what policies hold is far below."""


def _options() -> Any:
    options = re2.Options()
    options.never_capture = True  # only whether it matches is asked: without groups it is decided in one pass
    options.log_errors = False
    return options


_OPTIONS: Final = _options()


@lru_cache(MAX_COMPILED)
def _compiled(pattern: str) -> Any:
    return re2.compile(pattern, _OPTIONS)


def found(text: str, pattern: str) -> bool:
    """Raises ValueError for a text without UTF-8 form."""
    return _compiled(pattern).search(text.encode()) is not None
