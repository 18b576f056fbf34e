"""A verdict with its reasons, as text and as JSON: the same for `policy eval` and `policy explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gateway.cli.visible import visible
from gateway.policy.why import Reason
from gateway.strict_json import Json
from gateway.verdict import Verdict

_LONGEST: Final = 200
"""Characters of a value in text; JSON has it whole."""


def verdict_data(verdict: Verdict, reasons: Sequence[Reason]) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(verdict)
    return data | {"hits": [_hit_data(reason) for reason in reasons]}


def _hit_data(reason: Reason) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(reason.hit)
    return data | {
        "file": reason.file,
        "condition": reason.condition,
        "values": reason.values,
        "unknown": reason.unknown,
        "passes": reason.passes,
    }


def verdict_lines(verdict: Verdict, reasons: Sequence[Reason]) -> Iterator[str]:
    yield f"{verdict.effect} ({'released' if verdict.released else 'withheld'}, {verdict.code}): {visible(verdict.reason)}"
    if verdict.would:
        yield f"with shadow rules in force: {verdict.would}"
    for reason in reasons:
        yield from _hit_lines(reason)


def _hit_lines(reason: Reason) -> Iterator[str]:
    hit = reason.hit
    marks = [hit.effect, *(["shadow"] if hit.mode == "shadow" else []), *(["condition failed"] if hit.error else [])]
    yield f"\n{visible(reason.file) or 'policy ' + visible(hit.policy)}:{hit.line}: {_what(reason)}: {', '.join(marks)}"
    if reason.condition:
        yield f"    {visible(' '.join(reason.condition.split()))}"
    for name, value in reason.values.items():
        yield f"    {name} = {_written(value)}"
    for name in reason.unknown:
        yield f"    {name} is {'not there' if name.startswith(('args.', 'vars.')) else 'not known here'}"
    if hit.message:
        yield f"    says: {visible(hit.message)}"
    if reason.passes:
        yield f"    would pass with: {visible(reason.passes)}"


def _what(reason: Reason) -> str:
    named = {"allow": "granted by policy {}", "default": "not granted by policy {}"}
    return named.get(reason.hit.rule, f"rule {reason.hit.rule} of policy {{}}").format(reason.hit.policy)


def _written(value: Json) -> str:
    text = visible(msgspec.json.encode(value).decode())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
