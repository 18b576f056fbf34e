"""Which validators were asked while the rules of one hook looked at an exchange, and the worst of what came of it, for the record.

A validator that was asked about nothing has no row: what did not run is not on record as passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from gateway.exchange import Action, Finding, Hook, Outcome, Ran
from gateway.policy.policy_set import Watch
from gateway.policy.wording import one_line
from gateway.validators.use import Said, Use

_WORSE: Final[Mapping[Outcome, int]] = {"not_drawn": 0, "passed": 1, "hit": 2, "unevaluated": 3}


class _Tally(Struct):
    watch: Watch
    use: Use
    outcome: Outcome = "not_drawn"
    looks: int = 0
    seen: int = 0
    score: float | None = None


class Running:
    def __init__(self, hook: Hook) -> None:
        self._hook: Hook = hook
        self._tallies: dict[tuple[int, int], _Tally] = {}

    @property
    def asked(self) -> bool:
        return bool(self._tallies)

    def has(self, watch: Watch, use: Use) -> bool:
        return (id(watch.guard), id(use)) in self._tallies

    def not_drawn(self, watch: Watch) -> None:
        for use in watch.guard.uses:
            self._tally(watch, use)

    def looked(self, watch: Watch, use: Use, said: Said) -> None:
        tally = self._tally(watch, use)
        outcome: Outcome = "unevaluated" if said.problem else "hit" if said.hits else "passed"
        tally.outcome = max(tally.outcome, outcome, key=_WORSE.__getitem__)
        tally.looks += 1
        tally.seen += len(said.hits)
        tally.score = min((score for score in (tally.score, said.score) if score is not None), default=None)

    def rows(self) -> Sequence[Ran]:
        return [_row(self._hook, tally) for tally in self._tallies.values()]

    def _tally(self, watch: Watch, use: Use) -> _Tally:
        return self._tallies.setdefault((id(watch.guard), id(use)), _Tally(watch, use))


def _row(hook: Hook, tally: _Tally) -> Ran:
    layer, guard, mode = tally.watch
    return Ran(
        validator=tally.use.name,
        version=tally.use.validator.version,
        hook=hook,
        policy=layer.policy,
        rule=guard.id,
        effect=guard.effect,
        mode=mode,
        outcome=tally.outcome,
        looks=tally.looks,
        seen=tally.seen,
        score=tally.score,
    )


def findings(watch: Watch, use: Use, said: Said, path: str, action: Action) -> Iterator[Finding]:
    """What it said, for the record. `action` is what came of a hit."""
    version, policy, rule = use.validator.version, watch.layer.policy, watch.guard.id
    if said.problem:
        told = one_line(said.problem, 200)
        yield Finding(use.name, "unevaluated", "error", path, told, action, version=version, policy=policy, rule=rule)
    for one in said.seen:
        where, done = f"{path}.{one.path}" if one.path else path, action if one.severity != "info" else "none"
        told = one_line(one.detail, 300)
        yield Finding(use.name, one.code, one.severity, where, told, done, version=version, policy=policy, rule=rule, score=one.score)


def worst(rows: Sequence[Ran]) -> Sequence[Ran]:
    """One row for each rule's validator and hook, where it was asked in several places."""
    found: dict[tuple[str, str, str, str, str], Ran] = {}
    for row in rows:
        name = (row.hook, row.policy, row.rule, row.mode, row.validator)
        found[name] = _joined(found[name], row) if name in found else row
    return list(found.values())


def _joined(one: Ran, other: Ran) -> Ran:
    scores = [score for score in (one.score, other.score) if score is not None]
    return Ran(
        validator=one.validator,
        version=one.version,
        hook=one.hook,
        policy=one.policy,
        rule=one.rule,
        effect=one.effect,
        mode=one.mode,
        outcome=max(one.outcome, other.outcome, key=_WORSE.__getitem__),
        before=one.before and other.before,
        looks=one.looks + other.looks,
        seen=one.seen + other.seen,
        score=min(scores, default=None),
    )
