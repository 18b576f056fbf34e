"""Why a verdict came out as it did: per hit the rule as written, the values its condition read, what would have let the call pass.

Works from the policy texts and what is known of the call, so it serves a fresh verdict and one from the book alike. It
says what the files say; it does not search for arguments that would be allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.policy.amounts import shown
from gateway.policy.limits import Cap
from gateway.policy.policy_set import Guard, Layer, PolicySet
from gateway.strict_json import Json
from gateway.verdict import RuleHit

_SHOWN: Final = 20
"""Entries of an object that are worth showing."""


class Reason(Struct, frozen=True):
    """One hit, explained."""

    hit: RuleHit
    file: str = ""
    """Empty when the policies at hand do not hold the rule."""
    condition: str = ""
    """`when: …` or `require: …`; empty for grants, refusals and rules without a condition."""
    values: Mapping[str, Json] = {}
    """What the condition read, by its name in the condition, as far as it is known."""
    unknown: tuple[str, ...] = ()
    """What the condition reads and the call did not have, or what is not known of it any more."""
    passes: str = ""
    """What would have let the call pass this rule; empty when it did."""


def reasons(policies: PolicySet, hits: Iterable[RuleHit], tool: str, seen: Mapping[str, Any]) -> list[Reason]:
    """`seen`: what is known of `args`, `caller`, … of the call; `vars` come from the files."""
    return [_reason(policies, hit, tool, seen) for hit in hits]


def _reason(policies: PolicySet, hit: RuleHit, tool: str, seen: Mapping[str, Any]) -> Reason:
    layer = _layer(policies, hit.policy)
    if layer is None:
        return Reason(hit)
    cap = next((c for c in layer.caps if c.id == hit.rule), None)
    if cap is not None:
        return _of_limit(hit, layer, cap, seen)
    guard = next((g for g in layer.guards if g.id == hit.rule), None)
    if guard is None:
        passes = "" if hit.effect == "allow" else f"an 'allow:' pattern of policy {hit.policy} that covers {tool}"
        return Reason(hit, layer.file, passes=passes)
    values, unknown = _values(guard, {**seen, "vars": layer.vars})
    return Reason(hit, layer.file, _written(guard), values, unknown, "" if hit.effect == "allow" else _passes(guard, hit))


def _of_limit(hit: RuleHit, layer: Layer, cap: Cap, seen: Mapping[str, Any]) -> Reason:
    """A limit shows what it sums, not what was spent: that is a matter of the moment."""
    what = f"sum of {cap.what}" if cap.argument else cap.what
    written = f"limit: {what} per {cap.per}, window {cap.window}, at most {shown(cap.most)}"
    values, unknown = _read([("args", *cap.argument)] if cap.argument else [], seen)
    return Reason(hit, layer.file, written, values, unknown, "a call that still fits into the limit")


def _layer(policies: PolicySet, policy: str) -> Layer | None:
    return next((p.layers[0] for p in (*policies.policies, *policies.libraries) if p.id == policy), None)


def _written(guard: Guard) -> str:
    parts = [f"detect: {', '.join(one.name for one in guard.detectors)}"] if guard.detectors else []
    parts += [f"validate: {', '.join(use.name for use in guard.uses)}"] if guard.uses else []
    if guard.condition is not None:
        parts.append(f"{'when' if guard.hits_when else 'require'}: {guard.condition.source.strip()}")
    return "; ".join(parts)


def _passes(guard: Guard, hit: RuleHit) -> str:
    where = "arguments" if guard.at == "tool_call" else "a text"
    nothing = [f"{where} without {' or '.join(one.name for one in guard.detectors)}"] if guard.detectors else []
    nothing += [f"{where} that {' and '.join(use.name for use in guard.uses)} can judge and find in order"] if guard.uses else []
    without = " and ".join(nothing)
    if guard.condition is None:
        return without or "nothing: the rule has no condition and hits every call of its tools"
    wanted = " or ".join(filter(None, (without, f"the condition being {'false' if guard.hits_when else 'true'}")))
    return f"a call for which it can be evaluated, and {wanted}" if hit.error else wanted


def _values(guard: Guard, seen: Mapping[str, Any]) -> tuple[dict[str, Json], tuple[str, ...]]:
    return _read([path for _, path in guard.condition.names] if guard.condition else [], seen)


def _read(paths: Iterable[tuple[str, ...]], seen: Mapping[str, Any]) -> tuple[dict[str, Json], tuple[str, ...]]:
    found: dict[str, Json] = {}
    unknown: dict[str, None] = {}
    for path in paths:
        name = ".".join(path)
        try:
            found[name] = _short(_at(seen, path))
        except KeyError:
            unknown[name] = None
    return found, tuple(unknown)


def _short(value: Any) -> Json:
    """A list that a file holds, by its length alone."""
    return f"({len(value)} names)" if isinstance(value, Mapping) and len(value) > _SHOWN else value


def _at(seen: Any, path: Iterable[str]) -> Json:
    for part in path:
        if not isinstance(seen, Mapping):
            raise KeyError(part)
        seen = seen[part]
    return seen
