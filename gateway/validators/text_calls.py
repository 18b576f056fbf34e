"""Calls that a model wrote as text: some agents act on `<tool_call>{…}</tool_call>`, on fenced JSON or on `Action: name` lines.

The gate judges calls, and text is not one, so nothing is withheld for it; but whoever runs such an agent should see that it happens. Only
text that names a tool the request declared is reported, in one of the forms that models are trained on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gateway.exchange import Finding

SUSPECT = "text_call"

_NAME = r"([A-Za-z0-9_.:/-]{1,128})"
_GAP = r"\s{0,16}"
"""Bounded, so that no run of spaces is looked at from each of its places."""
_JSON = re.compile(rf'"(?:name|tool|tool_name|function|action)"{_GAP}:{_GAP}(?:\{{{_GAP}"name"{_GAP}:{_GAP})?"{_NAME}"')
_FORMS = (
    ("tag", re.compile(rf"<(?:tool_call|function_call|tool|function|invoke)\b[^>]{{0,40}}?[=\"' ]{_NAME}[\"']?{_GAP}>")),
    ("action", re.compile(rf"^[ \t]{{0,16}}Action{_GAP}:{_GAP}{_NAME}[ \t]{{0,16}}$", re.MULTILINE)),
    ("call", re.compile(rf"^[ \t]{{0,16}}\[?TOOL_CALLS?\]?{_GAP}{_NAME}", re.MULTILINE)),
)
_ARGUMENT_KEYS = ('"arguments"', '"parameters"', '"input"', '"args"', '"action_input"')
_HINTS = ("<", "Action", "TOOL_CALL", '"')


def check(text: str, tools: Iterable[str]) -> tuple[Finding, ...]:
    """One finding per declared tool that the text seems to call. Linear in the text."""
    if not any(hint in text for hint in _HINTS):
        return ()
    declared = frozenset(tools)
    named = {name: form for form, name in _named(text) if name in declared}
    return tuple(
        Finding("text_calls", SUSPECT, "warn", "text", f"the text seems to call the tool {name} ({form})")
        for name, form in sorted(named.items())
    )


def _named(text: str) -> Iterator[tuple[str, str]]:
    for form, pattern in _FORMS:
        yield from ((form, found[1]) for found in pattern.finditer(text))
    if any(key in text for key in _ARGUMENT_KEYS):
        yield from (("json", found[1]) for found in _JSON.finditer(text))
