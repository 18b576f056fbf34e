"""What is the same at every hook: who asks, and how values are measured before conditions see them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.exchange import Caller
from gateway.policy.expressions import timestamp


def bystanders(caller: Caller, session: Mapping[str, Any], model: str, now_us: int) -> dict[str, Any]:
    """The variables `caller`, `session`, `model` and `now`."""
    return {
        "caller": {
            "agent": caller.agent,
            "org": caller.org,
            "team": caller.team,
            "user": caller.user,
            "key": caller.key_id,
            "labels": dict(caller.labels),
            "client": caller.client,
        },
        "session": {k: list(v) if isinstance(v, tuple) else v for k, v in session.items()},
        "model": model,
        "now": timestamp(now_us),
    }


def widest(value: Any) -> int:
    """Entries of the largest list or mapping in a value."""
    most, waiting = 0, [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, (dict, list)):
            most = max(most, len(current))
            waiting += current.values() if isinstance(current, dict) else current
    return most


def holds_zero(value: Any) -> bool:
    """Whether a text in the value would reach conditions only in part: the engine's texts end at a zero character, the tool's do not."""
    return _may_hold_zero(value) and _surely_holds_zero(value)


def _may_hold_zero(value: Any) -> bool:
    """A tenth of the other's time; a backslash before `u0000` makes it say yes where there is none."""
    try:
        return b"\\u0000" in msgspec.json.encode(value)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return True


def _surely_holds_zero(value: Any) -> bool:
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if isinstance(current, str):
            if "\0" in current:
                return True
        elif isinstance(current, Mapping):
            waiting += current
            waiting += current.values()
        elif isinstance(current, (list, tuple)):
            waiting += current
    return False
