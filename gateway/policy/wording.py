"""Words for people and models: one line each, safe to show wherever they end up.

What a model or a tool wrote may be put into these lines, so it is cut, and everything that could break a
line, hide text or reorder it on screen is taken out. Structure (JSON, SSE) is escaped where it is written,
not here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.documents import nearest
from gateway.policy.hooks import SEES, fields
from gateway.policy.provenance import looked_at
from gateway.verdict import Hook

VALUE_LENGTH: Final = 100
LINE_LENGTH: Final = 500

_BRACES = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[a-z]+(?:\.[A-Za-z_]\w*)*")
_ORIGIN = re.compile(r"origin\(([^()]*)\)")
_CLEAN_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


def one_line(text: str, limit: int = LINE_LENGTH) -> str:
    """White space becomes one space; controls, format characters and surrogates go; cut at `limit`."""
    shown = "".join(c for c in text[: 4 * limit] if c.isprintable() or c.isspace())
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def clean_name(name: str) -> bool:
    """Whether a name may be quoted in a message as it is."""
    return _CLEAN_NAME.fullmatch(name) is not None


def filled(message: str, seen: Mapping[str, Any]) -> str:
    """`{args.x}` replaced by the value there, `{origin(args.x)}` by who said it; a list or mapping is only named, what is absent said to
    be."""
    return one_line(_BRACES.sub(lambda found: _shown(found[1], seen), message))


def _shown(name: str, seen: Mapping[str, Any]) -> str:
    origin = _ORIGIN.fullmatch(name)
    value: Any = seen
    for part in (origin[1] if origin else name).split("."):
        if not isinstance(value, Mapping) or part not in value:
            return "(missing)"
        value = value[part]
    if origin:
        return _sayers(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (str, int, float)):
        return one_line(str(value), VALUE_LENGTH)
    return "(list)" if isinstance(value, (list, tuple)) else "(object)"


def _sayers(value: Any) -> str:
    try:
        return one_line(", ".join(looked_at().conversation.origin(value)), VALUE_LENGTH) or "nowhere"
    except ValueError:
        return "(unknown)"


_TEXTS: Final = ("text", "result")
"""What a rule looks for secrets in is not repeated to whoever reads its message."""


def unknown_placeholders(message: str, variables: Mapping[str, Any], hook: Hook = "tool_call") -> Iterator[tuple[int, str]]:
    """(offset, what is wrong) for each `{…}` of a message that nothing can fill."""
    known = {**fields(hook), "vars": tuple(variables)}
    seen = [name for name in SEES[hook] if name not in _TEXTS]
    for found in _BRACES.finditer(message):
        origin = _ORIGIN.fullmatch(found[1])
        name = origin[1] if origin else found[1]
        if _NAME.fullmatch(name) is None:
            yield found.start(), f"'{{{found[1]}}}' is not a value; messages take names like {{args.amount}} and {{origin(args.to)}}"
            continue
        head, *rest = name.split(".")
        if head in _TEXTS and head in SEES[hook]:
            yield found.start(), f"'{{{name}}}' would repeat what the rule is about; say it in words"
        elif head not in seen:
            yield found.start(), f"unknown variable '{head}'{nearest(head, seen)}"
        elif rest and head in known and rest[0] not in known[head]:
            yield found.start(), f"unknown variable '{name}'{nearest(rest[0], known[head], f'{head}.')}"
