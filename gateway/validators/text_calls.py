"""Calls that a model wrote as text (`detectors.text_call` knows the forms), in the answers of agents that no rule keeps from writing them.

The gate judges calls, and text is not one, so nothing is withheld for it; but whoever runs an agent that acts on text should see that it
happens, and then deny it (`at: output, detect: [text_call]`). Only text that names a tool the request declared is reported.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.validators.detectors import plain
from gateway.validators.detectors.text_call import written
from gateway.verdict import Finding

SUSPECT = "text_call"
VERSION = "1"


def check(text: str, tools: Iterable[str]) -> tuple[Finding, ...]:
    """One finding per declared tool that the text seems to call. Linear in the text."""
    declared = frozenset(tools)
    if not declared:
        return ()
    named = {one.name: one.form for one in written(plain(text).folded) if one.name in declared}
    return tuple(
        Finding("text_calls", SUSPECT, "warn", "text", f"the text seems to call the tool {name} ({form})")
        for name, form in sorted(named.items())
    )
