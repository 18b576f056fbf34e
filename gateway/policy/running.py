"""Which validators and detectors were asked while the rules of one hook looked at an exchange, and the worst of what came of it, for the
record.

A validator that was asked about nothing has no row: what did not run is not on record as passed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from gateway.policy.policy_set import Watch
from gateway.policy.wording import one_line
from gateway.validators.detectors import VERSION
from gateway.validators.use import Said, Use
from gateway.verdict import Action, Finding, Hook, Outcome, Ran

_WORSE: Final[Mapping[Outcome, int]] = {"not_drawn": 0, "passed": 1, "hit": 2, "unevaluated": 3}


class _Tally(Struct):
    watch: Watch
    name: str
    version: str
    outcome: Outcome = "not_drawn"
    looks: int = 0
    seen: int = 0
    score: float | None = None


class Running:
    def __init__(self, hook: Hook) -> None:
        self._hook: Hook = hook
        self._tallies: dict[tuple[int, str], _Tally] = {}

    @property
    def asked(self) -> bool:
        return bool(self._tallies)

    def has(self, watch: Watch, use: Use) -> bool:
        return (id(watch.guard), use.name) in self._tallies

    def searched(self, watch: Watch) -> bool:
        return all((id(watch.guard), one.name) in self._tallies for one in watch.guard.detectors)

    def not_drawn(self, watch: Watch) -> None:
        for use in watch.guard.uses:
            self._tally(watch, use.name, use.version)

    def found(self, watch: Watch, counts: Mapping[str, int], *, failed: bool) -> None:
        """What the detectors of a rule found in a text, by their names."""
        for one in watch.guard.detectors:
            count = counts.get(one.name, 0)
            self._add(self._tally(watch, one.name, VERSION), "unevaluated" if failed else "hit" if count else "passed", count)

    def looked(self, watch: Watch, use: Use, said: Said) -> None:
        tally = self._tally(watch, use.name, use.version)
        self._add(tally, "unevaluated" if said.problem else "hit" if said.hits else "passed", len(said.hits))
        tally.score = min((score for score in (tally.score, said.score) if score is not None), default=None)

    def rows(self) -> Sequence[Ran]:
        return [_row(self._hook, tally) for tally in self._tallies.values()]

    def _add(self, tally: _Tally, outcome: Outcome, seen: int) -> None:
        if _WORSE[outcome] > _WORSE[tally.outcome]:
            tally.outcome = outcome
        tally.looks += 1
        tally.seen += seen

    def _tally(self, watch: Watch, name: str, version: str) -> _Tally:
        place = (id(watch.guard), name)
        tally = self._tallies.get(place)
        if tally is None:
            tally = self._tallies[place] = _Tally(watch, name, version)
        return tally


def _row(hook: Hook, tally: _Tally) -> Ran:
    layer, guard, mode = tally.watch
    return Ran(
        validator=tally.name,
        version=tally.version,
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


def afterwards(watch: Watch, use: Use, said: Said, asked: str | None = None, *, drawn: bool = True) -> Ran:
    """The row of a rule that looks at an answer that has left: what came of it."""
    tally = _Tally(watch, use.name, use.version, score=said.score, seen=len(said.hits))
    if drawn:
        tally.outcome, tally.looks = "unevaluated" if said.problem else "hit" if said.hits else "passed", 1
    return msgspec.structs.replace(_row("output", tally), before=False, asked=asked)


def findings(watch: Watch, use: Use, said: Said, path: str, action: Action) -> Iterator[Finding]:
    """What it said, for the record. `action` is what came of a hit."""
    version, policy, rule = use.version, watch.layer.policy, watch.guard.id
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
        asked=one.asked or other.asked,
    )
