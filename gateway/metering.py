"""Judging where limits count in a store across a network: in rounds, so that nothing waits inside a judgement.

A judgement is pure and asks its meter (`policy.limits`). Here the meter answers what it knows and remembers the first thing that it does
not: that is asked for, off the event loop, and the call is judged again with the answer. So each question is put to the store once, in the
order in which the judgement puts it, and what it raises is raised in the judgement, where it denies. A store in this machine is asked at
once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from msgspec.structs import replace

from gateway.errors import GatewayError
from gateway.judge import Court
from gateway.policy.limits import Charge
from gateway.state.asking import at_once
from gateway.visit import Visit

Found = TypeVar("Found")


class _Question(NamedTuple):
    take: bool
    charges: tuple[Charge, ...]
    now_us: int


class _Rounds:
    """A meter that knows the answers of the rounds before."""

    def __init__(self) -> None:
        self._known: dict[_Question, Sequence[int] | GatewayError] = {}
        self.open: _Question | None = None

    def take(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        return self._answer(_Question(True, tuple(charges), now_us))

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        return self._answer(_Question(False, tuple(charges), now_us))

    def learn(self, answer: Sequence[int] | GatewayError) -> None:
        if self.open is not None:
            self._known[self.open] = answer
        self.open = None

    def _answer(self, question: _Question) -> Sequence[int]:
        known = self._known.get(question)
        if isinstance(known, GatewayError):
            raise known
        if known is not None:
            return known
        self.open = self.open or question
        return (0,) * len(question.charges)  # of this round, nothing is kept


async def metered(visit: Visit, judging: Callable[[Court], Found]) -> Found:
    """What `judging` finds, its meter asked as the state store has to be."""
    if visit.court is None:
        raise RuntimeError("a call is judged before the request was admitted")
    if visit.gateway.ask is at_once:
        return judging(visit.court)
    rounds = _Rounds()
    court = replace(visit.court, meter=rounds)
    while True:
        found = judging(court)
        if rounds.open is None:
            return found
        rounds.learn(await _asked(visit, rounds.open))


async def _asked(visit: Visit, question: _Question) -> Sequence[int] | GatewayError:
    meter = visit.reserved.take if question.take else visit.reserved.look
    try:
        return await visit.gateway.ask(meter, question.charges, question.now_us)
    except GatewayError as error:
        return error
