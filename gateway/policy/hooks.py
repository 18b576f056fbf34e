"""Where rules judge (`at:`), and what conditions see there. One table, so that loading, messages and judging cannot differ.

`tool_call`: a call that the model proposes. `tool_result`: what a tool answered, on its way to the model. `request`: what users and
operators say, and what is asked of the provider. `output`: what the model says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.verdict import Hook

_WHO: Final = ("caller", "session", "model", "vars", "now")
SEES: Final[Mapping[Hook, tuple[str, ...]]] = {
    "tool_call": ("args", "call", *_WHO),
    "tool_result": ("result", "text", "call", *_WHO),
    "request": ("request", "text", *_WHO),
    "output": ("text", "prompt", *_WHO),
}
"""The variables of each hook."""
VARIABLES: Final = ("args", "call", *_WHO, "text", "result", "request", "prompt")

_CALL: Final = ("id", "name", "type", "index", "dialect", "schema_hash", "pin")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "caller": ("agent", "org", "team", "user", "key", "labels", "client"),
    "session": ("id", "source", "messages", "calls", "tools"),
    "prompt": ("hash",),
    "request": ("dialect", "tools", "messages", "characters", "last_user", "media", "stream", "max_tokens"),
}


def fields(hook: Hook = "tool_call") -> dict[str, tuple[str, ...]]:
    """What the fixed variables hold at a hook; `args`, `result` and `vars` hold what the call, the tool and the file say."""
    call = {"tool_call": _CALL, "tool_result": ("id", "name", "dialect")}.get(hook)
    found = {name: known for name, known in _FIELDS.items() if name in SEES[hook]}
    return found | {"call": call} if call else found


def elsewhere(variable: str, hook: Hook) -> tuple[Hook, ...]:
    """The other hooks that have the variable."""
    return tuple(other for other, seen in SEES.items() if other != hook and variable in seen)
