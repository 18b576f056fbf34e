"""Values of JSON, read with the names that they stand under: `{"api_key": "…"}` calls its value a key, and the value alone does not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.validators.detectors.secret_names import SHORTEST

_MAY_CALL: Final = re.compile(r"(?i)pass|pwd|secret|token|credential|connection|key|authorization")
"""Stands in every name by which `secret_names` knows a secret."""
_MOST: Final = 100
"""Characters of a name, from its end, that are read."""


def under(name: str, value: str) -> tuple[str, int] | None:
    """The value behind its name as JSON writes them, and where in this text it begins; None where the name calls it nothing."""
    if len(value) < SHORTEST or not _MAY_CALL.search(name):
        return None
    before = f'"{name[-_MOST:]}": "'
    return before + value, len(before)


def named_texts(value: Any) -> Iterator[str]:
    """What stands in a value under names that may call it a secret, each with its name; an entry of a list stands under the list's name."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        name, current = waiting.pop()
        if isinstance(current, Mapping):
            waiting += current.items()
        elif isinstance(current, (list, tuple)):
            waiting += [(name, each) for each in current]
        elif isinstance(current, str) and (found := under(name, current)) is not None:
            yield found[0]
