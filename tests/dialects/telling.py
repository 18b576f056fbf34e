"""What files of tests say of calls and answers."""

from __future__ import annotations

from typing import Any

import msgspec

UNSAID: dict[str, Any] = {"signed": (None,), "thoughts": ([], ()), "charged": (None,)}
"""What most calls and answers do not have; left out where it is so."""


def told(value: Any) -> Any:
    """Structs as plain values, to be written as JSON."""
    return spare(msgspec.to_builtins(value))


def spare(value: Any) -> Any:
    """Plain values without what goes without saying."""
    if isinstance(value, dict):
        return {key: spare(one) for key, one in value.items() if one not in UNSAID.get(key, ())}
    return type(value)(spare(one) for one in value) if isinstance(value, list | tuple) else value
